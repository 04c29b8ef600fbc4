"""Frames of stored instances: where they lie in the file, and their bytes (WADO-60 to WADO-67, D-27).

A request's frames that lie close to each other are read as one range; the next ones are read ahead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Sequence
from itertools import chain, pairwise

from shared.dicom.frame_pages import PagedFrameIndex, read_index
from shared.dicom.frames import FrameIndex
from shared.errors import BadRequest, NotFound
from shared.services.read_ahead import ahead
from shared.services.stored_file import read_sidecar, read_stored
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage

NEAR_BYTES = 64 * 1024
"""What may lie between two frames that are read as one range."""
RANGES_AHEAD = 8

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
    """How many frames an instance has, and where they lie as far as `located` has seen to it.

    Raises NotFound when it has none (WADO-63).
    """
    if not row.frames:
        raise NotFound("The specified frame cannot be found.")
    return read_index(row.frames)


async def located(storage: Storage, row: InstanceRow, index: FrameIndex, numbers: Collection[int]) -> FrameIndex:
    """The index with all that it needs to tell where these frames lie: of very many frames, it is stored in pages.

    Raises NotFound when a frame is not there (WADO-62), StudyChanged when the instance is gone meanwhile.
    """
    if max(numbers) > index.count:
        raise NotFound("The specified frame cannot be found.")
    if not isinstance(index, PagedFrameIndex):
        return index
    positions = index.positions

    async def read(first: int, last: int) -> list[tuple[int, bytes]]:
        begin, end = positions[first], positions[last + 1]
        data = await read_sidecar(storage, row, begin, end - begin)
        return [(page, data[positions[page] - begin : positions[page + 1] - begin]) for page in range(first, last + 1)]

    runs = await asyncio.gather(*(read(*run) for run in _runs_of(sorted({index.page_of(n) for n in numbers}))))
    return await asyncio.to_thread(index.with_pages, chain.from_iterable(runs))


def _runs_of(pages: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of numbers that follow each other."""
    firsts = [page for before, page in pairwise([-2, *pages]) if page != before + 1]
    lasts = [page for page, after in pairwise([*pages, -2]) if after != page + 1]
    return [*zip(firsts, lasts, strict=True)]


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

    async for run, chunks in ahead(runs(), RANGES_AHEAD):
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
