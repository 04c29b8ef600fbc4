"""The table `changefeed`: one partition with the entries, a time index and the head row that orders all writers.

A writer commits one entity group transaction: the head row with its ETag, the entries, one time index row and a marker of
the writer. So sequences have no gaps, timestamps grow with them, and no entry appears behind a reader (D-51).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared.storage.properties import number, text
from shared.storage.wire import Entity, Operation, TransactionFailed, Wire, literal
from shared.telemetry import feed_lag

TABLE = "changefeed"

CREATE, UPDATE, DELETE = "Create", "Update", "Delete"

_PARTITION = "feed"
_HEAD = "head"
_ENTRY, _TIME, _MARKER = "e", "t", "w"
ENTRIES_PER_TRANSACTION = 90
_MOST_OPERATIONS = 100
_LONGEST_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one instance; `version` is the instance's version that the change made or ended."""

    partition: str
    study: str
    series: str
    sop_instance: str
    action: str
    version: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A change with its place in the feed; `timestamp` in microseconds since 1970."""

    sequence: int
    timestamp: int
    change: Change


@dataclass(slots=True)
class _Batch:
    writer: str
    changes: Sequence[Change]
    note: str
    done: asyncio.Future[None]

    def end(self, error: BaseException | None = None) -> None:
        """Tells the one who waits, unless he was cancelled."""
        if self.done.done():
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


@dataclass(slots=True)
class _Head:
    next: int = 1
    timestamp: int = 0
    etag: str = ""
    tags: int = 0


class ChangeFeed:
    """Appends to and reads the feed. Concurrent appends of one process share a transaction."""

    tags_version: int
    """The newest version of the list of extended query tags that was announced here, as of this process's last append."""

    def __init__(self, wire: Wire) -> None:
        self.tags_version = 0
        self._wire = wire
        self._head: _Head | None = None
        self._waiting: list[_Batch] = []
        self._pump: asyncio.Task[None] | None = None

    async def append(self, writer: str, changes: Sequence[Change], note: str = "") -> None:
        """Appends at most 90 changes; a repeat with the same `writer` is a no-op. `note` is kept with the marker."""
        batch = _Batch(writer, changes, note, asyncio.get_running_loop().create_future())
        self._waiting.append(batch)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._drain())
        await batch.done

    async def knows(self, writer: str) -> bool:
        """Whether this writer has appended."""
        return await self._wire.get_entity(TABLE, _PARTITION, _MARKER + writer) is not None

    async def announce_tags(self, version: int) -> None:
        """Tells whoever appends from now on that the list of extended query tags has come to this version."""
        while (head := await self._read_head()).tags < version:
            head.tags = version
            with suppress(TransactionFailed):
                await self._wire.transact(TABLE, [Operation("update" if head.etag else "insert", _head_entity(head))])

    async def notes(self, writers: str) -> dict[str, str]:
        """The notes of all writers that begin with `writers`, by writer in ascending order."""
        first = _MARKER + writers
        condition = _range(first, first[:-1] + chr(ord(first[-1]) + 1))
        return {
            entity.row_key.removeprefix(_MARKER): text(entity.properties, "note")
            async for entity in self._wire.entities(TABLE, condition)
        }

    async def bounds(self, start: int | None, end: int | None) -> tuple[int, int]:
        """The sequences [first, past) of the entries with start <= timestamp < end (CF-12)."""
        past_all = (await self._read_head()).next
        first = await self._first_at(start, past_all) if start is not None else 1
        past = await self._first_at(end, past_all) if end is not None else past_all
        return first, past

    async def read(self, first: int, past: int) -> list[Entry]:
        """The entries with first <= sequence < past, in order."""
        if first >= past:
            return []
        condition = _range(_entry_key(first), _entry_key(past))
        return [_entry(entity) async for entity in self._wire.entities(TABLE, condition)]

    async def times(self, first: int, last: int) -> dict[int, int]:
        """The time index from `first` to `last` (microseconds since 1970): the sequence that begins at each time."""
        condition = _range(f"{_TIME}{first:020d}", f"{_TIME}{last + 1:020d}")
        return {
            int(entity.row_key.removeprefix(_TIME)): number(entity.properties, "first")
            async for entity in self._wire.entities(TABLE, condition)
        }

    async def set_time(self, timestamp: int, first: int) -> None:
        """Restores a row of the time index."""
        await self._wire.transact(TABLE, [Operation("upsert", _time_entity(timestamp, first))])

    async def remove_markers(self, writers: Sequence[str]) -> None:
        """Forgets writers whose work is over and will never be repeated."""
        for start in range(0, len(writers), _MOST_OPERATIONS):
            await self._wire.transact(
                TABLE,
                [
                    Operation("delete", Entity(_PARTITION, _MARKER + writer, {}, "*"))
                    for writer in writers[start : start + _MOST_OPERATIONS]
                ],
            )

    async def markers(self, most: int, *, before: int) -> list[str]:
        """Up to `most` writers that are remembered and appended before that time (microseconds since 1970)."""
        condition = f"{_range(_MARKER, _MARKER + '~')} and t lt {before}L"
        page = await self._wire.query(TABLE, condition, select=("PartitionKey", "RowKey"), top=most)
        return [entity.row_key.removeprefix(_MARKER) for entity in page.entities]

    async def _first_at(self, timestamp: int, past_all: int) -> int:
        condition = _range(f"{_TIME}{max(timestamp, 0):020d}", _TIME + "~")
        page = await self._wire.query(TABLE, condition, top=1)
        while not page.entities and page.continuation:
            page = await self._wire.query(TABLE, condition, top=1, continuation=page.continuation)
        return number(page.entities[0].properties, "first") if page.entities else past_all

    async def _read_head(self) -> _Head:
        entity = await self._wire.get_entity(TABLE, _PARTITION, _HEAD)
        if entity is None:
            return _Head()
        row = entity.properties
        head = _Head(number(row, "next"), number(row, "timestamp"), entity.etag, number(row, "tags"))
        self.tags_version = max(self.tags_version, head.tags)
        return head

    async def _drain(self) -> None:
        while self._waiting:
            batches = [self._waiting.pop(0)]
            while self._waiting and _operations([*batches, self._waiting[0]]) <= _MOST_OPERATIONS:
                batches.append(self._waiting.pop(0))
            try:
                await self._commit(batches)
            except BaseException as error:
                for batch in batches:
                    batch.end(error)
                if not isinstance(error, Exception):
                    raise

    async def _commit(self, batches: list[_Batch]) -> None:
        """Tries until no other writer is faster. Raises TransactionFailed when none was, and the rows contradict the head."""
        lost: tuple[str, int] | None = None
        for attempt in itertools.count():
            head, self._head = self._head or await self._read_head(), None
            now = max(time.time_ns() // 1000, head.timestamp + 1)
            operations, following = _transaction(head, batches, now)
            try:
                etags = await self._wire.transact(TABLE, operations)
            except TransactionFailed as error:
                if not error.is_race:
                    raise
                if (head.etag, len(batches)) == lost:
                    raise
                batches = await self._without_known(batches)
                if not batches:
                    return
                lost = (head.etag, len(batches))
                await asyncio.sleep(random.uniform(0, min(0.01 * attempt, _LONGEST_PAUSE_SECONDS)))
                continue
            self._head = _Head(following, now, etags[0], head.tags)
            for batch in batches:
                batch.end()
                feed_lag.record(_lag(batch, now))
            return

    async def _without_known(self, batches: list[_Batch]) -> list[_Batch]:
        """The batches that are not in the feed yet; an earlier try may have reached it unnoticed."""
        missing = []
        self._head = await self._read_head()
        for batch in batches:
            if await self.knows(batch.writer):
                batch.end()
            else:
                missing.append(batch)
        return missing


def _lag(batch: _Batch, now: int) -> float:
    """Seconds since the versions were made; a deleted one says nothing of when that was."""
    made = [change.version for change in batch.changes if change.action != DELETE]
    return max(0, now - min(made, default=now)) / 1_000_000


def _operations(batches: Sequence[_Batch]) -> int:
    return 2 + sum(len(batch.changes) + 1 for batch in batches)


def _transaction(head: _Head, batches: Sequence[_Batch], now: int) -> tuple[list[Operation], int]:
    sequence = head.next
    rows: list[Operation] = []
    for batch in batches:
        rows.append(Operation("insert", Entity(_PARTITION, _MARKER + batch.writer, {"note": batch.note, "t": now})))
        for change in batch.changes:
            rows.append(Operation("insert", _entry_entity(sequence, now, change)))
            sequence += 1
    rows.append(Operation("insert", _time_entity(now, head.next)))
    entity = _head_entity(_Head(sequence, now, head.etag, head.tags))
    return [Operation("update" if head.etag else "insert", entity), *rows], sequence


def _head_entity(head: _Head) -> Entity:
    return Entity(_PARTITION, _HEAD, {"next": head.next, "timestamp": head.timestamp, "tags": head.tags}, head.etag)


def _range(first: str, end: str) -> str:
    return f"PartitionKey eq {literal(_PARTITION)} and RowKey ge {literal(first)} and RowKey lt {literal(end)}"


def _entry_key(sequence: int) -> str:
    return f"{_ENTRY}{sequence:019d}"


def _time_entity(timestamp: int, first: int) -> Entity:
    return Entity(_PARTITION, f"{_TIME}{timestamp:020d}", {"first": first})


def _entry_entity(sequence: int, now: int, change: Change) -> Entity:
    return Entity(
        _PARTITION,
        _entry_key(sequence),
        {
            "p": change.partition,
            "st": change.study,
            "se": change.series,
            "i": change.sop_instance,
            "a": change.action,
            "v": change.version,
            "t": now,
        },
    )


def _entry(entity: Entity) -> Entry:
    row = entity.properties
    change = Change(text(row, "p"), text(row, "st"), text(row, "se"), text(row, "i"), text(row, "a"), number(row, "v"))
    return Entry(int(entity.row_key.removeprefix(_ENTRY)), number(row, "t"), change)
