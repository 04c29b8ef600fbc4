"""What must be in no log and no trace: patient data, here those that the tests have made up and sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from pydicom.datadict import keyword_for_tag

KEYWORDS = (
    "AccessionNumber", "InstitutionName", "IssuerOfPatientID", "OperatorsName", "OtherPatientIDs", "PatientAddress",
    "PatientBirthDate", "PatientBirthName", "PatientComments", "PatientID", "PatientMotherBirthName", "PatientName",
    "PatientTelephoneNumbers", "PerformingPhysicianName", "ReferringPhysicianName", "RequestingPhysician",
    "StudyDescription", "StudyID",
)  # fmt: skip
"""Attributes that are about a patient; a log line that names one would be about to tell its value."""

_SHORTEST = 6
_values: set[str] = set()


def remember(keyword: str, value: Any) -> None:
    """Keeps a value, or a list of them, that a test gives to an attribute, if a log could not hold it by chance."""
    if keyword not in KEYWORDS:
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        text = str(item)
        if len(text) >= _SHORTEST and not re.fullmatch(r"[\d.\\*?-]*", text):
            _values.add(text)


def remember_changes(changes: dict[str, Any]) -> None:
    """The same for elements of DICOM JSON."""
    for tag, element in changes.items():
        for value in element.get("Value", []) if isinstance(element, dict) else []:
            for text in value.values() if isinstance(value, dict) else [value]:
                remember(keyword_for_tag(int(tag, 16)) if re.fullmatch("[0-9A-Fa-f]{8}", tag) else "", text)


def leaks(log: str) -> list[str]:
    """The patient data in a log."""
    return [text for text in (*KEYWORDS, *_values) if any(form in log for form in _forms(text))]


def _forms(text: str) -> Iterable[str]:
    """As it is, and inside of JSON or of a repr."""
    return {text, json.dumps(text)[1:-1], repr(text)[1:-1]}
