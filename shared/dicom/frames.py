"""Where the frames of an instance lie in its file, so that each can be read as a range (WADO-65, WADO-66)."""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Self

from shared.dicom import tags
from shared.dicom.element import Fragment, PixelData, ScannedFile
from shared.dicom.element_codec import UNDEFINED_LENGTH

_NATIVE: Final = struct.Struct("<cQQQ")  # kind, offset, frame length in bytes (in bits if they are packed), frames
_ENCAPSULATED: Final = struct.Struct("<cQI")  # kind, offset of the first fragment, frames
_ITEM_HEADER: Final = 8

# Chrominance is sampled for every second pixel only (PS3.3 C.7.6.3.1.2).
_SUBSAMPLED: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The byte ranges of every frame of one file.

    All offsets are counted in the file, of a deflated file in its inflated form. Native frames follow each other without
    a gap, so `offset`, `frame_length` and `frames` say it all; frames of packed bits that do not fill bytes have
    `frame_bits` instead. Frames of encapsulated pixel data are runs of fragments: `firsts` holds the number of each
    frame's first fragment (and one more entry, the number of fragments), `offsets` and `lengths` the fragments' values.
    """

    offset: int = 0
    frame_length: int = 0
    frames: int = 0
    frame_bits: int = 0
    firsts: Sequence[int] = ()
    offsets: Sequence[int] = ()
    lengths: Sequence[int] = ()

    @property
    def count(self) -> int:
        """The number of frames."""
        return self.frames

    def length(self, frame: int) -> int:
        """The bytes of a frame. Raises IndexError as `ranges` does."""
        if self.frame_bits:
            return (self.frame_bits + 7) // 8
        return sum(length for _, length in self.ranges(frame))

    def ranges(self, frame: int) -> list[tuple[int, int]]:
        """The ranges of a frame, as (offset in the file, length in bytes); `frame` counts from 1.

        Of packed bits they may hold a few of the neighbours too, which `aligned` takes off. Raises IndexError when the
        instance has no such frame.
        """
        if not 1 <= frame <= self.frames:
            raise IndexError(frame)
        if self.frame_bits:
            first, end = (frame - 1) * self.frame_bits // 8, (frame * self.frame_bits + 7) // 8
            return [(self.offset + first, end - first)]
        if not self.firsts:
            return [(self.offset + (frame - 1) * self.frame_length, self.frame_length)]
        fragments = range(self.firsts[frame - 1], self.firsts[frame])
        return [(self.offsets[fragment], self.lengths[fragment]) for fragment in fragments]

    def aligned(self, frame: int, data: bytes) -> bytes:
        """A frame of packed bits from the bytes of its range: it begins on a byte, and ends in zeros (PS3.5 8.1.1)."""
        bits = int.from_bytes(data, "little") >> (frame - 1) * self.frame_bits % 8
        return (bits & (1 << self.frame_bits) - 1).to_bytes(self.length(frame), "little")

    def to_bytes(self) -> bytes:
        """A compact form for storage: 25 bytes when native, a deflated table of lengths when encapsulated."""
        if self.frame_bits:
            return _NATIVE.pack(b"B", self.offset, self.frame_bits, self.frames)
        if not self.firsts:
            return _NATIVE.pack(b"N", self.offset, self.frame_length, self.frames)
        # Fragments are separated by nothing but item headers, so that their lengths tell their offsets.
        fragments_per_frame = [after - first for first, after in pairwise(self.firsts)]
        table = little_endian(array("I", [*fragments_per_frame, *self.lengths]))
        return _ENCAPSULATED.pack(b"E", self.offset, self.frames) + zlib.compress(table.tobytes(), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        if data[:1] in (b"N", b"B"):
            kind, offset, size, frames = _NATIVE.unpack(data)
            return cls(offset, size, frames) if kind == b"N" else cls(offset, frames=frames, frame_bits=size)
        _, offset, frames = _ENCAPSULATED.unpack_from(data)
        table = array("I")
        table.frombytes(zlib.decompress(data[_ENCAPSULATED.size :]))
        table = little_endian(table)
        return cls.of_fragments(offset, table[:frames], table[frames:])

    @classmethod
    def of_fragments(cls, offset: int, fragments_per_frame: Sequence[int], lengths: Sequence[int]) -> Self:
        """The index of encapsulated frames, from the offset of the first fragment's value."""
        steps = (length + _ITEM_HEADER for length in lengths[:-1])
        return cls(
            offset=offset,
            frames=len(fragments_per_frame),
            firsts=array("I", accumulate(fragments_per_frame, initial=0)),
            offsets=array("Q", accumulate(steps, initial=offset)),
            lengths=array("I", lengths),
        )


def locate_frames(scan: ScannedFile) -> FrameIndex | None:
    """The frames of a scanned file; None without pixel data, or when its frames cannot be told apart.

    They cannot when the image's description is incomplete, or neither an offset table nor the starts and ends of
    images assign fragments to frames.
    """
    pixel_data = scan.pixel_data
    if pixel_data is None:
        return None
    if pixel_data.length == UNDEFINED_LENGTH:
        return _encapsulated(scan, pixel_data)
    return _native(scan, pixel_data)


def _native(scan: ScannedFile, pixel_data: PixelData) -> FrameIndex | None:
    rows, columns = _unsigned(scan, tags.ROWS), _unsigned(scan, tags.COLUMNS)
    samples, bits_allocated = _unsigned(scan, tags.SAMPLES_PER_PIXEL) or 1, _unsigned(scan, tags.BITS_ALLOCATED)
    if not rows or not columns or not bits_allocated:
        return None
    bits = rows * columns * samples * bits_allocated
    frames = _number_of_frames(scan) or max(pixel_data.length * 8 // bits, 1)
    claimed = frames * bits // 8
    if _text(scan, tags.PHOTOMETRIC_INTERPRETATION) in _SUBSAMPLED and pixel_data.length < claimed:
        bits = bits * 2 // 3
    complete = min(frames, pixel_data.length * 8 // bits)
    if not complete:
        return None
    if bits % 8 and frames > 1:
        return FrameIndex(pixel_data.value_offset, frames=complete, frame_bits=bits)
    return FrameIndex(pixel_data.value_offset, (bits + 7) // 8, complete)


def _encapsulated(scan: ScannedFile, pixel_data: PixelData) -> FrameIndex | None:
    fragments = pixel_data.fragments
    if not fragments:
        return None
    frames = _number_of_frames(scan) or sum(fragment.starts_image for fragment in fragments) or len(fragments)
    firsts = (
        _firsts_of_table(fragments, _extended_offset_table(scan), frames)
        or _firsts_of_table(fragments, _offsets(pixel_data.basic_offset_table, "I"), frames)
        or _firsts_without_table(fragments, frames)
    )
    if firsts is None:
        return None
    fragments_per_frame = [after - first for first, after in pairwise([*firsts, len(fragments)])]
    return FrameIndex.of_fragments(
        fragments[0].offset, fragments_per_frame, [fragment.length for fragment in fragments]
    )


def _firsts_of_table(fragments: list[Fragment], table: Sequence[int], frames: int) -> list[int] | None:
    """Each frame's first fragment by an offset table (PS3.5 A.4), None unless the table fits the fragments."""
    if len(table) != frames or table[0] != 0:
        return None
    # Offsets count from the item tag of the first fragment.
    origin = fragments[0].offset
    numbers = {fragment.offset - origin: number for number, fragment in enumerate(fragments)}
    firsts = [numbers.get(offset, -1) for offset in table]
    ascending = all(first < after for first, after in pairwise(firsts))
    return firsts if ascending else None


def _firsts_without_table(fragments: list[Fragment], frames: int) -> list[int] | None:
    if frames == 1:
        return [0]
    if frames == len(fragments):
        return list(range(frames))
    starts = [number for number, fragment in enumerate(fragments) if fragment.starts_image]
    behind_ends = [0, *(number for number, (before, _) in enumerate(pairwise(fragments), 1) if before.ends_image)]
    both = sorted(set(starts) & set(behind_ends))
    return next((firsts for firsts in (starts, behind_ends, both) if len(firsts) == frames and firsts[0] == 0), None)


def _extended_offset_table(scan: ScannedFile) -> Sequence[int]:
    """The Extended Offset Table (PS3.3 C.7.6.3.1.8). The lengths beside it are those of the fragments."""
    return _offsets(_value(scan, tags.EXTENDED_OFFSET_TABLE), "Q")


def _offsets(table: bytes, typecode: str) -> Sequence[int]:
    offsets = array(typecode)
    offsets.frombytes(table[: len(table) // offsets.itemsize * offsets.itemsize])
    return little_endian(offsets)


def little_endian(numbers: array[int]) -> array[int]:
    """Numbers of this machine as little endian ones, or the other way round."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _number_of_frames(scan: ScannedFile) -> int | None:
    """None when the file has one that is no number."""
    text = _text(scan, tags.NUMBER_OF_FRAMES)
    try:
        return max(int(text), 1) if text else 1
    except ValueError:
        return None


def _unsigned(scan: ScannedFile, tag: int) -> int:
    return int.from_bytes(_value(scan, tag)[:2], "little" if scan.is_little_endian else "big")


def _text(scan: ScannedFile, tag: int) -> str:
    return _value(scan, tag).decode("latin-1").strip(" \0")


def _value(scan: ScannedFile, tag: int) -> bytes:
    for element in scan.dataset:
        if element.tag == tag and isinstance(element.value, bytes):
            return element.value
    return b""
