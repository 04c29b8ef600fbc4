"""Calls of the services in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from shared.dicom.searchable import Level
from shared.errors import NotFound
from shared.services import retrieve
from shared.services.query import Query, parse
from shared.services.races import steadily
from shared.services.search import search
from shared.services.store import StoreResult, store
from shared.services.stored_file import read_file
from shared.settings import Settings
from shared.storage import keys
from shared.storage.change_feed import DELETE, UPDATE, Change
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from shared.storage.wire import Counters


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


async def store_files(
    storage: Storage, files: Iterable[bytes], partition: str = DEFAULT, *, replacing: bool = False
) -> StoreResult:
    async def parts() -> AsyncIterator[AsyncIterator[bytes]]:
        for file in files:
            yield chunks(file)

    return await store(storage, Settings(), parts(), partition, None, replacing=replacing)


async def feed(storage: Storage, study: str) -> list[Change]:
    """The change feed of a study, oldest first."""
    first, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(first, past)
    return [entry.change for entry in entries if entry.change.study == study]


async def extents(storage: Storage) -> set[tuple[str, int]]:
    """The blobs and offsets of all stored files."""
    blobs = [blob async for blob in storage.wire.blobs("")]
    return {file.place for blob in blobs for file in blob.files}


async def found(storage: Storage, level: Level, **filters: str) -> int:
    """How many studies, series or instances a search finds."""
    return len(await search(storage, DEFAULT, parse(Query(level), list(filters.items())), ""))


async def content(storage: Storage, study: str, *, original: bool = False) -> dict[str, bytes]:
    """The files of a study by SOPInstanceUID, empty when there is none; the counts of the study's rows fit."""

    async def read() -> dict[str, bytes]:
        try:
            resource = await retrieve.find(storage, DEFAULT, study, original=original)
        except NotFound:
            return {}
        assert resource.head.study is not None
        rows = [row async for row in retrieve.rows(storage, resource, metadata=True)]
        assert resource.head.study.instances == len(rows) == sum(row.instances for row in resource.series)
        assert resource.head.study.series == len(resource.series)
        for series in resource.series:
            newest = max((row for row in rows if row.series == series.series), key=lambda row: row.version)
            assert (series.version, series.newest) == (newest.version, newest.sop_instance)
        files = {row.sop_instance: read_file(storage, row, resource.changes(row)) for row in rows}
        return {uid: b"".join([chunk async for chunk in file]) for uid, file in files.items()}

    return await steadily(read)


async def is_gone(storage: Storage, study: str) -> bool:
    """Whether nothing at all is left of a study in its partition."""
    key = keys.study_partition(DEFAULT, study)
    return await storage.instances.head(key) == StudyHead() and not [
        row async for row in storage.instances.every_row(key)
    ]


def check_history(changes: Iterable[Change], instances: Iterable[str]) -> None:
    """The feed tells of each instance what can have happened to it, in order, and ends with those that are there.

    Only the versions that stores have given ascend strictly: a delete names the version that it ends.
    """
    alive: dict[str, int] = {}
    versions: dict[str, int] = {}
    for change in changes:
        uid = change.sop_instance
        if change.action == DELETE:
            assert alive.pop(uid) == change.version, f"{uid} was deleted as another version than it had"
            continue
        assert (uid in alive) == (change.action == UPDATE), f"{change.action} of {uid} out of order"
        assert change.version > versions.get(uid, 0)
        alive[uid] = versions[uid] = change.version
    assert set(alive) == set(instances)


@contextmanager
def counted(storage: Storage) -> Iterator[Counters]:
    """What was sent and received inside the block."""
    counters, spent = storage.wire.counters, Counters()
    before = (counters.transactions, counters.bytes_sent, counters.bytes_received)
    yield spent
    spent.transactions = counters.transactions - before[0]
    spent.bytes_sent = counters.bytes_sent - before[1]
    spent.bytes_received = counters.bytes_received - before[2]
