"""Frames of stored instances: where they lie in the file, and their bytes (WADO-60 to WADO-67, D-27).

A request's frames that lie close to each other are read as one range; the next ones are read ahead.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

from shared.dicom.frames import FrameIndex
from shared.errors import BadRequest, NotFound
from shared.services.read_ahead import ahead
from shared.services.stored_file import read_stored
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage

NEAR_BYTES = 64 * 1024
"""What may lie between two frames that are read as one range."""

type Run = list[int]


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


def frame_index(row: InstanceRow) -> FrameIndex:
    """Where the frames of an instance lie. Raises NotFound when it has none (WADO-63)."""
    if not row.frames:
        raise NotFound("The specified frame cannot be found.")
    return FrameIndex.from_bytes(row.frames)


def check(index: FrameIndex, numbers: Sequence[int]) -> None:
    """Raises NotFound when a frame is not there (WADO-62)."""
    if max(numbers) > index.count:
        raise NotFound("The specified frame cannot be found.")


async def read_frame(storage: Storage, row: InstanceRow, index: FrameIndex, number: int) -> AsyncIterator[bytes]:
    """The bytes of one frame as stored, in chunks."""
    async for _, chunks in read_frames(storage, row, index, [number]):
        async for chunk in chunks:
            yield chunk


async def read_frames(
    storage: Storage, row: InstanceRow, index: FrameIndex, numbers: Sequence[int]
) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
    """The frames with these numbers, in their order; each has to be read to its end before the next.

    Raises StudyChanged when the instance is gone meanwhile.
    """

    async def runs() -> AsyncIterator[tuple[Run, AsyncIterator[bytes]]]:
        for run in _runs(index, numbers):
            yield run, read_stored(storage, row, *_span(index, run))

    async for run, chunks in ahead(runs()):
        cutter = _Cutter(chunks, _span(index, run)[0])
        for number in run:
            yield number, _frame(cutter, index, number)


def _runs(index: FrameIndex, numbers: Sequence[int]) -> list[Run]:
    """The frames in their order, those together that are read as one range."""
    runs: list[Run] = []
    end = None
    for number in numbers:
        ranges = index.ranges(number)
        if end is not None and end <= ranges[0][0] <= end + NEAR_BYTES:
            runs[-1].append(number)
        else:
            runs.append([number])
        end = sum(ranges[-1])
    return runs


def _span(index: FrameIndex, run: Run) -> tuple[int, int]:
    """The range [first, end) of the file that holds a run."""
    return index.ranges(run[0])[0][0], sum(index.ranges(run[-1])[-1])


async def _frame(cutter: _Cutter, index: FrameIndex, number: int) -> AsyncIterator[bytes]:
    pieces = (chunk for offset, length in index.ranges(number) async for chunk in cutter.cut(offset, length))
    if index.frame_bits:
        yield index.aligned(number, b"".join([chunk async for chunk in pieces]))
        return
    async for chunk in pieces:
        yield chunk


class _Cutter:
    """Takes ranges out of a stream, in ascending order."""

    def __init__(self, chunks: AsyncIterator[bytes], position: int) -> None:
        self._chunks = chunks
        self._position = position
        self._rest = b""

    async def cut(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """The bytes [offset, offset + length) of the file."""
        while length:
            if not self._rest:
                self._rest = await anext(self._chunks)
            skipped = min(offset - self._position, len(self._rest))
            piece = self._rest[skipped : skipped + length]
            self._rest = self._rest[skipped + len(piece) :]
            self._position += skipped + len(piece)
            if piece:
                offset += len(piece)
                length -= len(piece)
                yield piece
