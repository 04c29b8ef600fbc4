"""Tags of data elements: those that the service itself knows by name, and the data dictionary (PS3.6)."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from pydicom.datadict import dictionary_keyword, dictionary_VR, keyword_dict

FILE_META_GROUP_LENGTH: Final = 0x00020000
FILE_META_INFORMATION_VERSION: Final = 0x00020001
MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x00020003
TRANSFER_SYNTAX_UID: Final = 0x00020010
IMPLEMENTATION_CLASS_UID: Final = 0x00020012
IMPLEMENTATION_VERSION_NAME: Final = 0x00020013

SPECIFIC_CHARACTER_SET: Final = 0x00080005
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_DATE: Final = 0x00080020
ACCESSION_NUMBER: Final = 0x00080050
MODALITY: Final = 0x00080060
MODALITIES_IN_STUDY: Final = 0x00080061
REFERRING_PHYSICIAN_NAME: Final = 0x00080090
AVAILABLE_TRANSFER_SYNTAX_UID: Final = 0x00083002
STUDY_DESCRIPTION: Final = 0x00081030
MANUFACTURER_MODEL_NAME: Final = 0x00081090
REFERENCED_SOP_CLASS_UID: Final = 0x00081150
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
RETRIEVE_URL: Final = 0x00081190
WARNING_REASON: Final = 0x00081196
FAILURE_REASON: Final = 0x00081197
FAILED_SOP_SEQUENCE: Final = 0x00081198
REFERENCED_SOP_SEQUENCE: Final = 0x00081199

PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
PATIENT_BIRTH_DATE: Final = 0x00100030

STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
STUDY_ID: Final = 0x00200010
SERIES_NUMBER: Final = 0x00200011
INSTANCE_NUMBER: Final = 0x00200013
NUMBER_OF_STUDY_RELATED_SERIES: Final = 0x00201206
NUMBER_OF_STUDY_RELATED_INSTANCES: Final = 0x00201208
NUMBER_OF_SERIES_RELATED_INSTANCES: Final = 0x00201209

SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
PLANAR_CONFIGURATION: Final = 0x00280006
NUMBER_OF_FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
PIXEL_REPRESENTATION: Final = 0x00280103

ENCAPSULATED_DOCUMENT: Final = 0x00420011
MIME_TYPE_OF_ENCAPSULATED_DOCUMENT: Final = 0x00420012

PERFORMED_PROCEDURE_STEP_START_DATE: Final = 0x00400244
CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION: Final = 0x00403001
ERROR_COMMENT: Final = 0x00000902
FAILED_ATTRIBUTES_SEQUENCE: Final = 0x00741048

EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
PIXEL_DATA: Final = 0x7FE00010

ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD

_HEX_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")


def is_private(tag: int) -> bool:
    """Whether the group number is odd (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> str:
    """The VR that the data dictionary gives a tag, "UN" if it has none, "US or SS" and the like where it has a choice.

    Private creators are LO (PS3.5 7.8.1) and group lengths UL (PS3.5 7.2).
    """
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


@lru_cache(maxsize=8192)
def keyword_of(tag: int) -> str:
    """The keyword of a tag, empty if it has none."""
    try:
        return dictionary_keyword(tag)
    except KeyError:
        return ""


def tag_of(attribute_id: str) -> int:
    """The tag that a keyword, in whatever case, or eight hexadecimal digits name (QIDO-30, D-47).

    Raises KeyError when it is neither.
    """
    if _HEX_TAG.fullmatch(attribute_id):
        return int(attribute_id, 16)
    return _tags_by_keyword()[attribute_id.lower()]


def text(tag: int) -> str:
    """The tag as messages show it: `(0010,0020)`, in lower-case hexadecimal digits."""
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def key(tag: int) -> str:
    """The tag as a name in DICOM JSON: `00100020`, in upper-case hexadecimal digits (PS3.18 F.2.2)."""
    return f"{tag:08X}"


@cache
def _tags_by_keyword() -> dict[str, int]:
    return {keyword.lower(): tag for keyword, tag in keyword_dict.items() if keyword}
