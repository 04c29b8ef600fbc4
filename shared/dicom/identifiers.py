"""DICOM unique identifiers as the service takes them from paths, bodies and files (PS3.5 9.1)."""

from __future__ import annotations

import re
from typing import Final

from shared.errors import BadRequest

MAX_UID_LENGTH: Final = 64

# More than PS3.5 allows: leading zeros, empty components and a leading dot are accepted (STOW-51).
_UID: Final = re.compile(r"[0-9.]*[0-9]")


def is_uid(value: str) -> bool:
    """Whether a value without padding is an identifier: STOW-51, WADO-11."""
    return len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value) is not None


def invalid_uid(name: str) -> str:
    """The text for an attribute, named by its keyword, whose value is no identifier."""
    return (
        f"Dicom element '{name}' failed validation for VR 'UI': DICOM Identifier is invalid. "
        f"Value length should not exceed the maximum length of {MAX_UID_LENGTH} characters. "
        "Value should contain characters in '0'-'9' and '.'. Each component must start with non-zero number."
    )


def check_uid(value: str, name: str) -> str:
    """The identifier without trailing spaces. `name` is the attribute's keyword: StudyInstanceUID.

    Raises BadRequest when it is none (STOW-51, WADO-11).
    """
    uid = value.rstrip(" ")
    if not is_uid(uid):
        raise BadRequest(invalid_uid(name))
    return uid
