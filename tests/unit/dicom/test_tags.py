"""Tags, keywords and VRs of the data dictionary (PS3.6)."""

from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword

from shared.dicom import tags

CONSTANTS = {name: value for name, value in vars(tags).items() if name.isupper() and not name.startswith("_")}
NOT_KEYWORDS = {"FILE_META_GROUP_LENGTH", "ITEM", "ITEM_DELIMITATION", "SEQUENCE_DELIMITATION"}


@pytest.mark.parametrize("name", sorted(CONSTANTS.keys() - NOT_KEYWORDS))
def test_constants_are_named_after_the_dictionary(name: str) -> None:
    assert tags.keyword_of(CONSTANTS[name]).lower() == name.replace("_", "").lower()


@pytest.mark.parametrize("attribute_id", ["PatientName", "patientname", "PATIENTNAME", "00100010"])
def test_an_attribute_is_named_by_keyword_or_tag(attribute_id: str) -> None:
    """QIDO-30, D-47."""
    assert tags.tag_of(attribute_id) == 0x00100010


@pytest.mark.parametrize(("attribute_id", "tag"), [("7fe00010", 0x7FE00010), ("0009100A", 0x0009100A)])
def test_hexadecimal_digits_may_be_of_any_case_and_name_any_tag(attribute_id: str, tag: int) -> None:
    assert tags.tag_of(attribute_id) == tag


@pytest.mark.parametrize(
    "attribute_id",
    ["", "Patient", "0010001", "001000100", "0010,0010", "0x100010", "\N{FULLWIDTH DIGIT ZERO}0100010"],
)
def test_anything_else_names_no_attribute(attribute_id: str) -> None:
    with pytest.raises(KeyError):
        tags.tag_of(attribute_id)


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (tags.PATIENT_NAME, "PN"),
        (0x60023000, "OB or OW"),  # OverlayData, in a repeating group
        (0x00090010, "LO"),  # private creator
        (0x000900FF, "LO"),
        (0x00091001, "UN"),
        (0x00100099, "UN"),
        (0x00080000, "UL"),  # group length
    ],
)
def test_vr(tag: int, vr: str) -> None:
    assert tags.vr_of(tag) == vr


def test_keyword() -> None:
    assert tags.keyword_of(tags.PATIENT_NAME) == "PatientName"
    assert tags.keyword_of(0x00091001) == ""


def test_every_keyword_leads_back_to_its_tag() -> None:
    assert tags.tag_of(tags.keyword_of(tags.STUDY_DATE)) == tag_for_keyword("StudyDate") == tags.STUDY_DATE


def test_tag_in_messages_and_in_json() -> None:
    assert tags.text(0x0020000D) == "(0020,000d)"
    assert tags.key(0x0020000D) == "0020000D"
