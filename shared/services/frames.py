"""Frames of stored instances: where they lie in the file, and their bytes (WADO-60 to WADO-67, D-27)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

from shared.dicom.frames import FrameIndex
from shared.errors import BadRequest, NotFound
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage


def parse_frames(text: str) -> list[int]:
    """The frame numbers of a comma list; raises BadRequest (WADO-60)."""
    if not re.fullmatch(r" *-?[0-9]{1,18} *(, *-?[0-9]{1,18} *)*", text):
        raise BadRequest("The specified frames value is not valid. The frames must be integers separated by commas.")
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) <= 0:
        raise BadRequest(
            "The specified frames value is not valid. At least one frame must be present, "
            "and all requested frames must have value greater than 0."
        )
    return numbers


async def frame_index(storage: Storage, row: InstanceRow) -> FrameIndex:
    """Where the frames of an instance lie. Raises NotFound when it has none (WADO-63)."""
    if not row.frames:
        raise NotFound("The specified frame cannot be found.")
    return FrameIndex.from_bytes(row.frames)


def check(index: FrameIndex, numbers: Sequence[int]) -> None:
    """Raises NotFound when a frame is not there (WADO-62)."""
    if max(numbers) > index.count:
        raise NotFound("The specified frame cannot be found.")


async def read_frame(storage: Storage, row: InstanceRow, index: FrameIndex, number: int) -> AsyncIterator[bytes]:
    """The bytes of one frame as stored, in chunks: its own ranges of the blob and nothing else."""
    for offset, length in index.ranges(number):
        async for chunk in storage.wire.read_blob(row.blob, offset, length):
            yield chunk
