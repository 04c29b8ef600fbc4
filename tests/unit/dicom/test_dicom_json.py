"""Data sets as DICOM JSON (PS3.18 F.2, WADO-82 to WADO-85)."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import orjson
import pytest

from shared.dicom import dicom_json, tags, vr
from shared.dicom.head import HeadScanner
from shared.errors import InvalidDicom
from tests.builders import (
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    UNCOMPRESSED,
    element,
    file_start,
    implicit_element,
    instance,
    item,
)
from tests.pydicom_json import expected, normalised, sample_files

PRIVATE = 0x00091001  # of any VR


def encode(file: bytes) -> bytes:
    scanner = HeadScanner()
    scanner.feed(file)
    content = scanner.finish()
    return dicom_json.encode(content.dataset, content.character_sets, content.is_little_endian)


def metadata(*elements: bytes) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(encode(file_start() + b"".join(elements)))
    return content


def values(vr: str, value: bytes, tag: int = PRIVATE) -> list[Any]:
    """The values of an element of this VR."""
    content = metadata(element(tag, vr, value))[tags.key(tag)]
    assert content.keys() <= {"vr", "Value"}
    assert content["vr"] == vr
    found: list[Any] = content.get("Value", [])
    return found


# The object


def test_every_top_level_element_has_a_line_of_its_own() -> None:
    text = encode(
        file_start() + element(tags.STUDY_DESCRIPTION, "LO", b"a\nb ") + element(tags.PATIENT_ID, "LO", b"4711")
    )
    assert text == b'{\n"00081030":{"vr":"LO","Value":["a\\nb"]},\n"00100020":{"vr":"LO","Value":["4711"]}\n}'


def test_an_empty_data_set_is_an_empty_object() -> None:
    assert orjson.loads(encode(file_start())) == {}
    assert dicom_json.lines(encode(file_start())) == {}


def test_tags_ascend_at_every_depth() -> None:
    unordered = element(tags.PATIENT_ID, "LO", b"4711") + element(tags.MODALITY, "CS", b"CT")
    sequence = element(0x00081140, "SQ", implicit_element(tags.ITEM, unordered))
    content = orjson.loads(encode(file_start() + unordered + sequence))
    assert list(content) == ["00080060", "00081140", "00100020"]
    assert list(content["00081140"]["Value"][0]) == ["00080060", "00100020"]


def test_private_tags_have_upper_case_names() -> None:
    assert list(metadata(element(0x0009AB10, "LO", b"x "))) == ["0009AB10"]


def test_bulk_values_are_absent_at_every_depth() -> None:
    """WADO-82, STOW-84."""
    bulk = b"".join(
        element(PRIVATE + number, vr, bytes(8)) for number, vr in enumerate(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
    )
    assert metadata(bulk, element(0x00081140, "SQ", implicit_element(tags.ITEM, bulk))) == {
        "00081140": {"vr": "SQ", "Value": [{}]}
    }


def test_extended_offset_tables_are_absent() -> None:
    assert metadata(element(tags.EXTENDED_OFFSET_TABLE, "OV", bytes(8))) == {}


def test_group_lengths_and_file_meta_are_absent() -> None:
    """WADO-84, STOW-85."""
    assert metadata(element(0x00080000, "UL", bytes(4))) == {}


def test_private_elements_are_absent_in_implicit_vr() -> None:
    """STOW-83."""
    start = file_start(IMPLICIT_LITTLE) + implicit_element(0x00090010, b"MAKER ")
    content = orjson.loads(encode(start + implicit_element(PRIVATE, b"12")))
    assert content == {"00090010": {"vr": "LO", "Value": ["MAKER"]}}


def test_lines_can_be_taken_apart_and_joined() -> None:
    text = encode(instance(RequestAttributesSequence=[item(StudyID="a,\n")]))
    lines = dicom_json.lines(text)
    assert lines["00200011"] == b'"00200011":{"vr":"IS","Value":[1]}'
    assert {key: orjson.loads(b"{" + line + b"}")[key] for key, line in lines.items()} == orjson.loads(text)
    assert dicom_json.join(dict(reversed(lines.items()))) == text
    assert dicom_json.join({}) == encode(file_start())


# Values (WADO-85)


@pytest.mark.parametrize(
    "name",
    sorted({*vr.NUMBER, *vr.STRING, *vr.TEXT, "AT", "SQ"}),
)
def test_an_empty_element_has_only_a_vr(name: str) -> None:
    assert metadata(element(PRIVATE, name, b"")) == {"00091001": {"vr": name}}


@pytest.mark.parametrize("vr", ["AE", "CS", "DS", "IS", "LO", "PN", "SH", "UC"])
def test_an_element_of_nothing_but_spaces_is_empty(vr: str) -> None:
    assert values(vr, b"  ") == []


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"])
def test_strings_have_several_values(vr: str) -> None:
    assert values(vr, b"12\\34 ") == ["12", "34"]


@pytest.mark.parametrize("vr", ["LT", "ST", "UR", "UT"])
def test_texts_have_one_value(vr: str) -> None:
    assert values(vr, b"12\\34 ") == ["12\\34"]


@pytest.mark.parametrize("vr", ["CS", "DS", "IS", "LO", "PN"])
def test_a_missing_value_among_others_is_null(vr: str) -> None:
    """PS3.18 F.2.5."""
    assert [each is None for each in values(vr, b"1\\\\2 ")] == [False, True, False]
    assert values(vr, b"\\ ") == [None, None]


@pytest.mark.parametrize(
    ("vr", "value", "text"),
    [
        ("LO", b" A B ", " A B"),
        ("LT", b" A\r\n ", " A\r\n"),
        ("CS", b" A B ", "A B"),
        ("AE", b" A B ", "A B"),
        ("UI", b"1.2 ", "1.2"),
        ("DA", b"20240131 ", "20240131"),
    ],
)
def test_padding_is_left_out(vr: str, value: bytes, text: str) -> None:
    assert values(vr, value) == [text]


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"])
def test_nuls_that_pad_a_string_stay(vr: str) -> None:
    """STOW-70, WADO-83."""
    assert values(vr, b"1\0") == ["1\0"]
    assert b'"Value":["1\\u0000"]' in encode(file_start() + element(PRIVATE, vr, b"1\0"))


def test_nuls_that_pad_a_name_stay() -> None:
    assert values("PN", b"Doe^J\0\0\0") == [{"Alphabetic": "Doe^J\0\0\0"}]


def test_the_nul_that_pads_a_uid_is_left_out() -> None:
    assert values("UI", b"1.2.3\0") == ["1.2.3"]
    assert values("UI", b"1.2\\3.4\0") == ["1.2", "3.4"]
    assert values("UI", b"1.2\0\0\0") == ["1.2\0\0"]


@pytest.mark.parametrize(("vr", "value"), [("DA", "20240131"), ("TM", "1011"), ("DT", "2024"), ("DS", 1.5), ("IS", 15)])
def test_nuls_mean_nothing_in_dates_and_numbers(vr: str, value: object) -> None:
    """D-13."""
    assert values(vr, str(value).encode() + b"\0\0") == [value]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"1", b"1"),
        (b" 1.50 ", b"1.50"),
        (b"0.1234567890123456", b"0.1234567890123456"),
        (b"-0.5e-3", b"-0.5e-3"),
        (b"1E5", b"1E5"),
        (b"+1.5", b"1.5"),
        (b".5", b"0.5"),
        (b"5.", b"5.0"),
        (b"007", b"7.0"),
        (b"1,5", b'"1,5"'),
        (b"NaN", b'"NaN"'),
        (b"inf", b'"inf"'),
        (b"1e999", b'"1e999"'),
        (b"1_0", b'"1_0"'),
        (b"0x10", b'"0x10"'),
        (b"\xb2", '"²"'.encode()),
        (b"9" * 400, b'"' + b"9" * 400 + b'"'),
    ],
)
def test_decimal_strings_are_numbers_when_they_parse(value: bytes, number: bytes) -> None:
    text = encode(file_start() + element(PRIVATE, "DS", value))
    assert b'"Value":[%b]' % number in text
    orjson.loads(text)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"12 ", 12),
        (b" -12", -12),
        (b"+12", 12),
        (b"007", 7),
        (b"2147483648", 2147483648),
        (b"1.0", "1.0"),
        (b"1A", "1A"),
        (b"9" * 30, "9" * 30),
    ],
)
def test_integer_strings_are_numbers_when_they_parse(value: bytes, number: object) -> None:
    assert values("IS", value) == [number]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("name", "code", "numbers"),
    [
        ("US", "H", [0, 65535]),
        ("SS", "h", [-32768, 32767]),
        ("UL", "L", [0, 4294967295]),
        ("SL", "l", [-2147483648, 2147483647]),
        ("UV", "Q", [0, 18446744073709551615]),
        ("SV", "q", [-9223372036854775808, 9223372036854775807]),
        ("FL", "f", [1.5, -0.25]),
        ("FD", "d", [0.1, -1e300]),
    ],
)
def test_binary_numbers(order: str, name: str, code: str, numbers: list[float]) -> None:
    little = element(PRIVATE, name, struct.pack(f"<2{code}", *numbers))
    if order == "<":
        assert metadata(little)["00091001"]["Value"] == numbers
        return
    size = 2 * struct.calcsize("<" + code)
    length = struct.pack(">HL", 0, size) if name in vr.LONG_LENGTH else struct.pack(">H", size)
    big = b"\0\x09\x10\x01" + name.encode() + length + struct.pack(f">2{code}", *numbers)
    assert orjson.loads(encode(file_start(EXPLICIT_BIG) + big))["00091001"]["Value"] == numbers


@pytest.mark.parametrize(("vr", "code"), [("FL", "f"), ("FD", "d")])
def test_what_json_has_no_number_for_is_a_string(vr: str, code: str) -> None:
    numbers = [float("nan"), float("inf"), float("-inf"), 1.0]
    assert values(vr, struct.pack(f"<4{code}", *numbers)) == ["NaN", "Infinity", "-Infinity", 1.0]


def test_attribute_tags_are_hexadecimal() -> None:
    assert values("AT", b"\x28\x00\x0a\xab\xe0\x7f\x10\x00") == ["0028AB0A", "7FE00010"]


@pytest.mark.parametrize(("vr", "length"), [("US", 3), ("UL", 2), ("FD", 12), ("AT", 6)])
def test_a_value_of_a_wrong_length_is_absent(vr: str, length: int) -> None:
    assert metadata(element(PRIVATE, vr, bytes(length)), element(tags.PATIENT_ID, "LO", b"47")).keys() == {"00100020"}


def test_the_number_of_entries_of_a_lookup_table_is_never_negative() -> None:
    """PS3.3 C.11.1.1.1."""
    assert values("SS", struct.pack("<hhh", -25536, -1, 16), 0x00283002) == [40000, -1, 16]
    assert values("SS", struct.pack("<hhh", -25536, -1, 16)) == [-25536, -1, 16]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("Doe^Jane ", {"Alphabetic": "Doe^Jane"}),
        ("A=I=P", {"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}),
        ("=I", {"Ideographic": "I"}),
        ("==P ", {"Phonetic": "P"}),
        ("A==", {"Alphabetic": "A"}),
        ("A=I=P=X", {"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}),
        ("^^Dr ", {"Alphabetic": "^^Dr"}),
    ],
)
def test_person_names_have_the_groups_that_are_not_empty(name: str, groups: dict[str, str]) -> None:
    """PS3.18 F.2.2."""
    assert values("PN", name.encode()) == [groups]


def test_a_name_without_groups_is_empty() -> None:
    assert values("PN", b"==") == []
    assert values("PN", b"A\\=") == [{"Alphabetic": "A"}, None]


# Sequences and character sets


def test_sequences() -> None:
    content = orjson.loads(encode(instance(RequestAttributesSequence=[item(StudyID="1"), item()])))
    assert content["00400275"] == {"vr": "SQ", "Value": [{"00200010": {"vr": "SH", "Value": ["1"]}}, {}]}


def test_items_inherit_the_character_set_or_have_their_own() -> None:
    """PS3.5 7.5.3."""
    own = item(SpecificCharacterSet="ISO_IR 144", StudyID="Люк", RequestAttributesSequence=[item(StudyID="Люк")])
    file = instance(
        SpecificCharacterSet="ISO_IR 100", StudyID="Jé", RequestAttributesSequence=[own, item(StudyID="Jé")]
    )
    content = orjson.loads(encode(file))
    first, second = content["00400275"]["Value"]
    assert content["00200010"]["Value"] == second["00200010"]["Value"] == ["Jé"]
    assert first["00200010"]["Value"] == first["00400275"]["Value"][0]["00200010"]["Value"] == ["Люк"]


def test_text_is_utf_8() -> None:
    assert "山田".encode() in encode(instance(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada=山田"))


# Against pydicom


@pytest.mark.parametrize("transfer_syntax", UNCOMPRESSED)
def test_pydicom_says_the_same_of_generated_files(transfer_syntax: str) -> None:
    file = instance(transfer_syntax=transfer_syntax, RequestAttributesSequence=[item(StudyID="7"), item()])
    assert normalised(orjson.loads(encode(file))) == expected(file)


# Files that are refused although pydicom reads what it can of them, and one that pydicom cannot express as JSON.
REFUSED = {
    "DICOMDIR-nooffset": "ends within",
    "MR_truncated.dcm": "ends within",
    "SC_rgb_jpeg.dcm": "implicit VR",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "ends within",
    "meta_missing_tsyntax.dcm": "TransferSyntaxUID",
    "rtplan_truncated.dcm": "ends within",
}
INVALID_NUMBER = "badVR.dcm"


@pytest.mark.parametrize("name", sorted(sample_files().keys() - REFUSED.keys() - {INVALID_NUMBER}))
def test_pydicom_says_the_same_of_its_sample_files(name: str) -> None:
    file = sample_files()[name].read_bytes()
    with warnings.catch_warnings(action="error"):
        content = orjson.loads(encode(file))
    assert normalised(content) == expected(file)


@pytest.mark.parametrize("name", REFUSED)
def test_broken_sample_files_are_refused_with_a_reason(name: str) -> None:
    with pytest.raises(InvalidDicom, match=REFUSED[name]):
        encode(sample_files()[name].read_bytes())


def test_numbers_that_pydicom_refuses_are_strings() -> None:
    content = orjson.loads(encode(sample_files()[INVALID_NUMBER].read_bytes()))
    assert any(each["vr"] == "IS" and isinstance(each.get("Value", [0])[0], str) for each in content.values())
