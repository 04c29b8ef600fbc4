"""The patterns that spare a look at values agree with the rules (STOW-60 to STOW-6B); nothing breaks validation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.element import Element, Item, ScannedFile
from shared.dicom.plain_fields import PLAIN_FIELDS
from shared.dicom.validation import validate
from shared.dicom.vr import SINGLE_VALUE
from shared.dicom.vr_rules import broken_rule

CHARACTERS = b'0123456789.+-eE ADMWY_^=\\ab~"\x1b\0\n\x7f\xe4'
TAGS = st.sampled_from([0x00080060, 0x00081030, 0x00100010, 0x00200032, 0x00280009, 0x00091001, 0x00080F01])
VRS = st.sampled_from([*PLAIN_FIELDS, "UC", "UT", "UR", "US", "AT", "FD", "UN", "XX"])


@pytest.mark.parametrize("vr", sorted(PLAIN_FIELDS.keys() - {"LT", "ST"}))
def test_every_plain_field_fits_its_vr(vr: str) -> None:
    @given(st.from_regex(PLAIN_FIELDS[vr], fullmatch=True))
    def check(field: bytes) -> None:
        text = field.decode("latin-1")
        for value in [text] if vr in SINGLE_VALUE else text.split("\\"):
            assert broken_rule(vr, value) is None

    check()


@pytest.mark.parametrize("vr", PLAIN_FIELDS)
def test_every_field_taken_for_plain_fits_its_vr(vr: str) -> None:
    """From the other side: fields of characters that matter, most of which are refused."""

    @given(st.lists(st.sampled_from(list(CHARACTERS)), max_size=70).map(bytes))
    def check(field: bytes) -> None:
        if PLAIN_FIELDS[vr].fullmatch(field):
            text = field.decode("latin-1")
            values = [text] if vr in SINGLE_VALUE else text.split("\\")
            assert [broken_rule(vr, value) for value in values] == [None] * len(values)

    check()


@pytest.mark.parametrize(
    ("vr", "field"),
    [
        ("AE", b"STORE_SCP"),
        ("AS", b"012Y"),
        ("CS", b"ORIGINAL\\PRIMARY"),
        ("DA", b"20240229"),
        ("DS", b"-1.5\\ 2e-3\\.5"),
        ("DT", b"20240229235959.123456"),
        ("IS", b"1\\-20\\+300"),
        ("LO", b"Chest (a/p)"),
        ("PN", b"Doe^Jane^^Dr"),
        ("SH", b"A-1"),
        ("TM", b"235959.5"),
        ("UI", b"1.2.840.10008.1.2\\1.2.0"),
        ("LT", b"\xe4\r\n"),
        ("ST", b"\\"),
    ],
)
def test_ordinary_fields_are_plain(vr: str, field: bytes) -> None:
    assert PLAIN_FIELDS[vr].fullmatch(field)


@pytest.mark.parametrize(("vr", "value"), [("DS", b"1234567"), ("UI", b"1.10.100"), ("PN", b"a^b^c"), ("IS", b" 12 ")])
def test_no_field_takes_a_pattern_into_all_combinations(vr: str, value: bytes) -> None:
    assert not PLAIN_FIELDS[vr].fullmatch(b"\\".join([value] * 1000 + [b"\0"]))


def elements(value: st.SearchStrategy[bytes | list[Item] | None]) -> st.SearchStrategy[Element]:
    return st.builds(element, TAGS, VRS, value)


def element(tag: int, vr: str, value: bytes | list[Item] | None) -> Element:
    return Element(tag, vr, value, offset=0, value_offset=0, length=8)


REQUIRED = [
    element(0x00080016, "UI", b"1.2.3\0"),
    element(0x00080018, "UI", b"1.2.3\0"),
    element(0x00100020, "LO", b"4711"),
    element(0x0020000D, "UI", b"1.2.3\0"),
    element(0x0020000E, "UI", b"1.2.3\0"),
]
FIELDS = st.binary(max_size=30) | st.lists(st.sampled_from(list(CHARACTERS)), max_size=30).map(bytes)
DATASETS = st.lists(
    st.recursive(
        elements(FIELDS | st.none()),
        lambda children: elements(st.lists(st.lists(children, max_size=3), max_size=3)),
        max_leaves=10,
    ),
    max_size=8,
)
CHARACTER_SETS = st.lists(st.sampled_from(["ISO_IR 192", "ISO_IR 100", "", "ISO 2022 IR 87", "nonsense"]), max_size=2)


def scan(dataset: list[Element], character_sets: list[str]) -> ScannedFile:
    return ScannedFile([], dataset, "1.2.840.10008.1.2.1", False, True, False, 0, 0, None, character_sets, 0, False)


@given(DATASETS, CHARACTER_SETS)
def test_what_is_left_is_beyond_reproach(dataset: list[Element], character_sets: list[str]) -> None:
    findings = validate(scan(REQUIRED + dataset, character_sets))
    assert findings.failures == []
    tags = [tag for tag, _ in findings.warnings]
    assert len(set(tags)) == len(tags)  # STOW-49
    again = validate(scan(findings.dataset, character_sets))
    assert again.warnings == []
    assert again.dataset == findings.dataset


@given(DATASETS, st.lists(st.sampled_from(REQUIRED)), CHARACTER_SETS)
def test_whatever_is_required_and_missing_is_a_failure(
    dataset: list[Element], required: list[Element], character_sets: list[str]
) -> None:
    findings = validate(scan(required + dataset, character_sets), "1.2")
    assert findings.failures
    assert {tag for tag, _ in findings.failures}.isdisjoint(tag for tag, _ in findings.warnings)
