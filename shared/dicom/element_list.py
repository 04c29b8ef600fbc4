"""Encoded elements in a row, taken apart and put together without decoding their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.dicom.element_codec import ElementEncoding

type EncodedElements = list[tuple[int, bytes]]
"""Tag and encoding (header and value) of each element."""


def split(data: bytes, offset: int, encoding: ElementEncoding) -> Iterator[tuple[int, bytes]]:
    """The elements from `offset` to the end of `data`. Raises InvalidDicom when that is within an element."""
    while offset < len(data):
        end = encoding.end_of_element(data, offset)
        yield encoding.read_header(data, offset).tag, data[offset:end]
        offset = end


def replace(elements: EncodedElements, replacements: Mapping[int, bytes]) -> EncodedElements:
    """The elements with `replacements` in the place of those with the same tag, or in ascending order between them."""
    pending = sorted(replacements.items(), reverse=True)
    replaced = []
    for tag, element in elements:
        while pending and pending[-1][0] <= tag:
            replaced.append(pending.pop())
        if tag not in replacements:
            replaced.append((tag, element))
    return replaced + pending[::-1]
