"""Lookup tables: of Modality and VOI LUT sequences (PS3.3 C.11.1, C.11.2) and of palettes (PS3.3 C.7.6.3.1.5, C.7.9.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

MAX_ENTRIES: Final = 1 << 16

_DISCRETE: Final = 0
_LINEAR: Final = 1


@dataclass(frozen=True, slots=True)
class LookupTable:
    """`entries[0]` is for all inputs up to `first`, the last entry for all inputs that have none of their own."""

    first: int
    entries: NDArray[np.uint16]
    bits: int
    """Per entry, as the descriptor has it: 8 to 16."""

    @classmethod
    def of_item(cls, item: Dataset, *, signed: bool, is_little_endian: bool) -> Self:
        """The table of a Modality LUT Sequence or VOI LUT Sequence item; raises ValueError when it is none.

        `signed` tells whether the inputs can be negative, and so the first of them that is mapped.
        """
        count, first, bits = _descriptor(item, "LUTDescriptor", signed=signed)
        data = item.LUTData
        entries = (
            _words(data, count, is_little_endian=is_little_endian) if isinstance(data, bytes) else np.atleast_1d(data)
        )
        return cls(first, _checked(entries), bits)

    @classmethod
    def of_palette(cls, dataset: Dataset, color: str, *, signed: bool, is_little_endian: bool) -> Self:
        """The table of a color ("Red", "Green", "Blue") of a palette, plain or segmented; raises ValueError."""
        count, first, bits = _descriptor(dataset, f"{color}PaletteColorLookupTableDescriptor", signed=signed)
        data = dataset.get(f"{color}PaletteColorLookupTableData")
        if data:
            entries = _words(data, count, is_little_endian=is_little_endian)
        else:
            segments = dataset[f"Segmented{color}PaletteColorLookupTableData"].value
            order = "<" if is_little_endian else ">"
            entries = expand(np.frombuffer(segments, f"{order}u2" if bits > 8 else "u1").tolist())
        return cls(first, _checked(entries), bits)

    @property
    def largest(self) -> int:
        """The largest value that an entry can have. Some writers use fewer bits than they declare, some use more."""
        used = int(self.entries.max())
        return (1 << 8) - 1 if used < 1 << 8 else max((1 << self.bits) - 1, used)

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """The entries for values, of any number type."""
        positions = np.clip(np.nan_to_num(values.astype(np.float64)) - self.first, 0, len(self.entries) - 1)
        found: NDArray[np.uint16] = self.entries[positions.astype(np.intp)]
        return found


def expand(segments: list[int]) -> NDArray[np.uint16]:
    """The entries of a segmented table (PS3.3 C.7.9.2), of discrete and linear segments.

    Raises ValueError for anything else; indirect segments, which repeat others, are not to be met in practice.
    """
    entries: list[int] = []
    position = 0
    while len(segments) - position > 2:  # a byte of padding may be left
        kind, length = segments[position : position + 2]
        if kind == _DISCRETE:
            values = segments[position + 2 : position + 2 + length]
            position += 2 + length
        elif kind == _LINEAR and entries:
            values = np.rint(np.linspace(entries[-1], segments[position + 2], length + 1)[1:]).astype(int).tolist()
            position += 3
        else:
            raise ValueError(f"A segment of a lookup table is of the kind {kind}.")
        entries += values
        if len(entries) > MAX_ENTRIES:
            raise ValueError("The segments of a lookup table have too many entries.")
    return np.array(entries, np.uint16)


def _descriptor(dataset: Dataset, keyword: str, *, signed: bool) -> tuple[int, int, int]:
    """The number of entries, the first input that is mapped, and the bits of an entry.

    All three have the VR of the pixels, which makes large numbers of entries negative and negative inputs large.
    """
    count, first, bits = (int(value) for value in dataset[keyword].value)
    if signed and first >= 1 << 15:
        first -= 1 << 16
    if not 8 <= bits <= 16:
        raise ValueError(f"A lookup table with entries of {bits} bits.")
    return count & 0xFFFF or MAX_ENTRIES, first, bits


def _words(data: bytes, count: int, *, is_little_endian: bool) -> NDArray[Any]:
    """Entries of two bytes, or of one when there are not enough bytes for two."""
    if len(data) >= 2 * count:
        return np.frombuffer(data, "<u2" if is_little_endian else ">u2", count)
    return np.frombuffer(data, "u1")[:count]


def _checked(entries: NDArray[Any]) -> NDArray[np.uint16]:
    if not 0 < entries.size <= MAX_ENTRIES:
        raise ValueError(f"A lookup table of {entries.size} entries.")
    return entries.astype(np.uint16)
