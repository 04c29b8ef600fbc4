"""The metadata of stored instances: DICOM JSON as kept in the rows, with the study's change sets applied."""

from __future__ import annotations

import asyncio
import zlib

from shared.dicom.bulk_data import insert_uris, unpack
from shared.dicom.change_set import Changes, patch_metadata
from shared.dicom.frame_pages import pages_position
from shared.services.stored_file import read_sidecar
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage

_LARGE_METADATA = 256 * 1024


async def latest_metadata(storage: Storage, row: InstanceRow, changes: Changes, bulk_data_base: str = "") -> bytes:
    """The DICOM JSON object of an instance (UTF-8, one element a line); with empty `changes` that of the original.

    With a BulkDataURI for every value that it leaves out when `bulk_data_base`, which they begin with, is given (D-29).
    Raises StudyChanged when the instance is gone meanwhile.
    """
    metadata, bulk_data = await _stored(storage, row)
    if changes:
        metadata = patch_metadata(metadata, changes, list(row.layout.character_sets))
    if not bulk_data_base:
        return metadata
    if len(metadata) + len(bulk_data) > _LARGE_METADATA:
        return await asyncio.to_thread(insert_uris, metadata, unpack(bulk_data), bulk_data_base)
    return insert_uris(metadata, unpack(bulk_data), bulk_data_base)


async def bulk_data_of(storage: Storage, row: InstanceRow) -> bytes:
    """Where the values are that the metadata of an instance leaves out, as `bulk_data.pack` has made it."""
    return (await _stored(storage, row))[1] if row.metadata_blob else row.bulk_data


async def _stored(storage: Storage, row: InstanceRow) -> tuple[bytes, bytes]:
    """The metadata as they were stored, and the bulk data index. Raises StudyChanged when the instance is gone meanwhile."""
    if not row.metadata_blob:
        return zlib.decompress(row.packed_metadata), row.bulk_data
    packed = await read_sidecar(storage, row, 0, pages_position(row.frames))
    inflater = zlib.decompressobj()
    return inflater.decompress(packed), inflater.unused_data
