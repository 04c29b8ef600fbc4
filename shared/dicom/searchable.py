"""The attributes that every search knows (QIDO-40 to QIDO-53), and how their values are compared."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from shared.dicom import tags
from shared.dicom.comparable import comparable


class Level(IntEnum):
    """A level of the query/retrieve information model (PS3.4 C.6.2.1)."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


@dataclass(frozen=True, slots=True)
class Attribute:
    tag: int
    vr: str
    level: Level

    @property
    def key(self) -> str:
        """The attribute's name in DICOM JSON."""
        return tags.key(self.tag)

    @property
    def keyword(self) -> str:
        """What messages call the attribute: its tag when it has no keyword."""
        return tags.keyword_of(self.tag) or self.key


@dataclass(frozen=True, slots=True)
class ExtendedAttribute(Attribute):
    """An attribute that an extended query tag makes searchable; `id` is never given to another tag.

    `creator` is the private creator of a private attribute, empty for others.
    """

    id: int
    creator: str = ""


STUDY_INSTANCE_UID = Attribute(tags.STUDY_INSTANCE_UID, "UI", Level.STUDY)
MODALITIES_IN_STUDY = Attribute(tags.MODALITIES_IN_STUDY, "CS", Level.STUDY)
SERIES_INSTANCE_UID = Attribute(tags.SERIES_INSTANCE_UID, "UI", Level.SERIES)
MODALITY = Attribute(tags.MODALITY, "CS", Level.SERIES)
SOP_INSTANCE_UID = Attribute(tags.SOP_INSTANCE_UID, "UI", Level.INSTANCE)

STUDY_ATTRIBUTES = (
    Attribute(tags.PATIENT_NAME, "PN", Level.STUDY),
    Attribute(tags.PATIENT_ID, "LO", Level.STUDY),
    Attribute(tags.PATIENT_BIRTH_DATE, "DA", Level.STUDY),
    Attribute(tags.ACCESSION_NUMBER, "SH", Level.STUDY),
    Attribute(tags.REFERRING_PHYSICIAN_NAME, "PN", Level.STUDY),
    Attribute(tags.STUDY_DATE, "DA", Level.STUDY),
    Attribute(tags.STUDY_DESCRIPTION, "LO", Level.STUDY),
)
"""What the index row of a study holds besides its UID (QIDO-110); MODALITIES_IN_STUDY is derived from its series."""

SERIES_ATTRIBUTES = (
    MODALITY,
    Attribute(tags.PERFORMED_PROCEDURE_STEP_START_DATE, "DA", Level.SERIES),
    Attribute(tags.MANUFACTURER_MODEL_NAME, "LO", Level.SERIES),
)
"""What the index row of a series holds besides its UID (QIDO-110)."""

SEARCHABLE = {
    attribute.tag: attribute
    for attribute in (
        STUDY_INSTANCE_UID,
        *STUDY_ATTRIBUTES,
        MODALITIES_IN_STUDY,
        SERIES_INSTANCE_UID,
        *SERIES_ATTRIBUTES,
        SOP_INSTANCE_UID,
    )
}

_ACCENTS = dict.fromkeys(range(0x0300, 0x0370))


def fold(value: str, vr: str) -> str:
    """The form in which values of this VR are compared: padding and case never count, accents not in names.

    QIDO-60 to QIDO-70, QIDO-80. Used for keys and for matching alike. What is no value of its VR is compared as text. Blanks in
    front are padding, too (PS3.5 6.2), and no query could ask for them (QIDO-24).
    """
    if (form := comparable(value, vr)) is not None:
        return form
    decomposed = unicodedata.normalize("NFD", value.rstrip(" \0").lstrip(" "))
    text = unicodedata.normalize("NFD", decomposed.casefold())
    if vr == "PN":
        text = text.translate(_ACCENTS)
    return unicodedata.normalize("NFC", text)


def words(name: str) -> list[str]:
    """The folded words of a person name, in order (QIDO-76)."""
    return fold(name, "PN").replace("^", " ").replace("=", " ").split()


def values(element: dict[str, Any] | None) -> list[str]:
    """The values of a DICOM JSON element as text; a person name with its groups joined by `=`."""
    if not element:
        return []
    return [_text(value) for value in element.get("Value", []) if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return str(value)
