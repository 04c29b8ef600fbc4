"""Decides whether a file may be stored, and which of its attributes metadata and search take: STOW-41 to STOW-82."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom import tags
from shared.dicom.charset import decode, split_character_sets
from shared.dicom.element import Element, Item, ScannedFile
from shared.dicom.identifiers import invalid_uid, is_uid
from shared.dicom.multiplicity import broken_multiplicity
from shared.dicom.plain_fields import PLAIN_FIELDS
from shared.dicom.vr import NUMBER, SINGLE_VALUE
from shared.dicom.vr_rules import broken_rule

# Failure reasons (STOW-126, D-10).
VALIDATION_FAILED: Final = 43264
STUDY_MISMATCH: Final = 43265

# In the order in which their presence is checked (STOW-41, STOW-43).
_REQUIRED_UIDS: Final = (tags.SOP_CLASS_UID, tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID)
_NEVER_DROPPED: Final = frozenset({tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID})
_REQUIRED_VR: Final = {**dict.fromkeys(_REQUIRED_UIDS, "UI"), tags.PATIENT_ID: "LO"}

_PADDING: Final = b" \0"
_BYTES_PER_VALUE: Final = {"AT": 4} | {vr: length for vr, (_, length) in NUMBER.items()}
_MAX_PATIENT_ID_LENGTH: Final = 64

type Message = tuple[int, str]


@dataclass(slots=True)
class Findings:
    """What is wrong with a file. Every text is a complete ErrorComment: "DICOM100: (gggg,eeee) - ..."."""

    failures: list[Message]
    """Of required attributes. When there are any, the file must not be stored."""
    warnings: list[Message]
    """Of all other attributes, one for each tag, none for a tag that has a failure."""
    dataset: list[Element]
    """What is left for metadata and search (STOW-80, D-12)."""
    multiple_values: bool
    """PatientID has several values, of which only the first is indexed (STOW-74)."""
    failure_reason: int = VALIDATION_FAILED
    """The reason to report when there are failures: VALIDATION_FAILED or STUDY_MISMATCH (D-10)."""


def validate(scan: ScannedFile, study: str | None = None) -> Findings:
    """Validates a file that is to be stored, in the study that the request named, if it named one."""
    required: dict[int, Element] = {}
    for element in scan.dataset:
        if element.tag in _REQUIRED_VR:
            required.setdefault(element.tag, element)
    failures, reason = _absences(required, study)
    for element in required.values():
        problem = _required_value_problem(element, scan.character_sets)
        if problem and element.tag not in failures:
            failures[element.tag] = comment(element.tag, problem)

    kept, messages = _review(scan.dataset, scan.character_sets, _NEVER_DROPPED)
    patient_id = required.get(tags.PATIENT_ID)
    if patient_id and isinstance(patient_id.value, bytes) and not patient_id.value.strip():
        # STOW-54: PatientID may be blank, but is worth a warning.
        messages = [missing(tags.PATIENT_ID), *messages]
        kept = [element for element in kept if element.tag != tags.PATIENT_ID]
    warnings: dict[int, str] = {}
    for tag, text in messages:
        if tag not in failures:
            warnings.setdefault(tag, text)
    return Findings(
        failures=list(failures.items()),
        warnings=list(warnings.items()),
        dataset=kept,
        multiple_values=patient_id is not None and len(_values(patient_id, scan.character_sets)) > 1,
        failure_reason=reason,
    )


def check_value(tag: int, vr: str, values: Sequence[str]) -> str | None:
    """Why the values of one attribute, given as text, break the rules of STOW-60 to STOW-6C; None when they do not.

    The answer has the shape 'Content "..." does not validate VR ..: ...'.
    """
    for value in values:
        if reason := broken_rule(vr, value.rstrip("\0")):
            return _content(value, vr, reason)
    return broken_multiplicity(tag, vr, len(values))


def _absences(required: dict[int, Element], study: str | None) -> tuple[dict[int, str], int]:
    """The first of the problems of STOW-41 to STOW-43 by tag, if there is one, and the reason code for it."""
    for tag in _REQUIRED_UIDS:
        element = required.get(tag)
        # An element of another VR is there, but unreadable: that is reported as what it is.
        if element is None or not element.length or (element.vr == "UI" and len(_values(element)) != 1):
            return dict([missing(tag)]), VALIDATION_FAILED
    stored = _values(required[tags.STUDY_INSTANCE_UID])
    if study is not None and stored and stored[0].rstrip().lower() != study.rstrip().lower():
        text = "The StudyInstanceUid in the payload does not match the specified StudyInstanceUid."
        return {tags.STUDY_INSTANCE_UID: comment(tags.STUDY_INSTANCE_UID, text)}, STUDY_MISMATCH
    return ({} if tags.PATIENT_ID in required else dict([missing(tags.PATIENT_ID)])), VALIDATION_FAILED


def _required_value_problem(element: Element, character_sets: Sequence[str]) -> str | None:
    """What STOW-50, STOW-51 and STOW-53 have against a required attribute that is there."""
    name, expected = tags.keyword_of(element.tag), _REQUIRED_VR[element.tag]
    prefix = f"Dicom element '{name}' failed validation for VR '{element.vr}': "
    if element.vr != expected:
        return f"{prefix}The element '{name}' is expected to have VR '{expected}' but has '{element.vr}' in file."
    values = _values(element, character_sets)
    if expected == "UI":
        return None if all(map(is_uid, values)) else invalid_uid(name)
    # A blank one is worth a warning only (STOW-54).
    if not values or not values[0].strip() or not broken_rule(expected, values[0]):
        return None
    if len(values[0]) > _MAX_PATIENT_ID_LENGTH:
        return f"{prefix}Value length exceeds maximum length of {_MAX_PATIENT_ID_LENGTH}."
    return f"{prefix}Value contains invalid character."


def _review(
    item: Item, character_sets: Sequence[str], never_dropped: frozenset[int] = frozenset()
) -> tuple[Item, list[Message]]:
    """A data set or item without its failing elements, at any depth; one message for each of its own elements."""
    kept: Item = []
    messages: list[Message] = []
    for element in item:
        value = element.value
        if isinstance(value, bytes):
            if element.tag == tags.SPECIFIC_CHARACTER_SET:
                character_sets = split_character_sets(value)
            if problem := _field_problem(element, value, character_sets):
                messages.append((element.tag, comment(element.tag, problem, item)))
                if element.tag not in never_dropped:
                    continue
        elif value:
            element, message = _review_sequence(element, value, character_sets)
            messages += message
        kept.append(element)
    return kept, messages


def _review_sequence(
    element: Element, items: list[Item], character_sets: Sequence[str]
) -> tuple[Element, list[Message]]:
    """A sequence without the failing elements of its items, and the message of the first of them, if any (D-12)."""
    reviews = [_review(item, character_sets) for item in items]
    messages = [message for _, found in reviews for message in found]
    return replace(element, value=[kept for kept, _ in reviews]) if messages else element, messages[:1]


def _field_problem(element: Element, field: bytes, character_sets: Sequence[str]) -> str | None:
    """What the rules of STOW-60 to STOW-6C have against a value field."""
    vr = element.vr
    if size := _BYTES_PER_VALUE.get(vr):
        return broken_multiplicity(element.tag, vr, len(field) // size)
    # D-13, STOW-70: padding with NUL is forgiven for every string VR, and then nothing but the rule of the VR applies.
    text = field.rstrip(_PADDING)
    plain = PLAIN_FIELDS.get(vr)
    if not text or not plain:
        return None
    if plain.fullmatch(text):
        count = 1 if vr in SINGLE_VALUE else text.count(b"\\") + 1
    else:
        values = _values(element, character_sets)
        for value in values:
            if reason := broken_rule(vr, value):
                return _content(value, vr, reason)
        count = len(values)
    is_padded_with_nul = vr != "UI" and field.rstrip(b" ").endswith(b"\0")
    return None if is_padded_with_nul else broken_multiplicity(element.tag, vr, count)


def _values(element: Element, character_sets: Sequence[str] = ()) -> list[str]:
    """The values of a text element without the field's padding; [] when it has none."""
    if not isinstance(element.value, bytes):
        return []
    field = element.value.rstrip(_PADDING)
    if not field:
        return []
    text = decode(field, element.vr, character_sets)
    return [text] if element.vr in SINGLE_VALUE else text.split("\\")


def missing(tag: int) -> Message:
    """What is said of a required attribute that is not there (STOW-41)."""
    return tag, comment(tag, f"The required tag '{tags.text(tag)}' is missing.")


def _content(value: str, vr: str, reason: str) -> str:
    return f'Content "{value}" does not validate VR {vr}: {reason}'


def comment(tag: int, text: str, item: Item | None = None) -> str:
    """An ErrorComment. A private tag is followed by its creator when `item`, which holds the element, names it."""
    name = tags.text(tag)
    if tags.is_private(tag) and item:
        creator_tag = tag & 0xFFFF0000 | tag >> 8 & 0xFF
        creator = next((element.value for element in item if element.tag == creator_tag), None)
        if isinstance(creator, bytes):
            name = f"{name[:-1]}:{creator.decode('ascii', 'replace').strip(' \0')})"
    return f"DICOM100: {name} - {text}"
