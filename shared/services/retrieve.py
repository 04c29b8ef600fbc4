"""Retrieve (WADO-RS): finds studies, series and instances, and streams their files and metadata, latest or original."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.dicom.change_set import Changes, patch_file
from shared.errors import NotFound
from shared.services.byte_stream import ByteStream
from shared.services.metadata import latest_metadata
from shared.services.races import StudyChanged
from shared.services.read_ahead import ahead
from shared.services.stored_file import read_file, read_run
from shared.services.transcode import LOOK_AHEAD, transcoded_file
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.instances import Metadata
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import SeriesRow

FILES_AHEAD: Final = 8
"""Of how many files the first bytes are on their way while one is sent: storage answers late, but many at a time."""

# So many instances are read by one query, sorted, and held. A larger study is read series by series.
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Resource:
    """A study, a series or an instance, as its study was at one moment.

    `key` is the study's PartitionKey; `series` are those of the resource, in the order of D-24; `row` is the instance if
    the resource is one. `beside` are the instances that were read beside the head, as `wanted` says.
    """

    key: str
    head: StudyHead
    series: Sequence[SeriesRow]
    row: InstanceRow | None
    original: bool
    wanted: Metadata | None = None
    beside: Sequence[InstanceRow] = ()

    @property
    def count(self) -> int:
        """The number of instances of the series."""
        return sum(item.instances for item in self.series)

    @property
    def study(self) -> str:
        """The StudyInstanceUID."""
        return keys.parse_study_partition(self.key)[1]

    def changes(self, row: InstanceRow) -> Changes:
        """What the version that is asked for has changed of the stored instance."""
        return {} if self.original else self.head.changes_to(row.version)

    def etag(self, representation: str = "") -> str:
        """D-26: changes with every store, delete and update; the original has its own, and so has each representation."""
        newest, count = max(series.version for series in self.series), self.count
        if self.row:
            newest, count = self.row.version, 1
        version = f"{self.head.current_version(newest)}-{count}"
        original = "-original" if self.original else ""
        suffix = f"-{representation}" if representation else ""
        return f'"{version}{original}{suffix}"'


async def find(
    storage: Storage,
    partition: str,
    study: str,
    series: str | None = None,
    sop_instance: str | None = None,
    *,
    original: bool = False,
    wanted: Metadata | None = None,
) -> Resource:
    """A study, series or instance. Raises NotFound when there is none (WADO-13, WADO-14).

    With `wanted`, the instances that `rows` will be asked for so are read at the same time, as far as one query goes.
    """
    key = keys.study_partition(partition, study)
    row = None
    beside: list[InstanceRow] = []
    if series and sop_instance:
        head, row = await storage.instances.find(key, series, sop_instance)
    elif wanted is not None:
        first_rows = storage.instances.first_rows(key, series, metadata=wanted)
        head, every = await asyncio.gather(storage.instances.head(key), first_rows)
        beside = [row for row in every if head.holds(row)]
    else:
        head = await storage.instances.head(key)
    members = [item for item in head.series.values() if series in (None, item.series)] if head.exists else []
    if not members or (sop_instance and not row):
        level = "instance" if sop_instance else "series" if series else "study"
        raise NotFound(f"The specified {level} cannot be found.")
    members.sort(key=lambda item: (item.number, item.series))
    return Resource(key, head, members, row, original, wanted, beside)


async def rows(storage: Storage, resource: Resource, *, metadata: Metadata) -> AsyncIterator[InstanceRow]:
    """The instances of a resource in the order of D-24, read as `metadata` says.

    Of a series that has more than 1,000, each 1,000 are in that order, so that the first need not wait for the last.
    Raises StudyChanged when some that the resource has are not there any more. Those stored since are left out.
    """
    if resource.row:
        yield resource.row
        return
    batches = _batches(storage, resource, metadata=metadata)
    following = asyncio.create_task(anext(batches, None))
    try:
        while batch := await following:
            following = asyncio.create_task(anext(batches, None))
            for row in batch:
                yield row
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _batches(storage: Storage, resource: Resource, *, metadata: Metadata) -> AsyncIterator[list[InstanceRow]]:
    """Up to 1,000 instances at a time, sorted."""
    if resource.wanted == metadata and _agree(resource.beside, resource.series):
        yield _sorted(resource.beside, resource.series)
        return
    few = resource.count <= _ROWS_AT_ONCE
    for piece in [resource.series] if few else [[item] for item in resource.series]:
        only = piece[0].series if len(piece) == 1 else None
        left = sum(item.instances for item in piece)
        batch: list[InstanceRow] = []
        async for row in storage.instances.rows(resource.key, resource.head, only, metadata=metadata):
            batch += _as_of(resource, [row])
            if len(batch) == _ROWS_AT_ONCE < left:
                yield _sorted(batch, piece)
                left -= len(batch)
                batch = []
        if len(batch) != left:
            raise StudyChanged("The study has changed while it was read.")
        yield _sorted(batch, piece)


def _agree(rows: Sequence[InstanceRow], series: Sequence[SeriesRow]) -> bool:
    """Whether rows that were read before the head, or behind it, are just those that it tells of."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row.series, []).append(row.version)
    return {item.series: (item.instances, item.version) for item in series} == {
        name: (len(versions), max(versions)) for name, versions in found.items()
    }


def _as_of(resource: Resource, rows: Sequence[InstanceRow]) -> list[InstanceRow]:
    """Without those that were stored since the resource was found."""
    assert resource.head.study is not None
    newest = resource.head.study.version
    return [row for row in rows if row.version <= newest]


def _sorted(rows: Sequence[InstanceRow], series: Sequence[SeriesRow]) -> list[InstanceRow]:
    order = {item.series: number for number, item in enumerate(series)}
    return sorted(rows, key=lambda row: (order[row.series], row.number, row.sop_instance))


def file(
    storage: Storage, resource: Resource, row: InstanceRow, transfer_syntax: str | None = None
) -> AsyncIterator[bytes]:
    """The file of one instance: as stored, or transcoded where a transfer syntax is asked for that is another (D-21)."""
    changes = resource.changes(row)
    if transfer_syntax in (None, row.layout.transfer_syntax):
        return read_file(storage, row, changes)
    return transcoded_file(storage, row, changes, transfer_syntax)


async def files(
    storage: Storage, resource: Resource, rows: AsyncIterator[InstanceRow], transfer_syntax: str | None = None
) -> AsyncIterator[tuple[InstanceRow, AsyncIterator[bytes]]]:
    """The files of instances, the first bytes of the next ones being read ahead. Each has to be read to its end before the
    next. Those that follow each other in a bundle are read as one range, unless they are transcoded.
    """
    if transfer_syntax:

        async def streams() -> AsyncIterator[tuple[InstanceRow, AsyncIterator[bytes]]]:
            async for row in rows:
                yield row, file(storage, resource, row, transfer_syntax)

        async for item in ahead(streams(), LOOK_AHEAD):
            yield item
        return

    async def runs() -> AsyncIterator[tuple[list[InstanceRow], AsyncIterator[bytes]]]:
        async for run in _runs(rows):
            yield run, read_run(storage, run)

    async for run, chunks in ahead(runs(), FILES_AHEAD):
        stream = ByteStream(chunks)
        for row in run:
            changes = resource.changes(row)
            stored = stream.pieces(row.length)
            yield row, patch_file(stored, row.layout, changes) if changes else stored


async def _runs(rows: AsyncIterator[InstanceRow]) -> AsyncIterator[list[InstanceRow]]:
    """The instances in their order, together those whose files follow each other in a bundle."""
    run: list[InstanceRow] = []
    async for row in rows:
        if run and (row.blob, row.offset) != (run[-1].blob, run[-1].offset + run[-1].length):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


async def metadata(storage: Storage, resource: Resource, bulk_data_of: str = "") -> AsyncIterator[bytes]:
    """The JSON array of WADO-81, an instance at a time.

    With BulkDataURIs when `bulk_data_of` is the URL of the study.
    """
    opening = b"["
    async for row in rows(storage, resource, metadata=True if bulk_data_of else "only"):
        base = bulk_data_of and f"{bulk_data_of}/series/{row.series}/instances/{row.sop_instance}/bulkdata/"
        yield opening + await latest_metadata(storage, row, resource.changes(row), base)
        opening = b","
    yield b"]"
