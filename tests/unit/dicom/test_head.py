"""What is known of a Part 10 file once it has been scanned (STOW-27, STOW-40)."""

from __future__ import annotations

import collections
import itertools
import struct
import tracemalloc
import zlib

import pytest

from shared.dicom import dataset_scanner, tags
from shared.dicom.head import Element, HeadScanner, ScannedFile
from shared.errors import InvalidDicom
from tests.builders import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPEG_2000,
    JPEG_BASELINE,
    RLE,
    UNCOMPRESSED,
    chunks,
    element,
    file_start,
    implicit_element,
    instance,
    item,
)
from tests.pydicom_json import sample_files

PATIENT_ID = element(tags.PATIENT_ID, "LO", b"4711")
SEQUENCE = 0x00081140  # ReferencedImageSequence
UNDEFINED = 0xFFFFFFFF
ITEM_END = implicit_element(tags.ITEM_DELIMITATION, b"")
SEQUENCE_END = implicit_element(tags.SEQUENCE_DELIMITATION, b"")


def scan(file: bytes, *sizes: int) -> ScannedFile:
    scanner = HeadScanner()
    for chunk in chunks(file, sizes or (len(file),)):
        scanner.feed(chunk)
    return scanner.finish()


def explicit(*elements: bytes) -> bytes:
    return file_start(EXPLICIT_LITTLE) + b"".join(elements)


def implicit(*elements: bytes) -> bytes:
    return file_start(IMPLICIT_LITTLE) + b"".join(elements)


def find(elements: list[Element], tag: int) -> Element:
    return next(each for each in elements if each.tag == tag)


def value(elements: list[Element], tag: int) -> bytes:
    found = find(elements, tag).value
    assert isinstance(found, bytes)
    return found


def items(elements: list[Element], tag: int) -> list[list[Element]]:
    found = find(elements, tag).value
    assert isinstance(found, list)
    return found


# Files that are stored


@pytest.mark.parametrize("transfer_syntax", UNCOMPRESSED)
def test_every_encoding_is_understood(transfer_syntax: str) -> None:
    content = scan(
        instance(
            "1.2",
            transfer_syntax=transfer_syntax,
            RequestAttributesSequence=[item(StudyID="7"), item()],
        )
    )
    assert content.transfer_syntax == transfer_syntax
    assert content.is_implicit_vr == (transfer_syntax == IMPLICIT_LITTLE)
    assert content.is_little_endian == (transfer_syntax != EXPLICIT_BIG)
    assert content.is_deflated == (transfer_syntax == DEFLATED)
    assert value(content.dataset, tags.STUDY_INSTANCE_UID) == b"1.2\0"
    assert value(content.dataset, tags.ROWS) == (b"\0\4" if transfer_syntax == EXPLICIT_BIG else b"\4\0")
    first, second = items(content.dataset, 0x00400275)
    assert [(each.tag, each.vr, each.value) for each in first] == [(tags.STUDY_ID, "SH", b"7 ")]
    assert second == []


def test_offsets_point_into_the_file() -> None:
    file = instance(PatientName="Doe^John", RequestAttributesSequence=[item(StudyID="7")])
    for each in (*scan(file).dataset, *items(scan(file).dataset, 0x00400275)[0]):
        assert file[each.offset : each.offset + 4] == struct.pack("<HH", each.tag >> 16, each.tag & 0xFFFF)
        if isinstance(each.value, bytes):
            assert file[each.value_offset : each.value_offset + each.length] == each.value


def test_offsets_of_a_deflated_file_refer_to_its_inflated_form() -> None:
    file = instance(transfer_syntax=DEFLATED)
    content = scan(file)
    start = 132 + sum(len(element(each.tag, each.vr, bytes(each.length))) for each in content.file_meta) + 12
    inflated = file[:start] + zlib.decompress(file[start:], -zlib.MAX_WBITS)
    name = find(content.dataset, tags.PATIENT_NAME)
    assert inflated[name.value_offset : name.value_offset + name.length] == name.value
    assert inflated[content.head_length :].startswith(b"\xe0\x7f\x10\0OB")
    assert content.length == len(file)


def test_file_meta_is_kept_without_its_group_length() -> None:
    file_meta = scan(instance(transfer_syntax=RLE)).file_meta
    assert tags.FILE_META_GROUP_LENGTH not in {each.tag for each in file_meta}
    assert value(file_meta, tags.TRANSFER_SYNTAX_UID).rstrip(b"\0").decode() == RLE
    assert value(file_meta, 0x00020001) == b"\0\1"


def test_group_lengths_are_left_out() -> None:
    content = scan(explicit(element(0x00080000, "UL", bytes(4)), element(0x00080060, "CS", b"OT"), PATIENT_ID))
    assert [each.tag for each in content.dataset] == [0x00080060, tags.PATIENT_ID]


def test_group_length_of_the_file_meta_is_not_needed() -> None:
    start = file_start()
    assert scan(start[:132] + start[144:] + PATIENT_ID).dataset[0].tag == tags.PATIENT_ID


def test_group_length_of_the_file_meta_may_be_wrong() -> None:
    start = file_start()
    wrong = start[:140] + struct.pack("<L", 9999) + start[144:]
    assert scan(wrong + PATIENT_ID).dataset[0].tag == tags.PATIENT_ID


def test_deflated_data_that_looks_like_file_meta_is_none() -> None:
    with pytest.raises(InvalidDicom, match="deflated"):
        scan(file_start(DEFLATED) + b"\x02\0")


def test_elements_out_of_order_are_accepted() -> None:
    content = scan(explicit(element(0x00280010, "US", b"\1\0"), PATIENT_ID, element(0x00080060, "CS", b"OT")))
    assert [each.tag for each in content.dataset] == [0x00280010, tags.PATIENT_ID, 0x00080060]


@pytest.mark.parametrize("padding", [1, 7, 8, 9, 4096])
def test_zeros_behind_the_data_set_are_no_part_of_it(padding: int) -> None:
    file = explicit(PATIENT_ID)
    content = scan(file + bytes(padding))
    assert len(content.dataset) == 1
    assert content.head_length == len(file)
    assert content.length == len(file) + padding


def test_a_file_may_have_no_data_set() -> None:
    assert scan(explicit()).dataset == []


# Sequences


@pytest.mark.parametrize("sequence_length", [None, UNDEFINED])
@pytest.mark.parametrize("item_length", [None, UNDEFINED])
def test_sequences_and_items_may_be_delimited(sequence_length: int | None, item_length: int | None) -> None:
    inner = implicit_element(tags.ITEM, PATIENT_ID + (ITEM_END if item_length else b""), item_length or len(PATIENT_ID))
    content = inner + (SEQUENCE_END if sequence_length else b"")
    file = explicit(element(SEQUENCE, "SQ", content, sequence_length), element(0x00200010, "SH", b"1 "))
    assert value(items(scan(file).dataset, SEQUENCE)[0], tags.PATIENT_ID) == b"4711"
    assert value(scan(file).dataset, 0x00200010) == b"1 "


def test_unknown_vr_of_undefined_length_is_an_implicit_vr_sequence() -> None:
    """PS3.5 6.2.2."""
    inner = implicit_element(tags.ITEM, implicit_element(tags.PATIENT_ID, b"4711") + ITEM_END, UNDEFINED)
    sequence = find(scan(explicit(element(0x00091001, "UN", inner + SEQUENCE_END, UNDEFINED))).dataset, 0x00091001)
    assert sequence.vr == "SQ"
    assert isinstance(sequence.value, list)
    assert [(each.tag, each.vr, each.value) for each in sequence.value[0]] == [(tags.PATIENT_ID, "LO", b"4711")]


def test_unknown_vr_of_a_known_sequence_is_an_implicit_vr_sequence() -> None:
    inner = implicit_element(tags.ITEM, implicit_element(tags.PATIENT_ID, b"4711"))
    sequence = items(scan(explicit(element(SEQUENCE, "UN", inner))).dataset, SEQUENCE)
    assert value(sequence[0], tags.PATIENT_ID) == b"4711"


def test_numbers_within_an_unknown_vr_have_the_byte_order_of_the_file() -> None:
    inner = implicit_element(tags.ITEM, implicit_element(tags.ROWS, b"\1\0") + implicit_element(0x00080060, b"OT"))
    big = struct.pack(">HH2sHL", 0x0008, 0x1140, b"UN", 0, UNDEFINED) + inner + SEQUENCE_END
    sequence = items(scan(file_start(EXPLICIT_BIG) + big).dataset, SEQUENCE)
    assert value(sequence[0], tags.ROWS) == b"\0\1"
    assert value(sequence[0], 0x00080060) == b"OT"


def test_items_may_change_to_implicit_vr() -> None:
    inner = implicit_element(tags.ITEM, implicit_element(tags.PATIENT_ID, b"4711"))
    assert value(items(scan(explicit(element(SEQUENCE, "SQ", inner))).dataset, SEQUENCE)[0], tags.PATIENT_ID) == b"4711"


def test_private_sequence_of_undefined_length_is_understood_in_implicit_vr() -> None:
    inner = implicit_element(tags.ITEM, implicit_element(tags.PATIENT_ID, b"4711"))
    content = scan(implicit(implicit_element(0x00091001, inner + SEQUENCE_END, UNDEFINED)))
    assert value(items(content.dataset, 0x00091001)[0], tags.PATIENT_ID) == b"4711"


def nested(depth: int) -> bytes:
    start = implicit_element(SEQUENCE, b"", UNDEFINED) + implicit_element(tags.ITEM, b"", UNDEFINED)
    return implicit(start * depth + (ITEM_END + SEQUENCE_END) * depth)


def test_nesting_is_limited() -> None:
    content = scan(nested(dataset_scanner.MAX_NESTING)).dataset
    for _ in range(dataset_scanner.MAX_NESTING):
        (content,) = items(content, SEQUENCE)
    assert content == []
    with pytest.raises(InvalidDicom, match="nested"):
        scan(nested(dataset_scanner.MAX_NESTING + 1))
    with pytest.raises(InvalidDicom, match="nested"):
        scan(nested(10_000))


# VRs


def test_implicit_vr_takes_vrs_from_the_dictionary() -> None:
    content = scan(
        implicit(
            implicit_element(tags.PATIENT_ID, b"4711"),
            implicit_element(0x00090010, b"MAKER "),
            implicit_element(0x00091001, b"12"),
            implicit_element(0x00100099, b"12"),
            implicit_element(0x60003000, b"12"),
        )
    )
    assert [(each.vr, each.value) for each in content.dataset] == [
        ("LO", b"4711"),
        ("LO", b"MAKER "),
        ("UN", None),
        ("UN", None),
        ("OW", None),
    ]


@pytest.mark.parametrize(("representation", "vr"), [(b"\0\0", "US"), (b"\1\0", "SS"), (None, "US")])
def test_pixel_representation_decides_between_us_and_ss(representation: bytes | None, vr: str) -> None:
    smallest = implicit_element(0x00189810, b"\1\0")  # ZeroVelocityPixelValue, which stands before PixelRepresentation
    inner = implicit_element(SEQUENCE, implicit_element(tags.ITEM, smallest))
    own = implicit_element(tags.ITEM, smallest + implicit_element(tags.PIXEL_REPRESENTATION, b"\0\0"))
    padding = implicit_element(0x00280120, b"\1\0")
    given = implicit_element(tags.PIXEL_REPRESENTATION, representation) if representation else b""
    content = scan(implicit(inner, implicit_element(0x00082112, own), smallest, given, padding)).dataset
    assert find(content, 0x00189810).vr == find(content, 0x00280120).vr == vr
    assert items(content, SEQUENCE)[0][0].vr == vr
    assert items(content, 0x00082112)[0][0].vr == "US"


def test_unknown_vr_of_a_known_tag_has_the_vr_of_the_dictionary() -> None:
    content = scan(explicit(element(tags.PATIENT_ID, "UN", b"4711"), element(0x00100099, "UN", b"12")))
    assert [(each.vr, each.value) for each in content.dataset] == [("LO", b"4711"), ("UN", None)]


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_bulk_values_are_not_kept(vr: str) -> None:
    content = scan(explicit(element(0x00091001, vr, bytes(8)), PATIENT_ID))
    assert (content.dataset[0].vr, content.dataset[0].value, content.dataset[0].length) == (vr, None, 8)
    assert content.dataset[1].value == b"4711"


def test_extended_offset_tables_are_kept() -> None:
    content = scan(explicit(element(0x7FE00001, "OV", bytes(8)), element(0x7FE00002, "OV", bytes(16))))
    assert [each.value for each in content.dataset] == [bytes(8), bytes(16)]


def test_long_values_are_not_kept() -> None:
    limit = dataset_scanner.MAX_VALUE_BYTES
    content = scan(explicit(element(0x0040A160, "UT", b"x" * limit), element(0x0040A161, "UT", b"x" * (limit + 1))))
    assert [each.value and len(each.value) for each in content.dataset] == [limit, None]


# Head, character sets, pixel data


@pytest.mark.parametrize("transfer_syntax", UNCOMPRESSED)
def test_head_ends_behind_the_last_updatable_attribute(transfer_syntax: str) -> None:
    content = scan(instance(transfer_syntax=transfer_syntax, rows=0, TextValue="x", RequestAttributesSequence=[item()]))
    assert content.head_length == find(content.dataset, 0x0040A160).offset


def test_head_is_everything_when_nothing_stands_behind_it() -> None:
    file = explicit(PATIENT_ID)
    assert scan(file).head_length == len(file)


def test_character_sets() -> None:
    assert scan(instance(SpecificCharacterSet=["", "ISO 2022 IR 87"])).character_sets == ["", "ISO 2022 IR 87"]
    assert scan(instance(SpecificCharacterSet="ISO_IR 100")).character_sets == ["ISO_IR 100"]
    assert scan(instance()).character_sets == []
    assert scan(instance(RequestAttributesSequence=[item(SpecificCharacterSet="ISO_IR 100")])).character_sets == []


@pytest.mark.parametrize(
    ("vr", "content", "expected"),
    [
        ("UT", b"plain ", False),
        ("UT", b"\xe4 ", True),
        ("UT", b"\x1b(B ", True),
        ("OB", b"\xe4\xe4", False),
        ("UI", b"\xe4\xe4", False),
        ("UT", b"x" * (2 << 20), False),
        ("UT", b"x" * (2 << 20) + b"\xe4 ", True),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("size", [0, 1000])
def test_text_beyond_head(vr: str, content: bytes, expected: bool, is_nested: bool, size: int) -> None:
    beyond = element(0x0040A160, vr, content)
    if is_nested:
        beyond = element(0x00409096, "SQ", implicit_element(tags.ITEM, beyond))
    file = explicit(element(tags.PATIENT_NAME, "PN", b"\xe4 "), beyond, element(0x00750010, "UI", b"\xe4\xe4"))
    assert scan(file, *([size] if size else [])).text_beyond_head is expected


def test_native_pixel_data() -> None:
    file = instance(rows=8, columns=8, frames=2)
    pixel_data = scan(file).pixel_data
    assert pixel_data is not None
    assert (pixel_data.tag, pixel_data.vr, pixel_data.length) == (tags.PIXEL_DATA, "OB", 128)
    assert pixel_data.value_offset == len(file) - 128
    assert pixel_data.fragments == []
    assert scan(instance(rows=0)).pixel_data is None


@pytest.mark.parametrize("transfer_syntax", [RLE, JPEG_2000, JPEG_BASELINE])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_fragments(transfer_syntax: str, size: int) -> None:
    file = instance(rows=4, columns=4, frames=3, transfer_syntax=transfer_syntax)
    pixel_data = scan(file, size).pixel_data
    assert pixel_data is not None
    assert pixel_data.length == UNDEFINED
    assert len(pixel_data.basic_offset_table) == 12
    assert len(pixel_data.fragments) == 3
    start = pixel_data.value_offset + 8 + 12
    for fragment, frame in zip(pixel_data.fragments, struct.unpack("<LLL", pixel_data.basic_offset_table), strict=True):
        assert fragment.offset == start + frame + 8
        assert file[fragment.offset - 8 : fragment.offset] == implicit_element(tags.ITEM, b"", fragment.length)
        assert fragment.starts_image


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_fragments_that_continue_an_image(size: int) -> None:
    end = b"\xff\xd9"
    values = (b"", b"\xff\xd8" + end + bytes(8), b"\x12\x34" + end + bytes(10), b"\xff\x4f\xff\x51", b"", end)
    content = b"".join(implicit_element(tags.ITEM, each) for each in values) + SEQUENCE_END
    file = file_start(JPEG_BASELINE) + element(tags.PIXEL_DATA, "OB", content, UNDEFINED)
    pixel_data = scan(file, size).pixel_data
    assert pixel_data is not None
    assert [each.starts_image for each in pixel_data.fragments] == [True, False, True, False, False]
    assert [each.ends_image for each in pixel_data.fragments] == [True, False, False, False, True]


def test_encapsulated_pixel_data_of_an_icon_is_not_that_of_the_instance() -> None:
    fragments = implicit_element(tags.ITEM, b"") + implicit_element(tags.ITEM, b"\xff\xd8") + SEQUENCE_END
    icon = implicit_element(tags.ITEM, element(tags.PIXEL_DATA, "OB", fragments, UNDEFINED))
    content = scan(file_start(JPEG_BASELINE) + element(0x00880200, "SQ", icon) + element(0x00880904, "LO", b"x "))
    assert content.pixel_data is None
    assert value(content.dataset, 0x00880904) == b"x "


# Files that are refused

TRUNCATED = "ends within"
# The last three get what they lack before they come here (test_beginning.py).
MALFORMED = {
    "empty": (b"", "empty"),
    "no prefix": (bytes(200), "DICM"),
    "preamble only": (bytes(132), "DICM"),
    "text": (b"<html>" * 40, "DICM"),
    "no file meta": (bytes(128) + b"DICM", "TransferSyntaxUID"),
    "no transfer syntax": (bytes(128) + b"DICM" + element(0x00020001, "OB", b"\0\1") + PATIENT_ID, "TransferSyntaxUID"),
    "implicit file meta": (bytes(128) + b"DICM" + implicit_element(0x00020010, b"1.2.840.10008.1.2"), "explicit"),
    "long file meta": (bytes(128) + b"DICM" + element(0x00020102, "OB", b"", 2 << 20), "too long"),
    "explicit as implicit": (implicit(PATIENT_ID), "explicit"),
    "implicit as explicit": (explicit(implicit_element(tags.PATIENT_ID, b"4711")), "implicit"),
    "command set": (explicit(element(0x00000002, "UI", b"1.2\0")), r"\(0000,0002\)"),
    "no such VR": (explicit(PATIENT_ID, element(0x00100040, "ZZ", b"O ")), "VR"),
    "stray item": (explicit(implicit_element(tags.ITEM, b"")), r"\(fffe,e000\)"),
    "stray delimiter": (explicit(ITEM_END), r"\(fffe,e00d\)"),
    "no item": (explicit(element(SEQUENCE, "SQ", PATIENT_ID)), r"\(0010,0020\)"),
    "no fragment": (explicit(element(tags.PIXEL_DATA, "OB", PATIENT_ID, UNDEFINED)), r"\(0010,0020\)"),
    "undefined text": (explicit(element(0x0040A160, "UT", SEQUENCE_END, UNDEFINED)), "undefined length"),
    "long element": (
        explicit(element(SEQUENCE, "SQ", implicit_element(tags.ITEM, PATIENT_ID, 10)), PATIENT_ID),
        "longer",
    ),
    "long item": (explicit(element(SEQUENCE, "SQ", implicit_element(tags.ITEM, PATIENT_ID, 99))), TRUNCATED),
    "unended item": (
        explicit(element(SEQUENCE, "SQ", implicit_element(tags.ITEM, PATIENT_ID, UNDEFINED)), PATIENT_ID),
        "longer",
    ),
    "bytes behind zeros": (explicit(PATIENT_ID) + bytes(8) + PATIENT_ID, "followed"),
    "broken deflate": (file_start(DEFLATED) + b"\xff" * 100, "inflated"),
    "no preamble": (instance()[128:], "DICM"),
    "neither preamble nor prefix": (instance()[132:], "DICM"),
    "data set only": (PATIENT_ID * 20, "DICM"),
}


@pytest.mark.parametrize("size", [1, 5, 100_000])
@pytest.mark.parametrize(("file", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_refused_with_a_reason(file: bytes, reason: str, size: int) -> None:
    with pytest.raises(InvalidDicom, match=reason):
        scan(file, size)


@pytest.mark.parametrize("transfer_syntax", [*UNCOMPRESSED, RLE])
def test_truncated_files_are_refused(transfer_syntax: str) -> None:
    """Wherever they end, unless that is between two elements, where zeros may follow."""
    file = instance(transfer_syntax=transfer_syntax, RequestAttributesSequence=[item(StudyID="7")])
    content = scan(file)
    ends = [each.offset for each in (*content.file_meta, *([] if content.is_deflated else content.dataset))]
    for length in range(len(file) - content.is_deflated):  # pydicom may pad the deflated stream
        end = max((each for each in ends if each <= length), default=0)
        if end == 0 or file[end:length].strip(b"\0"):
            with pytest.raises(InvalidDicom):
                scan(file[:length])


# Time and memory


def test_memory_is_bounded_when_values_are_long() -> None:
    chunk = bytes(65536)
    length = 2 << 30
    scanner = HeadScanner()
    scanner.feed(explicit(element(0x00090010, "LO", b"X "), element(0x00091001, "OB", b"", length)))
    tracemalloc.start()
    try:
        for _ in range(length // len(chunk)):
            scanner.feed(chunk)
        scanner.feed(PATIENT_ID)
        content = scanner.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 10
    assert value(content.dataset, tags.PATIENT_ID) == b"4711"


@pytest.mark.parametrize(
    "content",
    [
        element(0x00091001, "LO", b"x" * 60_000),
        element(0x00091001, "LO", b""),
        element(0x00091001, "SQ", implicit_element(tags.ITEM, b"") * 1000),
        element(0x00090000, "UL", b""),
        element(0x00091001, "OB", implicit_element(tags.ITEM, b"") * 1000 + SEQUENCE_END, UNDEFINED),
    ],
    ids=["values", "elements", "items", "group lengths", "fragments of private elements"],
)
def test_memory_and_time_are_bounded_when_elements_are_many(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_scanner, "MAX_KEPT_BYTES", 1 << 20)
    scanner = HeadScanner()
    scanner.feed(explicit())
    with pytest.raises(InvalidDicom, match="more than 1048576 bytes"):
        collections.deque(map(scanner.feed, itertools.repeat(content, (1 << 20) // 250)))


def test_memory_is_bounded_when_fragments_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_scanner, "MAX_KEPT_BYTES", 1 << 20)
    scanner = HeadScanner()
    scanner.feed(file_start(JPEG_BASELINE) + element(tags.PIXEL_DATA, "OB", b"", UNDEFINED))
    with pytest.raises(InvalidDicom, match="more than 1048576 bytes"):
        scanner.feed(implicit_element(tags.ITEM, b"") * (1 << 14))


@pytest.mark.parametrize("tag", [tags.EXTENDED_OFFSET_TABLE, tags.PIXEL_DATA])
def test_memory_is_bounded_when_an_offset_table_claims_to_be_long(tag: int) -> None:
    scanner = HeadScanner()
    table = implicit_element(tags.ITEM, b"", 1 << 31)
    with pytest.raises(InvalidDicom, match="bytes of elements"):
        scanner.feed(
            explicit(
                element(tag, "OV", b"", 1 << 31) if tag != tags.PIXEL_DATA else element(tag, "OB", table, UNDEFINED)
            )
        )


def test_inflated_length_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.dicom.head.MAX_INFLATED_BYTES", 1 << 20)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(element(0x00091001, "OB", bytes(8 << 20))) + deflater.flush()
    with pytest.raises(InvalidDicom, match="too long"):
        scan(file_start(DEFLATED) + bomb)


@pytest.mark.parametrize("name", sample_files())
def test_chunks_do_not_matter_in_sample_files(name: str) -> None:
    file = sample_files()[name].read_bytes()[: 1 << 20]

    def outcome(*sizes: int) -> ScannedFile | str:
        try:
            return scan(file, *sizes)
        except InvalidDicom as error:
            return error.detail

    assert outcome(13, 1, 4096) == outcome(65536) == outcome()


@pytest.mark.parametrize("syntax", ["1.2\r\nSet-Cookie: a", "1.2.840.10008.1.2.1\u00e9", "explicit", "1" * 65])
def test_transfer_syntax_must_be_a_uid(syntax: str) -> None:
    """It is sent in the headers of answers (WADO-42), which it must not be able to break."""
    value = syntax.encode("latin-1")
    start = bytes(128) + b"DICM" + element(0x00020010, "UI", value + bytes(len(value) % 2))
    with pytest.raises(InvalidDicom, match="not a UID"):
        scan(start + PATIENT_ID)
