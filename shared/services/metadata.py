"""The metadata of stored instances: DICOM JSON as kept in the rows, with the study's change sets applied."""

from __future__ import annotations

import zlib

from shared.dicom.change_set import Changes, patch_metadata
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage


async def latest_metadata(storage: Storage, row: InstanceRow, changes: Changes) -> bytes:
    """The DICOM JSON object of an instance (UTF-8, one element a line); with empty `changes` that of the original."""
    packed = row.packed_metadata
    if row.metadata_blob:
        packed = b"".join([chunk async for chunk in storage.wire.read_blob(row.metadata_blob)])
    metadata = zlib.decompress(packed)
    return patch_metadata(metadata, changes, list(row.layout.character_sets)) if changes else metadata
