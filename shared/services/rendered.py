"""Rendered images of stored instances (WADO-6, WADO-7, WADO-70 to WADO-76, D-28, D-29)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from shared.dicom.frames import FrameIndex
from shared.dicom.head import DEFLATED, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from shared.dicom.rendering import MediaType, Rendition, draw
from shared.errors import NotAcceptable, NotFound, ServiceError
from shared.services import codecs, retrieve
from shared.services.frames import read_frame
from shared.services.races import StudyChanged
from shared.services.retrieve import Resource
from shared.services.stored_file import read_bytes
from shared.services.transcode import transcoded_frame
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage

MAX_BYTES: Final = 100 << 20
"""Of one frame as stored, and of what stands before the pixels in the file (WADO-74, D-25)."""

NOT_RENDERED: Final = "An error was encountered when attempting to convert the dicom file into an image"

# To be raised when images come out differently: clients compare entity tags, not releases.
_EDITION: Final = 1


async def representative(storage: Storage, resource: Resource) -> InstanceRow:
    """The instance that stands for a study or series: the middle one, in the order of D-24, of those that have pixels.

    Raises NotFound when there is none (WADO-73), StudyChanged when the instance is gone meanwhile.
    """
    if resource.row:
        return resource.row
    drawable = [row async for row in retrieve.rows(storage, resource, metadata=False) if row.has_pixels]
    if not drawable:
        raise NotFound("The specified frame cannot be found.")
    middle = drawable[len(drawable) // 2]
    _, row = await storage.instances.find(resource.key, middle.series, middle.sop_instance)
    if row is None:
        raise StudyChanged("The study has changed while it was read.")
    return row


def etag(row: InstanceRow, frame: int, rendition: Rendition, media_type: MediaType) -> str:
    """The entity tag of a rendered frame. Updates never touch what an instance looks like (WADO-67)."""
    what = (_EDITION, row.series, row.sop_instance, row.version, frame, rendition, media_type)
    return f'"{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}"'


async def rendered_frame(
    storage: Storage, row: InstanceRow, index: FrameIndex, frame: int, rendition: Rendition, media_type: MediaType
) -> bytes:
    """A frame as an image file; `frame` counts from 1.

    Raises NotAcceptable when it cannot be rendered (WADO-74), BadRequest when the viewport's region lies outside of it,
    StudyChanged when the instance is gone meanwhile.
    """
    syntax = row.layout.transfer_syntax
    # A deflated data set has to be inflated from its beginning.
    head_length = row.length if syntax in DEFLATED else index.offset
    if max(head_length, index.length(frame)) > MAX_BYTES:
        raise NotAcceptable("The instance is too large to be rendered.")
    head, data = await asyncio.gather(
        _joined(read_bytes(storage, row, 0, head_length)), _frame(storage, row, index, frame)
    )
    try:
        drawn = await codecs.run(draw, head, data, syntax, frame, rendition, media_type)
    except codecs.CodecFailed as error:
        raise NotAcceptable(NOT_RENDERED) from error
    if isinstance(drawn, ServiceError):
        raise drawn
    return drawn


async def _frame(storage: Storage, row: InstanceRow, index: FrameIndex, frame: int) -> bytes:
    """The frame as stored, but in little endian."""
    if row.layout.transfer_syntax == EXPLICIT_VR_BIG_ENDIAN:
        return await transcoded_frame(storage, row, index, frame, EXPLICIT_VR_LITTLE_ENDIAN)
    return await _joined(read_frame(storage, row, index, frame))


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
