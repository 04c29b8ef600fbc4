"""Takes a data set apart while its bytes arrive, in chunks of any size (PS3.5 7)."""

from __future__ import annotations

from typing import Final

from shared.dicom import tags, vr
from shared.dicom.element import Element, Fragment, Item, PixelData
from shared.dicom.scan_level import BIG_ENDIAN, LITTLE_ENDIAN, Kind, Level
from shared.errors import InvalidDicom

UNDEFINED_LENGTH: Final = 0xFFFFFFFF

# Longer values are not kept, whatever their VR.
MAX_VALUE_BYTES: Final = 1 << 20
# What one file may occupy: its kept values, and about what each element, item and fragment costs beside its value. Those
# that are not kept count as well, so that this bounds time too.
MAX_KEPT_BYTES: Final = 128 << 20
MAX_NESTING: Final = 64

_ELEMENT_COST: Final = 256
_FRAGMENT_COST: Final = 128

_HEADER: Final = 8  # bytes of most headers, and of the part that tells when there are more
_NO_END: Final = 1 << 62
_NOT_DATA: Final = frozenset({0x0000, 0xFFFE})  # groups of command sets, items and delimiters

_PIXEL_DATA: Final = frozenset({tags.FLOAT_PIXEL_DATA, tags.DOUBLE_FLOAT_PIXEL_DATA, tags.PIXEL_DATA})
# Bulk values that locate frames, and are therefore kept (PS3.3 C.7.6.3.1.8).
_KEPT_BULK: Final = frozenset({tags.EXTENDED_OFFSET_TABLE, tags.EXTENDED_OFFSET_TABLE_LENGTHS})
# How a compressed image begins: JPEG and JPEG-LS with SOI, JPEG 2000 with SOC.
_IMAGE_STARTS: Final = frozenset({b"\xff\xd8", b"\xff\x4f"})
# How it ends: JPEG and JPEG-LS with EOI, JPEG 2000 with EOC. Within so many bytes, as some writers pad generously.
_IMAGE_END: Final = b"\xff\xd9"
_IMAGE_TAIL: Final = 10
_RLE: Final = "1.2.840.10008.1.2.5"

_SHORT_VRS: Final = {name.encode(): name for name in vr.SHORT_LENGTH}
_LONG_VRS: Final = {name.encode(): name for name in vr.LONG_LENGTH}
_ENCAPSULATED: Final = vr.BULK - {"UN"}  # may consist of fragments
_UNKNOWN: Final = frozenset({"", "UN"})
_US_OR_SS: Final = "US or SS"  # depends on PixelRepresentation
# What the dictionary leaves open is settled by implicit VR (PS3.5 A.1), or at the end of the data set.
_CHOICES: Final = {_US_OR_SS: "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}
_WIDTHS: Final = {"AT": 2} | {name: width for name, (_, width) in vr.NUMBER.items()}


class DatasetScanner:
    """Scans a data set. Memory is bounded by MAX_KEPT_BYTES, and values that are not kept are not copied.

    Its methods raise InvalidDicom where the data set is malformed, nests deeper than MAX_NESTING or exceeds the memory.
    """

    def __init__(self, position: int, is_implicit_vr: bool, is_little_endian: bool, transfer_syntax: str) -> None:
        """`position` is the offset of the data set in the file."""
        self.position = position  # of the next byte to take apart
        self.head_length: int | None = None
        self.pixel_data: PixelData | None = None
        self.text_beyond_head = False
        self._start = position
        self._is_rle = transfer_syntax == _RLE
        self._order = LITTLE_ENDIAN if is_little_endian else BIG_ENDIAN
        self._root = Level(Kind.DATASET, _NO_END, False, is_implicit_vr, self._order)
        self._stack = [self._root]
        self._pending = bytearray()  # taken when it has `_needed` bytes
        self._needed = 0
        self._skip = 0  # bytes that remain of a value that is not kept
        self._skips_text = False
        self.kept = 0  # of MAX_KEPT_BYTES
        self._padding_start: int | None = None

    @property
    def elements(self) -> list[Element]:
        """The top level, in file order."""
        return self._root.elements

    def feed(self, data: bytes) -> None:
        """Takes the next bytes, any number of them."""
        if self._padding_start is not None:
            self._check_padding(data)
            return
        if self._skip:
            data = self._skip_over(data)
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
            self._pending.clear()
        taken = self._take(data)
        self.position += taken
        if taken < len(data):
            self._pending += memoryview(data)[taken:]

    def finish(self) -> None:
        """Declares the end. Zeros behind the last element are tolerated, and are no part of the head."""
        if self._skip or len(self._stack) > 1 or self._pending.strip(b"\0"):
            raise InvalidDicom("The file ends within an element.")
        if self.head_length is None:
            self.head_length = self.position if self._padding_start is None else self._padding_start
        self._decide(self._root)

    def _skip_over(self, data: bytes) -> bytes:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self.position += skipped
        if self._skips_text:
            self._note_text(data[:skipped])
            self._skips_text = self._skip > 0
        return data[skipped:]

    def _take(self, data: bytes) -> int:
        """Takes headers and values while they are complete, and returns the number of bytes that are done with."""
        offset = 0
        while True:
            level = self._stack[-1]
            position = self.position + offset
            if position >= level.end:
                if level.delimited or position > level.end:
                    raise InvalidDicom("An element, item or sequence is longer than the one that it is part of.")
                self._close()
                continue
            available = len(data) - offset
            end = self._step(level, data, offset) if available >= _HEADER else offset - _HEADER
            if end < offset:
                self._needed = offset - end
                return offset
            if end > len(data):
                self._skip = end - len(data)
                return len(data)
            offset = end

    def _step(self, level: Level, data: bytes, offset: int) -> int:
        """Takes one header, and the value with it unless that is a structure of its own.

        Returns the offset behind it, which lies beyond `data` when the rest of a value can be skipped; or, when n
        bytes from `offset` are needed, `offset` - n. So do the methods that it calls.
        """
        if level.kind is not Kind.DATASET:
            return (self._item if level.kind is Kind.SEQUENCE else self._fragment)(level, data, offset)
        if level.implicit:
            group, number, length = level.order.implicit(data, offset)
            return self._element(level, data, offset, group << 16 | number, "", length, 8)
        group, number, code, length = level.order.explicit(data, offset)
        if encoded_vr := _SHORT_VRS.get(code):
            return self._element(level, data, offset, group << 16 | number, encoded_vr, length, 8)
        if encoded_vr := _LONG_VRS.get(code):
            if len(data) - offset < 12:
                return offset - 12
            (length,) = level.order.long(data, offset + 8)
            return self._element(level, data, offset, group << 16 | number, encoded_vr, length, 12)
        return self._element(level, data, offset, group << 16 | number, "", 0, 8)

    def _element(
        self, level: Level, data: bytes, offset: int, tag: int, encoded_vr: str, length: int, header: int
    ) -> int:
        position = self.position + offset
        if tag >> 16 in _NOT_DATA:
            return self._end_of_dataset(level, data, offset, tag)
        if level is self._root:
            if position == self._start:
                self._check_encoding(level, data[offset + 4 : offset + 6])
            if self.head_length is None and tag > tags.CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION:
                self.head_length = position
        if not encoded_vr and not level.implicit:
            raise InvalidDicom(f"The element {tags.text(tag)} has no valid VR.")
        end = offset + header + length
        if tag & 0xFFFF == 0:  # a group length, which says nothing that is not known otherwise
            self._charge(_ELEMENT_COST)
            return end
        name = tags.vr_of(tag) if encoded_vr in _UNKNOWN else encoded_vr
        element = Element(tag, _CHOICES.get(name, name), None, position, position + header, length)
        if length == UNDEFINED_LENGTH or name == "SQ":
            self._charge(_ELEMENT_COST)
            self._open(level, element, encoded_vr)
            level.elements.append(element)
            return offset + header
        if tag in _KEPT_BULK or (element.vr not in vr.BULK and length <= MAX_VALUE_BYTES):
            if end > len(data):
                self._check_memory(length)
                return 2 * offset - end
            self._charge(_ELEMENT_COST + length)
            self._keep(level, element, data[offset + header : end], name)
        else:
            self._charge(_ELEMENT_COST)
            if self.head_length is not None and element.vr in vr.TEXT:
                self._note_text(data[offset + header : end])
                self._skips_text = end > len(data)
            if level is self._root and tag in _PIXEL_DATA:
                self.pixel_data = PixelData(tag, element.vr, element.value_offset, length)
        level.elements.append(element)
        return end

    def _keep(self, level: Level, element: Element, value: bytes, dictionary_vr: str) -> None:
        if level.order is not self._order and element.vr in _WIDTHS:  # within UN, which is always little endian
            width = _WIDTHS[element.vr]
            value = b"".join(value[start : start + width][::-1] for start in range(0, len(value), width))
        element.value = value
        if dictionary_vr == _US_OR_SS:
            level.undecided.append(element)
        elif element.tag == tags.PIXEL_REPRESENTATION:
            level.is_signed = any(value)
        elif self.head_length is not None and element.vr in vr.TEXT:
            self._note_text(value)

    def _open(self, level: Level, element: Element, encoded_vr: str) -> None:
        """Enters the sequence or the fragments that are the element's value."""
        delimited = element.length == UNDEFINED_LENGTH
        end = level.end if delimited else element.value_offset + element.length
        if element.vr == "SQ" or (encoded_vr in _UNKNOWN and element.vr not in _ENCAPSULATED):
            if len(self._stack) >= 2 * MAX_NESTING:
                raise InvalidDicom(f"Sequences are nested more than {MAX_NESTING} deep.")
            element.vr = "SQ"
            items: list[Item] = []
            element.value = items
            # Within UN everything is implicit VR little endian (PS3.5 6.2.2).
            implicit, order = (True, LITTLE_ENDIAN) if encoded_vr == "UN" else (level.implicit, level.order)
            self._stack.append(Level(Kind.SEQUENCE, end, delimited, implicit, order, items=items))
        elif element.vr in _ENCAPSULATED:
            nested = Level(Kind.FRAGMENTS, end, delimited, level.implicit, level.order)
            if level is self._root and element.tag == tags.PIXEL_DATA:
                nested.pixel_data = PixelData(element.tag, element.vr, element.value_offset, element.length)
                self.pixel_data = nested.pixel_data
            self._stack.append(nested)
        else:
            raise InvalidDicom(f"The element {tags.text(element.tag)} of VR {element.vr} has an undefined length.")

    def _item(self, level: Level, data: bytes, offset: int) -> int:
        group, number, length = level.order.implicit(data, offset)
        tag = group << 16 | number
        if tag == tags.SEQUENCE_DELIMITATION and level.delimited:
            self._close()
            return offset + _HEADER
        if tag != tags.ITEM:
            raise InvalidDicom(f"A sequence has {tags.text(tag)} in the place of an item.")
        implicit = level.implicit
        if not implicit and length >= _HEADER:
            if len(data) - offset < 14:
                return offset - 14
            # Some writers change to implicit VR within sequences: then a length is where the first VR should be.
            implicit = not data[offset + 12 : offset + 14].isalpha()
        delimited = length == UNDEFINED_LENGTH
        self._charge(_ELEMENT_COST)
        elements: list[Element] = []
        level.items.append(elements)
        end = level.end if delimited else self.position + offset + _HEADER + length
        self._stack.append(Level(Kind.DATASET, end, delimited, implicit, level.order, elements))
        return offset + _HEADER

    def _fragment(self, level: Level, data: bytes, offset: int) -> int:
        if level.fragment_tail:
            return self._fragment_tail(level, data, offset)
        group, number, length = level.order.implicit(data, offset)
        tag = group << 16 | number
        if tag == tags.SEQUENCE_DELIMITATION:
            self._close()
            return offset + _HEADER
        if tag != tags.ITEM or length == UNDEFINED_LENGTH:
            raise InvalidDicom(f"Encapsulated pixel data has {tags.text(tag)} in the place of a fragment.")
        end = offset + _HEADER + length
        pixel_data = level.pixel_data
        if pixel_data is None:
            self._charge(_FRAGMENT_COST)
            return end
        wanted = length if level.is_first_fragment else min(length, 2)
        self._check_memory(wanted)
        if len(data) - offset < _HEADER + wanted:
            return offset - _HEADER - wanted
        value = data[offset + _HEADER : offset + _HEADER + wanted]
        if level.is_first_fragment:
            level.is_first_fragment = False
            self._charge(length)
            pixel_data.basic_offset_table = value
        else:
            self._charge(_FRAGMENT_COST)
            starts_image = self._is_rle or value in _IMAGE_STARTS
            pixel_data.fragments.append(Fragment(self.position + offset + _HEADER, length, starts_image))
            level.fragment_tail = min(length, _IMAGE_TAIL)
        return end - level.fragment_tail

    def _fragment_tail(self, level: Level, data: bytes, offset: int) -> int:
        assert level.pixel_data is not None
        end = offset + level.fragment_tail
        if len(data) < end:
            return offset - level.fragment_tail
        level.pixel_data.fragments[-1].ends_image = _IMAGE_END in data[offset:end]
        level.fragment_tail = 0
        return end

    def _end_of_dataset(self, level: Level, data: bytes, offset: int, tag: int) -> int:
        """Takes the delimiter of an item, or the zeros behind the top level."""
        if tag == tags.ITEM_DELIMITATION and level.delimited:
            self._close()
            return offset + _HEADER
        if level is not self._root or tag:
            raise InvalidDicom(f"A data set has {tags.text(tag)} in the place of an element.")
        self._check_padding(data[offset:])
        self._padding_start = self.position + offset
        return len(data)

    @staticmethod
    def _check_padding(data: bytes) -> None:
        if data.strip(b"\0"):
            raise InvalidDicom("The data set is followed by something else.")

    def _close(self) -> None:
        """Leaves a level. What depends on PixelRepresentation is settled by the nearest one (PS3.3 C.7.6.3.1)."""
        level = self._stack.pop()
        if level.kind is Kind.DATASET:
            if level.is_signed is None:
                self._stack[-2].undecided += level.undecided
            else:
                self._decide(level)

    @staticmethod
    def _decide(level: Level) -> None:
        if level.is_signed:
            for element in level.undecided:
                element.vr = "SS"

    @staticmethod
    def _check_encoding(level: Level, code: bytes) -> None:
        """Refuses a data set that begins in another encoding than its transfer syntax says."""
        if level.implicit and (code in _SHORT_VRS or code in _LONG_VRS):
            raise InvalidDicom("The data set is explicit VR, but its transfer syntax is implicit VR.")
        if not level.implicit and not code.isalpha():
            raise InvalidDicom("The data set is implicit VR, but its transfer syntax is explicit VR.")

    def _note_text(self, text: bytes) -> None:
        if not text.isascii() or b"\x1b" in text:
            self.text_beyond_head = True

    def _check_memory(self, length: int) -> None:
        if self.kept + length > MAX_KEPT_BYTES:
            raise InvalidDicom(f"The data set has more than {MAX_KEPT_BYTES} bytes of elements.")

    def _charge(self, length: int) -> None:
        self.kept += length
        if self.kept > MAX_KEPT_BYTES:
            self._check_memory(0)
