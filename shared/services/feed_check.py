"""The invariants of the change feed (D-51), and an index of its entries on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from shared.storage import keys
from shared.storage.change_feed import Entry
from shared.storage.storage import Storage

_PAGE = 1000


class FeedIndex:
    """Which versions of which instances the feed tells of. In a temporary file, as it grows with the feed.

    `faults` says what is wrong with the feed itself, `times` which rows of the time index are missing: the timestamp and
    the first sequence of each.
    """

    def __init__(self, storage: Storage) -> None:
        self.faults: list[str] = []
        self.times: dict[int, int] = {}
        self._storage = storage
        self._next = 1
        self._timestamp = 0
        self._database = sqlite3.connect("")
        self._database.execute(
            "CREATE TABLE entries (study, instance, version, PRIMARY KEY (study, instance, version))"
        )

    def close(self) -> None:
        self._database.close()

    def has(self, key: str, sop_instance: str, version: int) -> bool:
        query = "SELECT 1 FROM entries WHERE study = ? AND instance = ? AND version = ?"
        return self._database.execute(query, (key, sop_instance, version)).fetchone() is not None

    async def read_on(self) -> None:
        """Reads and checks what the feed has got since the last time."""
        feed = self._storage.change_feed
        _, past = await feed.bounds(None, None)
        while self._next < past:
            end = min(past, self._next + _PAGE)
            entries = await feed.read(self._next, end)
            if entries:
                self._add(entries, await feed.times(entries[0].timestamp, entries[-1].timestamp))
            if self._next < end:
                self.faults.append(f"the sequences {self._next} to {end - 1} are missing")
                self._next = end
        if await feed.read(past, past + 1) and (await feed.bounds(None, None))[1] == past:
            self.faults.append(f"there are entries from sequence {past} on, where the head row says that the feed ends")

    def _add(self, entries: Sequence[Entry], times: dict[int, int]) -> None:
        for entry in entries:
            if entry.sequence > self._next:
                self.faults.append(f"the sequences {self._next} to {entry.sequence - 1} are missing")
            if entry.timestamp < self._timestamp:
                self.faults.append(f"the timestamp of sequence {entry.sequence} is earlier than the one before")
            if entry.timestamp > self._timestamp and times.get(entry.timestamp) != entry.sequence:
                self.times[entry.timestamp] = entry.sequence
            self._next, self._timestamp = entry.sequence + 1, entry.timestamp
        changes = [entry.change for entry in entries]
        self._database.executemany(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)",
            [(keys.study_partition(c.partition, c.study), c.sop_instance, c.version) for c in changes],
        )
