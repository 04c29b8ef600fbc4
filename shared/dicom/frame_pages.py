"""Indexes of very many frames, cut into pages, so that a frame is found by a small part of its index (WADO-65)."""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Final, Self

from shared.dicom.frames import FrameIndex, little_endian

PAGE_FRAGMENTS: Final = 8192
"""A page has no more of them, unless a single frame does: it takes 8 bytes for each at the most, compressed."""

_HEADER: Final = struct.Struct("<cQQI")  # kind, offset of the first fragment, position of the first page, pages


@dataclass(frozen=True, slots=True)
class PagedFrameIndex(FrameIndex):
    """An index that lies elsewhere, in pages of whole frames one behind the other; `pages` are those that were read.

    `first_frames` has the number of frames before each page, and of all; `positions` where each page begins, and the
    last one ends.
    """

    first_frames: Sequence[int] = ()
    positions: Sequence[int] = ()
    pages: Mapping[int, FrameIndex] = field(default_factory=dict)

    def ranges(self, frame: int) -> list[tuple[int, int]]:
        """As of any index; the page of the frame must have been read."""
        page = self.page_of(frame)
        return self.pages[page].ranges(frame - self.first_frames[page])

    def page_of(self, frame: int) -> int:
        """The number, from 0, of the page that has a frame. Raises IndexError when the instance has no such frame."""
        if not 1 <= frame <= self.frames:
            raise IndexError(frame)
        return bisect_right(self.first_frames, frame - 1) - 1

    def with_pages(self, data: Iterable[tuple[int, bytes]]) -> PagedFrameIndex:
        """The index with these pages, given by number."""
        return replace(self, pages={page: FrameIndex.from_bytes(packed) for page, packed in data})

    def to_bytes(self) -> bytes:
        """All but the pages, in a compact form for storage."""
        frames = [after - first for first, after in pairwise(self.first_frames)]
        lengths = [after - first for first, after in pairwise(self.positions)]
        table = little_endian(array("I", [*frames, *lengths]))
        return _HEADER.pack(b"P", self.offset, self.positions[0], len(frames)) + zlib.compress(table.tobytes(), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        _, offset, position, pages = _HEADER.unpack_from(data)
        table = array("I")
        table.frombytes(zlib.decompress(data[_HEADER.size :]))
        table = little_endian(table)
        first_frames = array("I", accumulate(table[:pages], initial=0))
        positions = array("Q", accumulate(table[pages:], initial=position))
        return cls(offset=offset, frames=first_frames[-1], first_frames=first_frames, positions=positions)


def read_index(stored: bytes) -> FrameIndex:
    """The index of either kind from its stored form."""
    return (PagedFrameIndex if stored[:1] == b"P" else FrameIndex).from_bytes(stored)


def pages_position(stored: bytes) -> int | None:
    """Where the first page of an index lies; None of one without pages."""
    if stored[:1] != b"P":
        return None
    _, _, position, _ = _HEADER.unpack_from(stored)
    return int(position)


def cut(index: FrameIndex, position: int) -> tuple[bytes, bytes]:
    """The stored form of an index, and its pages, which are to be at `position`; b"" when it needs none."""
    if len(index.lengths) <= PAGE_FRAGMENTS:
        return index.to_bytes(), b""
    first_frames, packed = [0], []
    while first_frames[-1] < index.frames:
        first = first_frames[-1]
        fragment = index.firsts[first]
        end = max(bisect_right(index.firsts, fragment + PAGE_FRAGMENTS) - 1, first + 1)
        fragments = [after - before for before, after in pairwise(index.firsts[first : end + 1])]
        lengths = index.lengths[fragment : index.firsts[end]]
        packed.append(FrameIndex.of_fragments(index.offsets[fragment], fragments, lengths).to_bytes())
        first_frames.append(end)
    positions = [*accumulate(map(len, packed), initial=position)]
    paged = PagedFrameIndex(index.offset, frames=index.frames, first_frames=first_frames, positions=positions)
    return paged.to_bytes(), b"".join(packed)
