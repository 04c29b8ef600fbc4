"""Where bulk values lie, and the URIs in their place (D-29, PS3.18 F.2)."""

from __future__ import annotations

import json

import pytest
from pydicom.dataset import Dataset

from shared.dicom.bulk_data import (
    BulkValue,
    insert_uris,
    locate,
    pack,
    parse_path,
    path_text,
    unpack,
)
from shared.dicom.element import Element
from tests import builders
from tests.bulk_data import uris
from tests.patching import metadata, scan

BASE = "http://host/v2/studies/1/series/2/instances/3/bulkdata/"


def values_of(file: bytes) -> dict[tuple[int, ...], BulkValue]:
    scanned = scan(file)
    return dict(locate(scanned.dataset, is_big_endian=not scanned.is_little_endian))


def with_uris(file: bytes) -> bytes:
    return insert_uris(metadata(scan(file)), values_of(file).items(), BASE)


@pytest.mark.parametrize("transfer_syntax", [builders.EXPLICIT_LITTLE, builders.RLE])
def test_index_of_an_image_is_small(transfer_syntax: str) -> None:
    """It is in every row."""
    values = values_of(builders.instance(rows=512, columns=512, transfer_syntax=transfer_syntax))
    assert list(values) == [(0x7FE00010,)]
    assert len(pack(values.items())) == 19


def test_index_of_a_file_without_bulk() -> None:
    assert pack(values_of(builders.instance(rows=0)).items()) == b""
    assert list(unpack(b"")) == []


def test_index_of_many_values() -> None:
    """Elements that follow each other take a few bytes each, so that 100,000 fit into a row."""
    values = [((0x00090000 + n,), BulkValue("OB", 1000 + 112 * n, 100)) for n in range(100_000)]
    packed = pack(values)
    assert len(packed) < 600_000
    assert list(unpack(packed)) == values


def test_values_that_are_too_long_for_metadata() -> None:
    """PS3.18 F.2.2: text and numbers may have a URI; VRs that may not (URL, UR) are left out altogether."""
    long = (1 << 20) + 8
    elements = [
        builders.element(0x00080120, "UR", b"x" * long),
        builders.element(0x0040A160, "UT", b"x" * long),
        builders.element(0x00720082, "SV", bytes(long)),
    ]
    file = builders.file_start() + b"".join(elements)
    assert {path: value.vr for path, value in values_of(file).items()} == {(0x0040A160,): "UT", (0x00720082,): "SV"}
    assert json.loads(with_uris(file)) == {
        "0040A160": {"vr": "UT", "BulkDataURI": f"{BASE}0040A160"},
        "00720082": {"vr": "SV", "BulkDataURI": f"{BASE}00720082"},
    }


def test_uris_of_nested_values() -> None:
    """In the items where the values are, with keys in order; empty values have only a VR (PS3.18 F.2.5)."""
    channel = builders.item(ChannelLabel="I", ChannelSensitivity="0.50", ChannelMinimumValue=b"\1\2")
    multiplex = builders.item(
        WaveformData=bytes(8),
        ChannelDefinitionSequence=[builders.item(ChannelLabel="0"), channel],
        SamplingFrequency="1",
    )
    multiplex.add_new(0x00091001, "OB", b"ab")
    for element, vr in ((multiplex["WaveformData"], "OW"), (channel["ChannelMinimumValue"], "OB")):
        element.VR = vr
    empty = builders.item(WaveformPaddingValue=b"")
    empty["WaveformPaddingValue"].VR = "OB"
    text = with_uris(builders.instance(rows=0, WaveformSequence=[empty, builders.item(), multiplex]))
    first, second, third = json.loads(text)["54000100"]["Value"]
    assert first == {"5400100A": {"vr": "OB"}}
    assert second == {}
    assert list(third) == ["00091001", "003A001A", "003A0200", "54001010"]
    assert third["54001010"] == {"vr": "OW", "BulkDataURI": f"{BASE}54000100/2/54001010"}
    channel_uri = f"{BASE}54000100/2/003A0200/1/54000110"
    assert third["003A0200"]["Value"][1]["54000110"] == {"vr": "OB", "BulkDataURI": channel_uri}
    assert b'"Value":[0.50]' in text


def test_the_last_of_two_elements_counts() -> None:
    """As it does in metadata."""
    bulk = builders.element(0x00091001, "OB", b"ab")
    text = builders.element(0x00091001, "SH", b"ab")
    sequence = builders.element(0x00091001, "SQ", builders.implicit_element(0xFFFEE000, bulk))
    for elements, path in (
        ([bulk, text], None),
        ([text, bulk], "00091001"),
        ([sequence, bulk], "00091001"),
        ([bulk, sequence], "00091001/0/00091001"),
        ([builders.element(0x00091001, "SQ", b""), sequence], "00091001/0/00091001"),
        ([sequence, builders.element(0x00091001, "SQ", b"")], None),
    ):
        content = json.loads(with_uris(builders.file_start() + b"".join(elements)))
        assert uris(content) == ({path: BASE + path} if path else {})


def test_byte_order_within_un() -> None:
    """PS3.5 6.2.2: what is within UN is little endian, in a big endian file too."""
    overlay = builders.implicit_element(0x60003000, b"\1\2\3\4")
    item = builders.implicit_element(0xFFFEE000, overlay)
    end = builders.implicit_element(0xFFFEE0DD, b"")
    big = b"\x00\x09\x10\x01UN\0\0\xff\xff\xff\xff" + item + end + b"\x60\x00\x30\x00OW\0\0\0\0\0\x04\1\2\3\4"
    values = values_of(builders.file_start(builders.EXPLICIT_BIG) + big)
    assert {path_text(path): value.swapped_width for path, value in values.items()} == {
        "00091001/0/60003000": 1,
        "60003000": 2,
    }


@pytest.mark.parametrize(
    ("vr", "width"), [("OB", 1), ("UN", 1), ("UT", 1), ("OW", 2), ("OF", 4), ("OL", 4), ("OD", 8), ("OV", 8), ("SS", 2)]
)
def test_width_of_numbers(vr: str, width: int) -> None:
    """PS3.5 7.3."""
    assert BulkValue(vr, 0, 8, is_big_endian=True).swapped_width == width
    assert BulkValue(vr, 0, 8).swapped_width == 1


@pytest.mark.parametrize("text", ["00420011", "54000100/0/54001010", "00081140/999999999/00081140/12/7FE00010"])
def test_paths(text: str) -> None:
    path = parse_path(text)
    assert path is not None
    assert path_text(path) == text
    assert parse_path(text.lower()) == path


@pytest.mark.parametrize(
    "text",
    ["", "/", "0042001", "004200111", "0042001G", "00420011/", "/00420011", "00420011/0", "00420011/0/", "PixelData",
     "00420011/x/00420011", "00420011/-1/00420011", "00420011/٣/00420011", "00420011/0//00420011", "00420011\n",
     "00420011/1000000000/00420011", "0042,0011"],
)  # fmt: skip
def test_texts_that_are_no_path(text: str) -> None:
    assert parse_path(text) is None


def test_elements_of_other_vrs_have_no_uri() -> None:
    elements = [Element(0x00100010, "PN", None, 0, 8, 1 << 21), Element(0x00100020, "LO", b"a", 0, 8, 1)]
    assert list(locate(elements, is_big_endian=False)) == []


def test_a_data_set_with_nothing_else() -> None:
    content = Dataset()
    content.add_new(0x00091001, "OB", b"ab")
    assert json.loads(with_uris(builders.part10(content))) == {
        "00091001": {"vr": "OB", "BulkDataURI": f"{BASE}00091001"}
    }
