"""The fragments of encapsulated values (PS3.5 A.4)."""

from __future__ import annotations

import pytest

from shared.dicom.fragments import FragmentReader
from tests import builders


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("table", [b"", bytes(8)])
def test_fragments(size: int, table: bytes) -> None:
    """Without their headers and the offset table, whatever the chunks; empty ones do no harm."""
    fragments = [b"ab", b"", b"cdef" * 5]
    items = b"".join(builders.implicit_element(0xFFFEE000, item) for item in (table, *fragments))
    value = items + builders.implicit_element(0xFFFEE0DD, b"") + b"what is behind it"
    reader = FragmentReader(is_big_endian=False)
    content = b""
    for chunk in builders.chunks(value, [size]):
        content += reader.feed(chunk)
        if reader.is_at_end:
            break
    assert content == b"".join(fragments)
    assert reader.is_at_end


def test_big_endian() -> None:
    """Not in DICOM, but the scanner takes it."""
    value = b"\xff\xfe\xe0\x00\0\0\0\0" + b"\xff\xfe\xe0\x00\0\0\0\2ab" + b"\xff\xfe\xe0\xdd\0\0\0\0"
    assert FragmentReader(is_big_endian=True).feed(value) == b"ab"
