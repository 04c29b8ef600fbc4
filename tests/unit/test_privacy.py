"""The net that patient data in logs would be caught in, at the end of each host of the tests and of the run."""

from __future__ import annotations

import logging

import pytest

from tests import builders
from tests.support import privacy


@pytest.mark.parametrize(
    "line",
    [
        "Unexpected value 'Zoë^Łukasz'",
        r'{"study": "Zo\u00eb^\u0141ukasz"}',
        "GET /v2/studies?PatientID=1",
        "stored patient-4711",
        "Roe^Richard",
    ],
)
def test_leaks_are_found(line: str) -> None:
    builders.instance(
        SpecificCharacterSet="ISO_IR 192", PatientName="Zoë^Łukasz", PatientBirthDate="19010203", StudyID="1234567"
    )
    assert privacy.leaks(line)
    assert privacy.leaks("INFO dicom.audit: 1.2.826.0.1.19010203.1234567 Microsoft.Default") == []


def test_what_an_update_writes_is_known() -> None:
    privacy.remember_changes(
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Former^Name"}]}, "00081030": {"vr": "LO"}}
    )
    assert privacy.leaks("Former^Name") == ["Former^Name"]


def test_lines_of_the_services_are_kept(logged: list[str]) -> None:
    """The audit trail too, which is at the level Information."""
    logging.getLogger("shared.services.upkeep").warning("a warning of %s", "upkeep")
    logging.getLogger("dicom.audit").info("an event")
    assert logged[-2:] == ["a warning of upkeep", "an event"]
