"""The headers of data elements in the encodings of PS3.5 7.1, read and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Self

from shared.dicom import head
from shared.dicom import vr as vrs
from shared.dicom.tags import ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, vr_of
from shared.errors import InvalidDicom

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM_START: Final = 6  # bytes within an item that tell its encoding
_LONGEST_SHORT_LENGTH: Final = 0xFFFF


class Header(NamedTuple):
    """The header of an element, an item or a delimiter."""

    tag: int
    vr: str  # as encoded, or as the dictionary has it; "" for items and delimiters
    length: int  # of the value, in bytes; may be UNDEFINED_LENGTH
    size: int  # of the header itself, in bytes


@dataclass(frozen=True, slots=True)
class ElementEncoding:
    """How a data set encodes its elements: explicit or implicit VR, and the byte order."""

    is_implicit_vr: bool
    is_little_endian: bool

    @classmethod
    def of(cls, transfer_syntax: str) -> Self:
        """The encoding that a transfer syntax prescribes (PS3.5 Annex A)."""
        return cls(transfer_syntax == head.IMPLICIT_VR_LITTLE_ENDIAN, transfer_syntax != head.EXPLICIT_VR_BIG_ENDIAN)

    def read_header(self, data: bytes | bytearray, offset: int = 0) -> Header:
        """The header at `offset`. Raises InvalidDicom when `data` ends within it."""
        try:
            tag = self._tag(data, offset)
            if tag >> 16 == 0xFFFE:
                return Header(tag, "", self._unsigned_long(data, offset + 4), 8)
            if self.is_implicit_vr:
                return Header(tag, vr_of(tag), self._unsigned_long(data, offset + 4), 8)
            vr = data[offset + 4 : offset + 6].decode("latin-1")
            if vr in vrs.LONG_LENGTH:
                return Header(tag, vr, self._unsigned_long(data, offset + 8), 12)
            (length,) = struct.unpack_from("<H" if self.is_little_endian else ">H", data, offset + 6)
            return Header(tag, vr, length, 8)
        except struct.error as error:
            raise InvalidDicom("The file ends within an element.") from error

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """The header of an element; `vr` "" for items and delimiters.

        A value too long for the 16 bits that explicit VR gives its VR is labelled UN (PS3.5 6.2.2).
        """
        order = "<" if self.is_little_endian else ">"
        start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
        if self.is_implicit_vr or not vr:
            return start + struct.pack(order + "L", length)
        if vr not in vrs.LONG_LENGTH and length <= _LONGEST_SHORT_LENGTH:
            return start + vr.encode("latin-1") + struct.pack(order + "H", length)
        long_vr = vr if vr in vrs.LONG_LENGTH else "UN"
        return start + long_vr.encode("latin-1") + struct.pack(order + "HL", 0, length)

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """A whole element; `value` has an even length."""
        return self.header(tag, vr, len(value)) + value

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The byte order by the name that `int.from_bytes` has for it."""
        return "little" if self.is_little_endian else "big"

    def end_of_element(self, data: bytes, offset: int) -> int:
        """The offset behind the element at `offset`, whose value is skipped, not decoded.

        Raises InvalidDicom when `data` ends within the element.
        """
        header = self.read_header(data, offset)
        end = offset + header.size
        if header.length != UNDEFINED_LENGTH:
            end += header.length
        else:
            end = self._end_of_undefined_length(data, end, self.within(header))
        if end > len(data):
            raise InvalidDicom("The file ends within an element.")
        return end

    def within(self, sequence: Header) -> ElementEncoding:
        """The encoding of a sequence's items; within UN it is implicit VR little endian (PS3.5 6.2.2)."""
        return IMPLICIT_VR_LITTLE_ENDIAN if sequence.vr == "UN" and not self.is_implicit_vr else self

    def of_item(self, start: bytes | bytearray) -> ElementEncoding:
        """The encoding of an item, from the first bytes within: some writers change to implicit VR in sequences."""
        return self if start[4:6].isalpha() else ElementEncoding(True, self.is_little_endian)

    def _end_of_undefined_length(self, data: bytes, offset: int, encoding: ElementEncoding) -> int:
        open_encodings = [encoding]
        while open_encodings:
            encoding = open_encodings[-1]
            header = encoding.read_header(data, offset)
            offset += header.size
            if header.tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
                open_encodings.pop()
            elif header.length == UNDEFINED_LENGTH:
                is_item = header.tag == ITEM
                start = data[offset : offset + ITEM_START]
                open_encodings.append(encoding.of_item(start) if is_item else encoding.within(header))
            else:
                offset += header.length
        return offset

    def _unsigned_long(self, data: bytes | bytearray, offset: int) -> int:
        (number,) = struct.unpack_from("<L" if self.is_little_endian else ">L", data, offset)
        return int(number)

    def _tag(self, data: bytes | bytearray, offset: int) -> int:
        group, element = struct.unpack_from("<HH" if self.is_little_endian else ">HH", data, offset)
        return int(group) << 16 | int(element)


IMPLICIT_VR_LITTLE_ENDIAN: Final = ElementEncoding(is_implicit_vr=True, is_little_endian=True)
EXPLICIT_VR_LITTLE_ENDIAN: Final = ElementEncoding(is_implicit_vr=False, is_little_endian=True)
