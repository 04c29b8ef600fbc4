"""Retrieve (WADO-RS): finds instances, and streams their files, frames and metadata in their latest or original version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shared.dicom.change_set import Changes, patch_file
from shared.errors import NotFound, Unavailable
from shared.services.metadata import latest_metadata
from shared.storage import keys
from shared.storage.rows import InstanceRow, StudyHead
from shared.storage.storage import Storage
from shared.storage.wire import StorageError

READ_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Resource:
    """A study, a series or an instance: the instances it has, in the order of D-24, under the study's head."""

    study: str
    head: StudyHead
    rows: Sequence[InstanceRow]
    original: bool

    def changes(self, row: InstanceRow) -> Changes:
        return {} if self.original else self.head.changes_to(row.version)

    def etag(self) -> str:
        """D-26: changes with every store, delete and update; the original has its own."""
        newest = max(self.head.current_version(row.version) for row in self.rows)
        version = f"{newest}-{len(self.rows)}"
        return f'"{version}-original"' if self.original else f'"{version}"'


async def find(
    storage: Storage,
    partition: str,
    study: str,
    series: str | None = None,
    sop_instance: str | None = None,
    *,
    original: bool = False,
    metadata: bool = False,
) -> Resource:
    """The instances of a resource, with their metadata when that is wanted. Raises NotFound (WADO-13, WADO-14)."""
    key = keys.study_partition(partition, study)
    if series and sop_instance:
        head, row = await storage.instances.find(key, series, sop_instance)
        rows = [row] if row else []
    else:
        head = await storage.instances.head(key)
        numbers = {name: item.number for name, item in head.series.items()}
        found = [row async for row in storage.instances.rows(key, series, metadata=metadata)] if head.exists else []
        rows = sorted(found, key=lambda row: (numbers.get(row.series, 0), row.series, row.number, row.sop_instance))
    if not rows:
        level = "instance" if sop_instance else "series" if series else "study"
        raise NotFound(f"The specified {level} cannot be found.")
    return Resource(study, head, rows, original)


async def file(storage: Storage, resource: Resource, row: InstanceRow) -> AsyncIterator[bytes]:
    """The DICOM file of one instance: as stored, or with the change sets of its study (D-65)."""
    stored = storage.wire.read_blob(row.blob)
    changes = resource.changes(row)
    latest = patch_file(stored, row.layout, changes) if changes else stored
    async for chunk in latest:
        yield chunk


async def files(storage: Storage, resource: Resource) -> AsyncIterator[tuple[InstanceRow, AsyncIterator[bytes]]]:
    """All files of a resource, the first bytes of the next ones being read ahead."""
    waiting: list[asyncio.Task[_Opened]] = []
    rows = iter(resource.rows)
    try:
        while True:
            while len(waiting) < READ_AHEAD and (row := next(rows, None)):
                waiting.append(asyncio.create_task(_Opened.open(row, file(storage, resource, row))))
            if not waiting:
                return
            opened = await waiting.pop(0)
            yield opened.row, opened.chunks()
    finally:
        for task in waiting:
            task.cancel()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(result, _Opened):
                await result.close()


async def metadata(storage: Storage, resource: Resource) -> AsyncIterator[bytes]:
    """The JSON array of WADO-81, an instance at a time."""
    opening = b"["
    for row in resource.rows:
        yield opening + await latest_metadata(storage, row, resource.changes(row))
        opening = b","
    yield b"]"


@dataclass(slots=True)
class _Opened:
    """A file whose first chunk has arrived."""

    row: InstanceRow
    first: bytes
    rest: AsyncIterator[bytes]

    @classmethod
    async def open(cls, row: InstanceRow, stream: AsyncIterator[bytes]) -> _Opened:
        try:
            first = await anext(stream, b"")
        except StorageError as error:
            raise Unavailable(f"The file of the instance {row.sop_instance} cannot be read.") from error
        return cls(row, first, stream)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.first
        async for chunk in self.rest:
            yield chunk

    async def close(self) -> None:
        close = getattr(self.rest, "aclose", None)
        if close:
            await close()
