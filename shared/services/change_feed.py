"""Reads the change feed (CF-1 to CF-59): pages of entries with their state and the current metadata."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from shared.services.metadata import latest_metadata
from shared.services.races import StudyChanged, steadily
from shared.storage import keys
from shared.storage.change_feed import Entry
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead

CURRENT, REPLACED, DELETED = "Current", "Replaced", "Deleted"

_STUDIES_AT_ONCE = 16
_INSTANCES_AT_ONCE = 16
_OVERREAD = 4
_FEW_ROWS = 12  # of a study: what one query may read with metadata that nobody wants
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 1.0


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """`metadata` is a DICOM JSON object (UTF-8), only of entries in state Current and when asked for (D-53)."""

    entry: Entry
    state: str
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` entries with start <= timestamp < end (microseconds since 1970) behind the first `offset` of them."""

    start: int | None = None
    end: int | None = None
    offset: int = 0
    limit: int = 100


async def page(storage: Storage, window: Window, *, metadata: bool) -> list[FeedEntry]:
    """The entries of the window in the order of their sequence (CF-10 to CF-14)."""
    first, past = await storage.change_feed.bounds(window.start, window.end)
    first += window.offset
    return await _describe(storage, await storage.change_feed.read(first, min(past, first + window.limit)), metadata)


async def page_behind(storage: Storage, sequence: int, limit: int, *, metadata: bool) -> list[FeedEntry]:
    """The entries with the `limit` sequence numbers behind this one, as v1 pages (CF-11)."""
    _, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(sequence + 1, min(past, sequence + 1 + limit))
    return await _describe(storage, entries, metadata)


async def next_page(
    storage: Storage, window: Window, seconds: float, gone: Callable[[], Awaitable[bool]], *, metadata: bool
) -> list[FeedEntry]:
    """The page as soon as it is not empty; [] after that time, or once `gone` says that nobody waits any more (D-55).

    Waiting costs one point read per pause, of the row that every writer on every host changes.
    """
    deadline = time.monotonic() + seconds
    pause, seen = _FIRST_PAUSE_SECONDS, 0
    while True:
        _, past = await storage.change_feed.bounds(None, None)
        if past != seen and (found := await page(storage, window, metadata=metadata)):
            return found
        seen = past
        left = deadline - time.monotonic()
        if left <= 0 or await gone():
            return []
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def latest(storage: Storage, *, metadata: bool) -> FeedEntry | None:
    """The entry with the highest sequence (CF-13), None when the feed is empty."""
    _, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(past - 1, past) if past > 1 else []
    found = await _describe(storage, entries, metadata)
    return found[0] if found else None


async def _describe(storage: Storage, entries: list[Entry], metadata: bool) -> list[FeedEntry]:
    by_study: dict[str, list[Entry]] = {}
    for entry in entries:
        by_study.setdefault(keys.study_partition(entry.change.partition, entry.change.study), []).append(entry)
    gate = asyncio.Semaphore(_STUDIES_AT_ONCE)

    async def of_study(key: str, group: list[Entry]) -> list[FeedEntry]:
        async with gate:
            return await steadily(partial(_describe_study, storage, key, group, metadata))

    described = await asyncio.gather(*(of_study(key, group) for key, group in by_study.items()))
    return sorted((item for group in described for item in group), key=lambda item: item.entry.sequence)


async def _describe_study(storage: Storage, key: str, entries: list[Entry], metadata: bool) -> list[FeedEntry]:
    wanted = {keys.instance_row(entry.change.series, entry.change.sop_instance) for entry in entries}
    head, rows = await _current(storage, key, wanted, metadata)
    return [await _entry(storage, entry, head, rows, metadata) for entry in entries]


async def _current(
    storage: Storage, key: str, wanted: set[str], metadata: bool
) -> tuple[StudyHead, dict[str, InstanceRow]]:
    """The instances with these RowKeys: one by one, or the whole study when it is small or most of it is wanted."""
    if len(wanted) < _FEW_ROWS:
        head, opening, is_all = await storage.instances.opening(key, _FEW_ROWS)
    else:
        head, opening, is_all = await storage.instances.head(key), [], False
    if head.study is None or not head.exists:
        return head, {}
    if is_all or head.study.instances <= _OVERREAD * len(wanted):
        rows = {row.row_key: row for row in opening if head.holds(row)}
        if not is_all:
            rows = {row.row_key: row async for row in storage.instances.rows(key, head, metadata=metadata)}
        if len(rows) < head.study.instances:
            raise StudyChanged("The study has changed while it was read.")
        return head, rows
    gate = asyncio.Semaphore(_INSTANCES_AT_ONCE)

    async def one(row_key: str) -> InstanceRow | None:
        async with gate:
            return await storage.instances.get(key, *keys.parse_instance_row(row_key))

    found = await asyncio.gather(*(one(row_key) for row_key in wanted))
    # Rows go after the study says that their instances are deleted: so it is asked last.
    head = await storage.instances.head(key)
    return head, {row.row_key: row for row in found if row and head.holds(row)}


async def _entry(
    storage: Storage, entry: Entry, head: StudyHead, rows: dict[str, InstanceRow], metadata: bool
) -> FeedEntry:
    """CF-53 to CF-55: an entry is current while the version that it made is the instance's latest."""
    row = rows.get(keys.instance_row(entry.change.series, entry.change.sop_instance))
    if row is None:
        return FeedEntry(entry, DELETED, None)
    if head.current_version(row.version) != entry.change.version or entry.change.action == "Delete":
        return FeedEntry(entry, REPLACED, None)
    text = await latest_metadata(storage, row, head.changes_to(row.version)) if metadata else None
    return FeedEntry(entry, CURRENT, text)
