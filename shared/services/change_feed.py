"""Reads the change feed (CF-1 to CF-59): pages of entries with their state and the current metadata."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.services.metadata import latest_metadata
from shared.storage import keys
from shared.storage.change_feed import Entry
from shared.storage.rows import InstanceRow, StudyHead
from shared.storage.storage import Storage

CURRENT, REPLACED, DELETED = "Current", "Replaced", "Deleted"

_STUDIES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """`metadata` is a DICOM JSON object (UTF-8), only of entries in state Current and when asked for (D-53)."""

    entry: Entry
    state: str
    metadata: bytes | None


async def page(
    storage: Storage, *, start: int | None, end: int | None, offset: int, limit: int, metadata: bool
) -> list[FeedEntry]:
    """At most `limit` entries of the window [start, end) (microseconds since 1970) behind the first `offset` ones."""
    first, past = await storage.change_feed.bounds(start, end)
    first += offset
    return await _describe(storage, await storage.change_feed.read(first, min(past, first + limit)), metadata)


async def latest(storage: Storage, *, metadata: bool) -> FeedEntry | None:
    """The entry with the highest sequence (CF-13), None when the feed is empty."""
    _, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(past - 1, past) if past > 1 else []
    found = await _describe(storage, entries, metadata)
    return found[0] if found else None


async def _describe(storage: Storage, entries: list[Entry], metadata: bool) -> list[FeedEntry]:
    by_instance: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        change = entry.change
        key = keys.study_partition(change.partition, change.study)
        by_instance.setdefault((key, change.series, change.sop_instance), []).append(entry)
    gate = asyncio.Semaphore(_STUDIES_AT_ONCE)

    async def current(key: str, series: str, sop_instance: str) -> tuple[StudyHead, InstanceRow | None]:
        async with gate:
            return await storage.instances.find(key, series, sop_instance)

    found = await asyncio.gather(*(current(*identity) for identity in by_instance))
    described = []
    for group, (head, row) in zip(by_instance.values(), found, strict=True):
        described += [await _entry(storage, entry, head, row, metadata) for entry in group]
    return sorted(described, key=lambda item: item.entry.sequence)


async def _entry(storage: Storage, entry: Entry, head: StudyHead, row: InstanceRow | None, metadata: bool) -> FeedEntry:
    """CF-53 to CF-55: an entry is current while the version that it made is the instance's latest."""
    if row is None:
        return FeedEntry(entry, DELETED, None)
    if head.current_version(row.version) != entry.change.version or entry.change.action == "Delete":
        return FeedEntry(entry, REPLACED, None)
    text = await latest_metadata(storage, row, head.changes_to(row.version)) if metadata else None
    return FeedEntry(entry, CURRENT, text)
