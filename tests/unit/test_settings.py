"""Settings are validated at start, and the message names the one that is wrong."""

from __future__ import annotations

import pytest

from shared.settings import DEFAULT_ROLES, Settings

ENTRA = {"DICOM_AUTHORITY": "https://login.microsoftonline.com/t/v2.0", "DICOM_AUDIENCES": "api://dicom"}


def test_authentication_is_on_unless_it_is_switched_off() -> None:
    assert Settings.from_environment(ENTRA).authentication
    assert Settings.from_environment(ENTRA).roles == DEFAULT_ROLES
    assert not Settings.from_environment({"DICOM_AUTHENTICATION": "off"}).authentication


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DICOM_AUTHORITY": ""}, "DICOM_AUTHORITY"),
        ({"DICOM_AUDIENCES": " , "}, "DICOM_AUDIENCES"),
        ({"DICOM_AUTHENTICATION": "no"}, "DICOM_AUTHENTICATION"),
        ({"DICOM_ROLES": "[]"}, "DICOM_ROLES"),
        ({"DICOM_ROLES": '{"a": 1}'}, "DICOM_ROLES"),
        ({"DICOM_ROLES": '{"a": ["fly"]}'}, "DICOM_ROLES"),
        ({"DICOM_PARTITION_CLAIM": "groups"}, "DICOM_PARTITION_RULES"),
        ({"DICOM_PARTITION_RULES": '{"a": ["p"]}'}, "DICOM_PARTITION_CLAIM"),
        ({"DICOM_OPERATIONS": "false"}, "DICOM_OPERATIONS"),
        ({"DICOM_MAX_PART_BYTES": "0"}, "DICOM_MAX_PART_BYTES"),
        ({"DICOM_INTENT_TIMEOUT_SECONDS": "soon"}, "DICOM_INTENT_TIMEOUT_SECONDS"),
    ],
)
def test_setting_that_is_wrong(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings.from_environment(ENTRA | changes)
