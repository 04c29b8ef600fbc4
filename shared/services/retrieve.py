"""Retrieve (WADO-RS): finds studies, series and instances, and streams their files and metadata, latest or original."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shared.dicom.change_set import Changes
from shared.errors import NotFound
from shared.services.metadata import latest_metadata
from shared.services.races import StudyChanged
from shared.services.read_ahead import ahead
from shared.services.stored_file import read_file
from shared.services.transcode import transcoded_file
from shared.storage import keys
from shared.storage.rows import InstanceRow, SeriesRow, StudyHead
from shared.storage.storage import Storage

# A study of up to so many instances is read by one query, a larger one series by series.
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Resource:
    """A study, a series or an instance, as its study was at one moment.

    `key` is the study's PartitionKey; `series` are those of the resource, in the order of D-24; `row` is the instance if
    the resource is one.
    """

    key: str
    head: StudyHead
    series: Sequence[SeriesRow]
    row: InstanceRow | None
    original: bool

    @property
    def study(self) -> str:
        """The StudyInstanceUID."""
        return keys.parse_study_partition(self.key)[1]

    def changes(self, row: InstanceRow) -> Changes:
        """What the version that is asked for has changed of the stored instance."""
        return {} if self.original else self.head.changes_to(row.version)

    def etag(self, transfer_syntax: str | None = None) -> str:
        """D-26: changes with every store, delete and update; the original has its own, and so has a transfer syntax."""
        newest, count = max(series.version for series in self.series), sum(series.instances for series in self.series)
        if self.row:
            newest, count = self.row.version, 1
        version = f"{self.head.current_version(newest)}-{count}"
        original = "-original" if self.original else ""
        suffix = f"-{transfer_syntax}" if transfer_syntax else ""
        return f'"{version}{original}{suffix}"'


async def find(
    storage: Storage,
    partition: str,
    study: str,
    series: str | None = None,
    sop_instance: str | None = None,
    *,
    original: bool = False,
) -> Resource:
    """A study, series or instance. Raises NotFound when there is none (WADO-13, WADO-14)."""
    key = keys.study_partition(partition, study)
    row = None
    if series and sop_instance:
        head, row = await storage.instances.find(key, series, sop_instance)
    else:
        head = await storage.instances.head(key)
    members = [item for item in head.series.values() if series in (None, item.series)] if head.exists else []
    if not members or (sop_instance and not row):
        level = "instance" if sop_instance else "series" if series else "study"
        raise NotFound(f"The specified {level} cannot be found.")
    members.sort(key=lambda item: (item.number, item.series))
    return Resource(key, head, members, row, original)


async def rows(storage: Storage, resource: Resource, *, metadata: bool) -> AsyncIterator[InstanceRow]:
    """The instances of a resource in the order of D-24, with their metadata and frames when that is wanted.

    Raises StudyChanged when some that the resource has are not there any more. Those stored since are left out.
    """
    if resource.row:
        yield resource.row
        return
    few = sum(item.instances for item in resource.series) <= _ROWS_AT_ONCE
    pieces = [resource.series] if few else [[item] for item in resource.series]
    following = asyncio.create_task(_rows(storage, resource, pieces[0], metadata))
    try:
        for piece in [*pieces[1:], None]:
            present = await following
            if piece:
                following = asyncio.create_task(_rows(storage, resource, piece, metadata))
            for row in present:
                yield row
    finally:
        following.cancel()


async def _rows(
    storage: Storage, resource: Resource, series: Sequence[SeriesRow], metadata: bool
) -> Sequence[InstanceRow]:
    """All instances of the study, or those of a single series."""
    assert resource.head.study is not None
    only = series[0].series if len(series) == 1 else None
    found = [row async for row in storage.instances.rows(resource.key, only, metadata=metadata)]
    found = [row for row in found if row.version <= resource.head.study.version]
    if len(found) != sum(item.instances for item in series):
        raise StudyChanged("The study has changed while it was read.")
    order = {item.series: number for number, item in enumerate(series)}
    return sorted(found, key=lambda row: (order[row.series], row.number, row.sop_instance))


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
    """The files of instances, the first bytes of the next ones being read ahead."""

    async def streams() -> AsyncIterator[tuple[InstanceRow, AsyncIterator[bytes]]]:
        async for row in rows:
            yield row, file(storage, resource, row, transfer_syntax)

    async for item in ahead(streams()):
        yield item


async def metadata(storage: Storage, resource: Resource, bulk_data_of: str = "") -> AsyncIterator[bytes]:
    """The JSON array of WADO-81, an instance at a time.

    With BulkDataURIs when `bulk_data_of` is the URL of the study.
    """
    opening = b"["
    async for row in rows(storage, resource, metadata=True):
        base = bulk_data_of and f"{bulk_data_of}/series/{row.series}/instances/{row.sop_instance}/bulkdata/"
        yield opening + await latest_metadata(storage, row, resource.changes(row), base)
        opening = b","
    yield b"]"
