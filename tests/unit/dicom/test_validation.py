"""What a file must have to be stored, and what it is warned about (STOW-41 to STOW-82, D-10, D-12, D-13)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from shared.dicom import tags
from shared.dicom.element import Element, ScannedFile
from shared.dicom.head import HeadScanner
from shared.dicom.identifiers import invalid_uid
from shared.dicom.validation import STUDY_MISMATCH, VALIDATION_FAILED, Findings, check_value, validate
from tests import builders

SOP_CLASS = builders.element(tags.SOP_CLASS_UID, "UI", b"1.2.840.10008.5.1.4.1.1.7\0")
SOP_INSTANCE = builders.element(tags.SOP_INSTANCE_UID, "UI", b"1.2.3\0")
PATIENT_ID = builders.element(tags.PATIENT_ID, "LO", b"4711")
STUDY = builders.element(tags.STUDY_INSTANCE_UID, "UI", b"1.2.1\0")
SERIES = builders.element(tags.SERIES_INSTANCE_UID, "UI", b"1.2.2\0")
REQUIRED = {
    0x00080016: SOP_CLASS,
    0x00080018: SOP_INSTANCE,
    0x00100020: PATIENT_ID,
    0x0020000D: STUDY,
    0x0020000E: SERIES,
}


def scan(file: bytes) -> ScannedFile:
    scanner = HeadScanner()
    scanner.feed(file)
    return scanner.finish()


def validated(**attributes: Any) -> Findings:
    return validate(scan(builders.instance(rows=0, **attributes)))


def with_field(tag: int, vr: str, value: bytes, transfer_syntax: str = builders.EXPLICIT_LITTLE) -> Findings:
    """The findings about a valid file in which one element has exactly these bytes."""
    elements = REQUIRED | {tag: builders.element(tag, vr, value)}
    file = builders.file_start(transfer_syntax) + b"".join(elements[each] for each in sorted(elements))
    return validate(scan(file))


def without(tag: int) -> Findings:
    body = b"".join(element for each, element in REQUIRED.items() if each != tag)
    return validate(scan(builders.file_start() + body))


def tags_of(elements: list[Element]) -> list[int]:
    return [element.tag for element in elements]


def warning(tag: int, value: str, vr: str, reason: str) -> tuple[int, str]:
    return tag, f'DICOM100: {tags.text(tag)} - Content "{value}" does not validate VR {vr}: {reason}'


def missing(tag: int) -> tuple[int, str]:
    return tag, f"DICOM100: {tags.text(tag)} - The required tag '{tags.text(tag)}' is missing."


@pytest.mark.parametrize("transfer_syntax", builders.UNCOMPRESSED)
def test_a_valid_file_has_no_findings(transfer_syntax: str) -> None:
    file = scan(builders.instance(transfer_syntax=transfer_syntax))
    findings = validate(file, file_study(file))
    assert findings == Findings([], [], file.dataset, False, VALIDATION_FAILED)


def file_study(file: ScannedFile) -> str:
    [value] = [element.value for element in file.dataset if element.tag == tags.STUDY_INSTANCE_UID]
    assert isinstance(value, bytes)
    return value.decode().rstrip("\0")


# Required attributes


@pytest.mark.parametrize("tag", REQUIRED)
def test_stow41_stow43_required_tags_must_be_there(tag: int) -> None:
    findings = without(tag)
    assert findings.failures == [missing(tag)]
    assert findings.failure_reason == VALIDATION_FAILED


def test_stow41_wording() -> None:
    assert without(0x0020000D).failures[0][1] == "DICOM100: (0020,000d) - The required tag '(0020,000d)' is missing."


@pytest.mark.parametrize("value", [b"", b"\0\0", b"  ", b"1.2\\1.3\0", b"1.2\\"])
@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
def test_stow41_required_uids_have_exactly_one_value(tag: int, value: bytes) -> None:
    assert missing(tag) in with_field(tag, "UI", value).failures


def test_stow44_only_the_first_absence_is_reported() -> None:
    findings = validate(scan(builders.file_start() + builders.element(tags.MODALITY, "CS", b"CT")), "1.2")
    assert findings.failures == [missing(tags.SOP_CLASS_UID)]


@pytest.mark.parametrize("study", ["1.2.1", "1.2.1 ", "1.2.1  "])
def test_stow56_padding_makes_no_difference_to_the_study(study: str) -> None:
    for field in (b"1.2.1\0", b"1.2.1 ", b"1.2.1\0\0\0"):
        elements = REQUIRED | {0x0020000D: builders.element(0x0020000D, "UI", field)}
        file = scan(builders.file_start() + b"".join(elements.values()))
        assert validate(file, study).failures == []


def test_d10_another_study_has_its_own_reason() -> None:
    findings = validate(scan(builders.instance(study="1.2.3", PatientID="bad\x01")), "1.2.4")
    assert findings.failure_reason == STUDY_MISMATCH == 43265
    text = "The StudyInstanceUid in the payload does not match the specified StudyInstanceUid."
    assert findings.failures[0] == (0x0020000D, f"DICOM100: (0020,000d) - {text}")
    assert [tag for tag, _ in findings.failures] == [0x0020000D, 0x00100020]


@pytest.mark.parametrize("value", [b"1.2.a.", b"1.2.", b"1 2 ", b"1.2-3 ", b"1.\x002.3 ", b"9" * 66])
@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
def test_stow51_invalid_uids_fail(tag: int, value: bytes) -> None:
    findings = with_field(tag, "UI", value)
    assert findings.failures == [(tag, f"DICOM100: {tags.text(tag)} - {invalid_uid(tags.keyword_of(tag))}")]
    assert findings.warnings == []  # STOW-49


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"1.02.3", "components must not have leading zeros"),
        (b"1..2", "a component can not be empty"),
        (b".1.2", "a component can not be empty"),
    ],
)
@pytest.mark.parametrize("tag", [0x00080018, 0x0020000D, 0x0020000E, 0x00080016])
def test_stow52_stow80_lenient_uids_warn(tag: int, value: bytes, reason: str) -> None:
    findings = with_field(tag, "UI", value)
    assert findings.failures == []
    assert findings.warnings == [warning(tag, value.decode(), "UI", reason)]
    assert (tag in tags_of(findings.dataset)) == (tag != tags.SOP_CLASS_UID)


@pytest.mark.parametrize(
    ("tag", "vr", "other"), [(0x00100020, "LO", "SH"), (0x0020000D, "UI", "LO"), (0x00080016, "UI", "OB")]
)
def test_stow50_vr_of_required_tags(tag: int, vr: str, other: str) -> None:
    [(failing, text)] = with_field(tag, other, b"1.2.3.").failures
    assert failing == tag
    assert f"is expected to have VR '{vr}' but has '{other}' in file." in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a\x01", "Value contains invalid character."),
        (b"a\0b ", "Value contains invalid character."),  # STOW-72
        (b"x" * 66, "Value length exceeds maximum length of 64."),
        (b"x" * 64 + b"\x01 ", "Value length exceeds maximum length of 64."),
    ],
)
def test_stow53_patient_id(value: bytes, text: str) -> None:
    findings = with_field(tags.PATIENT_ID, "LO", value)
    prefix = "DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': "
    assert findings.failures == [(tags.PATIENT_ID, prefix + text)]
    assert findings.warnings == []


@pytest.mark.parametrize("value", [b"x" * 64, b"x" * 64 + b"\0\0", b"x" * 64 + b"  ", b"a\x1bb\x1b", b"a\xe4\xf6\x80"])
def test_stow53_stow73_fine_patient_ids(value: bytes) -> None:
    findings = with_field(tags.PATIENT_ID, "LO", value)
    assert (findings.failures, findings.warnings) == ([], [])
    assert tags.PATIENT_ID in tags_of(findings.dataset)


@pytest.mark.parametrize("value", [b"", b"  ", b"    ", b"\t "])
def test_stow54_blank_patient_id_warns(value: bytes) -> None:
    findings = with_field(tags.PATIENT_ID, "LO", value)
    assert findings.warnings == [missing(tags.PATIENT_ID)]
    assert tags.PATIENT_ID not in tags_of(findings.dataset)
    assert not findings.multiple_values


def test_stow55_stow74_several_patient_ids() -> None:
    findings = with_field(tags.PATIENT_ID, "LO", b"4711\\4712 ")
    assert findings.failures == []
    assert findings.multiple_values
    reason = "Number of items 2 does not match ValueMultiplicity 1"
    assert findings.warnings == [warning(tags.PATIENT_ID, "(0010,0020) LO Patient ID", "LO", reason)]
    assert tags.PATIENT_ID not in tags_of(findings.dataset)
    assert with_field(tags.PATIENT_ID, "LO", b"bad\x01\\4712").failures[0][0] == tags.PATIENT_ID


def test_stow47_warnings_accompany_failures() -> None:
    findings = validated(PatientID=None, StudyDate="NotADate", Modality="ct")
    assert [tag for tag, _ in findings.failures] == [tags.PATIENT_ID]
    assert [tag for tag, _ in findings.warnings] == [tags.STUDY_DATE, tags.MODALITY]


def test_the_first_of_two_elements_of_a_required_tag_counts() -> None:
    file = builders.file_start() + b"".join(REQUIRED.values()) + builders.element(0x0020000D, "UI", b"1.2.a ")
    findings = validate(scan(file), "1.2.1")
    assert findings.failures == []
    assert [tag for tag, _ in findings.warnings] == [tags.STUDY_INSTANCE_UID]


# Warnings


def test_stow48_failing_attributes_are_dropped_and_the_others_kept() -> None:
    file = scan(builders.instance(rows=0, StudyDate="NotAValidDate", Modality="ct"))
    findings = validate(file)
    assert findings.failures == []
    assert findings.warnings == [
        warning(0x00080020, "NotAValidDate", "DA", "one of the date values does not match the pattern YYYYMMDD"),
        warning(
            0x00080060,
            "ct",
            "CS",
            "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed",
        ),
    ]
    assert findings.dataset == [each for each in file.dataset if each.tag not in (0x00080020, 0x00080060)]


def test_stow6c_number_of_values() -> None:
    two = "Number of items 2 does not match ValueMultiplicity 1"
    assert with_field(0x00280010, "US", struct.pack("<HH", 4, 4)).warnings == [
        warning(0x00280010, "(0028,0010) US Rows", "US", two)
    ]
    assert with_field(0x00080060, "CS", b"CT\\MR ").warnings == [
        warning(0x00080060, "(0008,0060) CS Modality", "CS", two)
    ]
    assert with_field(0x00200032, "DS", b"1\\2 ").warnings == [
        warning(
            0x00200032,
            "(0020,0032) DS Image Position (Patient)",
            "DS",
            "Number of items 2 does not match ValueMultiplicity 3",
        )
    ]
    [(_, text)] = with_field(0x00080008, "CS", b"AXIAL ").warnings
    assert text.endswith("Number of items 1 does not match ValueMultiplicity 2-n")


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
        (0x00200032, "DS", b"-1.5\\2e-3\\+.5 "),
        (0x00280010, "US", b""),
        (0x00080060, "CS", b""),
        (0x00100010, "PN", b"a\\b\\c "),
        (0x00080090, "PN", b"a\\b\\c\\d\\e "),
        (0x00091001, "LO", b"a\\b "),
        (0x00080F01, "LO", b"a\\b "),  # unknown
        (0x00104000, "LT", b"a\\b "),
        (0x00189006, "FD", struct.pack("<d", 1)),
        (0x00280009, "AT", struct.pack("<4H", 1, 2, 3, 4)),
        (0x0040A120, "UC", b"a\\b\\c "),
        (0x60003000, "OB", b"\1\2"),
    ],
)
def test_stow6c_no_warning(tag: int, vr: str, value: bytes) -> None:
    assert with_field(tag, vr, value).warnings == []


def test_stow6c_more_than_three_patient_names() -> None:
    assert "Number of items 4" in with_field(0x00100010, "PN", b"a\\b\\c\\d ").warnings[0][1]


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x0040A120, "UC", b"\x01\x02"),
        (0x00080120, "UR", b"not a URL "),
        (0x0040A160, "UT", b"\x01\x7f"),
        (0x00189073, "FD", struct.pack("<d", float("nan"))),
        (0x00280010, "US", b"\xff\xff"),
        (0x00280009, "AT", b"\xff" * 4),
    ],
)
def test_stow6e_values_of_these_vrs_have_no_rule(tag: int, vr: str, value: bytes) -> None:
    assert with_field(tag, vr, value).warnings == []


def test_stow6d_fragments_have_no_rule() -> None:
    assert validate(scan(builders.instance(transfer_syntax=builders.RLE, frames=3))).warnings == []


def test_values_are_checked_one_by_one() -> None:
    findings = with_field(0x00080008, "CS", b"ORIGINAL\\Primary\\axial")
    reason = "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed"
    assert findings.warnings == [warning(0x00080008, "Primary", "CS", reason)]


def test_text_is_measured_in_characters_of_its_character_set() -> None:
    name = "日" * 64
    fine = builders.instance(rows=0, SpecificCharacterSet="ISO_IR 192", PatientName=name, StudyID="é" * 16)
    assert validate(scan(fine)).warnings == []
    findings = validated(SpecificCharacterSet="ISO_IR 192", PatientName=name + "本")
    assert findings.warnings == [
        warning(tags.PATIENT_NAME, name + "本", "PN", "value exceeds maximum length of 64 characters")
    ]


def test_a_backslash_inside_a_character_separates_nothing() -> None:
    assert validated(SpecificCharacterSet="GBK", StudyDescription="誠").warnings == []


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080054, "AE", b"AET\0"),
        (0x00101010, "AS", b"012Y\0\0"),
        (0x00080060, "CS", b"CT\0\0"),
        (0x00080020, "DA", b"20240101\0\0"),
        (0x00101030, "DS", b"1.5\0"),
        (0x0008002A, "DT", b"2024\0\0"),
        (0x00200013, "IS", b"1\0"),
        (0x00081030, "LO", b"text \0"),
        (0x00104000, "LT", b"text\0\0"),
        (0x00100010, "PN", b"Doe^Jane\0\0"),
        (0x00080050, "SH", b"x" * 16 + b"\0\0"),
        (0x00080081, "ST", b"x" * 1024 + b"\0\0"),
        (0x00080030, "TM", b"1011\0 "),
        (0x00080060, "CS", b"\0\0"),
        (0x00080020, "DA", b"\0\0\0\0\0\0\0\0"),
        (0x00100020, "LO", b"\0\0"),
        (0x00080060, "CS", b"CT\\MR\0"),  # STOW-70: no check of the number of values
    ],
)
def test_stow70_stow71_d13_trailing_nul_never_warns(tag: int, vr: str, value: bytes) -> None:
    findings = with_field(tag, vr, value)
    assert (findings.failures, findings.warnings) == ([], [])
    [kept] = [element.value for element in findings.dataset if element.tag == tag]
    assert kept == value


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080060, "CS", b"C\0T "),
        (0x00081030, "LO", b"a\0b "),
        (0x00100010, "PN", b"a\0^b"),
        (0x00080050, "SH", b"a\0b\0"),
        (0x00080020, "DA", b"2024\x000101 "),
        (0x00081030, "LO", b"a\x01b\0"),
        (0x00081150, "UI", b"1.2\\1.3\0"),  # the NUL is the padding of UI: STOW-56
    ],
)
def test_stow72_nul_in_the_middle_warns(tag: int, vr: str, value: bytes) -> None:
    assert tags_of(with_field(tag, vr, value).dataset).count(tag) == 0
    assert [failing for failing, _ in with_field(tag, vr, value).warnings] == [tag]


def test_stow83_private_elements_are_named_with_their_creator() -> None:
    findings = validated(elements=[(0x00091001, "CS", "lower")], PatientComments="x")
    assert findings.warnings[0][1].startswith('DICOM100: (0009,1001) - Content "lower"')
    findings = validated(elements=[(0x00090010, "LO", "ACME 1.0"), (0x00091001, "CS", "lower")])
    assert findings.warnings[0][1].startswith('DICOM100: (0009,1001:ACME 1.0) - Content "lower"')


# Sequences


def test_stow81_d12_failing_nested_elements_are_pruned_with_one_message_for_the_sequence() -> None:
    items = [
        builders.item(StudyDate="20240101", Modality="ct", StationName="S"),
        builders.item(StudyDate="bad", Modality="MR"),
        builders.item(Modality="CT"),
    ]
    file = scan(builders.instance(rows=0, Modality="OT", ReferencedStudySequence=items))
    findings = validate(file)
    assert [tag for tag, _ in findings.warnings] == [tags.MODALITY]
    assert 'DICOM100: (0008,0060) - Content "ct" does not validate VR CS' in findings.warnings[0][1]
    assert tags_of(findings.dataset) == tags_of(file.dataset)  # a valid element of the same tag stays
    [sequence] = [element.value for element in findings.dataset if element.tag == 0x00081110]
    assert isinstance(sequence, list)
    assert [tags_of(item) for item in sequence] == [[0x00080020, 0x00081010], [0x00080060], [0x00080060]]


def test_d12_the_scanned_file_is_left_alone() -> None:
    file = scan(builders.instance(rows=0, ReferencedStudySequence=[builders.item(Modality="ct")]))
    validate(file)
    [sequence] = [element.value for element in file.dataset if element.tag == 0x00081110]
    assert isinstance(sequence, list)
    assert tags_of(sequence[0]) == [tags.MODALITY]


def test_stow46_stow6d_d12_sequences_in_sequences() -> None:
    inner = builders.item(Modality="ct", ReferencedSOPInstanceUID="1.2")
    outer = builders.item(ReferencedSeriesSequence=[inner], SeriesInstanceUID="1.2.a")
    findings = validated(ReferencedStudySequence=[outer])
    assert [tag for tag, _ in findings.warnings] == [tags.MODALITY]
    [sequence] = [element.value for element in findings.dataset if element.tag == 0x00081110]
    assert isinstance(sequence, list)
    [[nested]] = sequence
    assert isinstance(nested.value, list)
    assert tags_of(nested.value[0]) == [tags.REFERENCED_SOP_INSTANCE_UID]


def test_stow49_one_message_for_a_tag() -> None:
    bad = builders.item(Modality="ct")
    findings = validated(Modality="mr", ReferencedStudySequence=[bad], ReferencedPatientSequence=[bad])
    assert [tag for tag, _ in findings.warnings] == [tags.MODALITY]
    assert '"mr"' in findings.warnings[0][1]


def test_a_nested_patient_id_is_no_required_attribute() -> None:
    findings = validated(ReferencedPatientSequence=[builders.item(PatientID="bad\x01")])
    assert findings.failures == []
    assert [tag for tag, _ in findings.warnings] == [tags.PATIENT_ID]
    assert tags.PATIENT_ID in tags_of(findings.dataset)


def test_items_have_their_own_character_set() -> None:
    name = builders.item(SpecificCharacterSet="ISO_IR 192", PatientName="é" * 64)
    assert validated(ReferencedPatientSequence=[name]).warnings == []


# Values given as text


@pytest.mark.parametrize(
    ("tag", "vr", "values", "answer"),
    [
        (0x00100040, "CS", ["F"], None),
        (0x00100040, "CS", [], None),
        (0x00100040, "CS", [""], None),
        (0x00100030, "DA", ["19700101\0"], None),
        (0x00100020, "LO", ["a\\b"], 'Content "a\\b" does not validate VR LO: value contains invalid character'),
        (
            0x00100020,
            "LO",
            ["a", "b"],
            'Content "(0010,0020) LO Patient ID" does not validate VR LO: '
            "Number of items 2 does not match ValueMultiplicity 1",
        ),
        (
            0x00100030,
            "DA",
            ["2023-1-1"],
            "Content \"2023-1-1\" does not validate VR DA: value contains too many range separators '-'",
        ),
    ],
)
def test_upd16_values_as_text(tag: int, vr: str, values: list[str], answer: str | None) -> None:
    assert check_value(tag, vr, values) == answer
