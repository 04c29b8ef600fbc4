"""The nested structures that a data set scanner is inside of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Final

from shared.dicom.element import Element, Item, PixelData


class Kind(IntEnum):
    DATASET = 0
    SEQUENCE = 1
    FRAGMENTS = 2


class ByteOrder:
    """The headers of elements and items in one byte order."""

    def __init__(self, order: str) -> None:
        self.explicit: Callable[[bytes, int], tuple[int, int, bytes, int]] = Struct(order + "HH2sH").unpack_from
        self.implicit: Callable[[bytes, int], tuple[int, int, int]] = Struct(order + "HHL").unpack_from
        self.long: Callable[[bytes, int], tuple[int]] = Struct(order + "L").unpack_from


LITTLE_ENDIAN: Final = ByteOrder("<")
BIG_ENDIAN: Final = ByteOrder(">")


@dataclass(slots=True)
class Level:
    """A data set, a sequence or the fragments of a value, of which the end has not been seen."""

    kind: Kind
    end: int  # offset that it cannot pass; it ends there unless it is `delimited`
    delimited: bool
    implicit: bool
    order: ByteOrder
    elements: list[Element] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    pixel_data: PixelData | None = None  # that the fragments belong to
    is_first_fragment: bool = True
    fragment_tail: int = 0  # bytes at the end of the current fragment that are still to be looked at
    is_signed: bool | None = None  # PixelRepresentation
    undecided: list[Element] = field(default_factory=list)  # that are US or SS
