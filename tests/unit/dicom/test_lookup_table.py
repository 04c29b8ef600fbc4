"""Lookup tables of PS3.3 C.11.1, C.11.2, C.7.6.3.1.5 and C.7.9.2."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset

from shared.dicom.lookup_table import LookupTable, expand


def lut(descriptor: list[int], data: bytes | list[int]) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "OW" if isinstance(data, bytes) else "US", data)
    return item


def test_inputs_beyond_the_table_get_its_ends() -> None:
    """PS3.3 C.11.1.1: inputs up to the first one mapped get the first entry, those after the last one the last."""
    table = LookupTable.of_item(lut([3, 10, 16], [100, 200, 300]), signed=False, is_little_endian=True)
    assert table.apply(np.array([0, 10, 11, 12, 13, 65535], np.uint16)).tolist() == [100, 100, 200, 300, 300, 300]
    assert table.apply(np.array([-1e9, 10.9, np.nan, np.inf])).tolist() == [100, 100, 100, 300]


def test_signed_inputs() -> None:
    """The first input is of the VR of the pixels, whatever the file says: US 65534 is SS -2."""
    item = lut([3, 65534, 8], [1, 2, 3])
    assert LookupTable.of_item(item, signed=True, is_little_endian=True).apply(np.array([-2, -1, 0, 5])).tolist() == [
        1,
        2,
        3,
        3,
    ]
    assert LookupTable.of_item(item, signed=False, is_little_endian=True).apply(np.array([0, 65535])).tolist() == [1, 2]


def test_number_of_entries() -> None:
    """PS3.3 C.11.1.1: 0 entries are 65536; a number that was read as signed is negative."""
    table = LookupTable.of_item(lut([0, 0, 16], bytes(65535 * 2) + b"\x01\x02"), signed=False, is_little_endian=True)
    assert len(table.entries) == 65536
    assert table.entries[-1] == 0x0201
    item = Dataset()
    with config.disable_value_validation():
        item.add_new(0x00283002, "SS", [40000 - 65536, 0, 16])
    item.add_new(0x00283006, "OW", bytes(80000))
    assert len(LookupTable.of_item(item, signed=True, is_little_endian=True).entries) == 40000


@pytest.mark.parametrize(
    ("data", "is_little_endian"),
    [
        (b"\x01\x00\x02\x00\x03\x00", True),
        (b"\x00\x01\x00\x02\x00\x03", False),
        (b"\x01\x02\x03\x00", True),
        ([1, 2, 3], False),
    ],
)
def test_forms_of_entries(data: bytes | list[int], is_little_endian: bool) -> None:
    """Words in the byte order of the file, bytes, or numbers."""
    table = LookupTable.of_item(lut([3, 0, 8], data), signed=False, is_little_endian=is_little_endian)
    assert table.entries.tolist() == [1, 2, 3]
    assert table.largest == 255


@pytest.mark.parametrize(
    ("bits", "entries", "largest"),
    [(16, [0, 65535], 65535), (12, [0, 4000], 4095), (16, [0, 200], 255), (10, [0, 3000], 3000)],
)
def test_largest_entry(bits: int, entries: list[int], largest: int) -> None:
    """As declared; but 8 bits in entries of 16, and more bits than declared, are believed to be what they look like."""
    table = LookupTable.of_item(lut([2, 0, bits], entries), signed=False, is_little_endian=True)
    assert table.largest == largest


@pytest.mark.parametrize("item", [lut([3, 0, 16], []), lut([3, 0, 4], [1]), lut([3, 0, 16], b""), lut([3, 0, 32], [1])])
def test_what_is_no_table(item: Dataset) -> None:
    with pytest.raises((ValueError, TypeError)):
        LookupTable.of_item(item, signed=False, is_little_endian=True)


def test_segments() -> None:
    """PS3.3 C.7.9.2: the standard's example of a discrete and a linear segment."""
    assert expand([0, 2, 10, 20, 1, 4, 60]).tolist() == [10, 20, 30, 40, 50, 60]
    assert expand([0, 1, 7, 1, 2, 3, 0]).tolist() == [7, 5, 3]


@pytest.mark.parametrize("segments", [[1, 4, 60], [2, 1, 0, 0], [0, 1, 5, 9, 9, 9], [0, 1, 5] + [1, 65535, 9] * 2])
def test_segments_that_make_no_table(segments: list[int]) -> None:
    with pytest.raises(ValueError, match="lookup table"):
        expand(segments)


def test_palette() -> None:
    dataset = Dataset()
    dataset.RedPaletteColorLookupTableDescriptor = [2, 1, 16]
    dataset.RedPaletteColorLookupTableData = b"\x00\xff\x34\x12"
    dataset.BluePaletteColorLookupTableDescriptor = [4, 0, 16]
    dataset.SegmentedBluePaletteColorLookupTableData = struct.pack("<8H", 0, 1, 1000, 1, 3, 4000, 0, 0)
    red = LookupTable.of_palette(dataset, "Red", signed=False, is_little_endian=True)
    blue = LookupTable.of_palette(dataset, "Blue", signed=False, is_little_endian=True)
    assert (red.first, red.entries.tolist()) == (1, [0xFF00, 0x1234])
    assert (blue.first, blue.entries.tolist()) == (0, [1000, 2000, 3000, 4000])
