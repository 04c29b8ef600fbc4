"""Elements taken from one encoding of data sets to another: explicit or implicit VR, big or little endian (PS3.5 7)."""

from __future__ import annotations

from collections.abc import Sequence

from shared.dicom import vr as vrs
from shared.dicom.element import Element
from shared.dicom.element_codec import UNDEFINED_LENGTH, ElementEncoding
from shared.dicom.element_list import EncodedElements
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.tags import ITEM
from shared.errors import InvalidDicom

# Bytes of what is reversed as a whole when the byte order changes.
_WIDTHS = {"AT": 2, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2} | {
    name: width for name, (_, width) in vrs.NUMBER.items()
}


def reencode(
    elements: Sequence[Element], data: bytes, source: ElementEncoding, target: ElementEncoding
) -> EncodedElements:
    """The elements of a data set in the encoding `target`, without group lengths, which are retired (PS3.5 7.2).

    `elements` are what a scanner has found in `data`, with offsets in it; `source` is their encoding. Values keep their
    bytes, but for the byte order: no text is decoded. In an encoding that they have already, elements stay as they are.

    Raises InvalidDicom for compressed pixel data in a sequence, which native transfer syntaxes cannot hold (PS3.5 A.4).
    """
    if source == target:
        return [
            (element.tag, data[element.offset : source.end_of_element(data, element.offset)]) for element in elements
        ]
    swaps = source.is_little_endian != target.is_little_endian
    return [(element.tag, _encode(element, data, target, swaps)) for element in elements]


def swapped(value: bytes, width: int) -> bytes:
    """The value with the bytes of each `width` of them reversed; what is left over at the end stays."""
    if width == 1:
        return value
    whole = len(value) // width * width
    reversed_bytes = bytearray(value)
    for offset in range(width):
        reversed_bytes[offset:whole:width] = value[width - 1 - offset : whole : width]
    return bytes(reversed_bytes)


def width_of_pixels(vr: str, image: ImagePixel | None) -> int:
    """The `width` to swap native pixel data by: that of a sample, or of a word of two samples.

    Samples of more than 16 bits are reversed as a whole, as most writers do, not a word at a time.
    """
    if image is not None and image.bits_allocated > 8:
        return image.bits_allocated // 8
    return _WIDTHS.get(vr, 1)


def _encode(element: Element, data: bytes, target: ElementEncoding, swaps: bool) -> bytes:
    value = element.value
    if isinstance(value, list):
        items = b"".join(_encode_item(item, data, target, swaps) for item in value)
        return target.element(element.tag, "SQ", items)
    if value is None:
        if element.length == UNDEFINED_LENGTH:
            raise InvalidDicom("Compressed pixel data within a sequence cannot be encoded.")
        value = data[element.value_offset : element.value_offset + element.length]
    if swaps:
        value = swapped(value, _WIDTHS.get(element.vr, 1))
    return target.element(element.tag, element.vr, value + bytes(len(value) % 2))


def _encode_item(item: Sequence[Element], data: bytes, target: ElementEncoding, swaps: bool) -> bytes:
    elements = b"".join(_encode(element, data, target, swaps) for element in item)
    return target.header(ITEM, "", len(elements)) + elements
