"""The strict rules for values of extended query tags: which VRs can be indexed, and which values (EQT-50, EQT-7x, §7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.dicom.comparable import comparable
from shared.dicom.identifiers import is_uid
from shared.dicom.searchable import values

SUPPORTED_VRS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "PN", "SH", "SL", "SS", "TM", "UI", "UL", "US"}
)
"""EQT-50, D-80."""

UNEXPECTED_VR: Final = "Value representation is not expected."

_TOO_LONG: Final = "Value exceeds maximum length."
_UNEXPECTED_LENGTH: Final = "Value length is not expected."
_INVALID_CHARACTER: Final = "Value contains invalid character."
_INVALID_UID: Final = (
    "DICOM Identifier is invalid. Value length should not exceed the maximum length of 64 characters. "
    "Value should contain characters in '0'-'9' and '.'. Each component must start with non-zero number."
)

_AGE_LENGTH: Final = 4
_LONGEST: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64}
_MOST_NAME_GROUPS, _LONGEST_NAME_GROUP, _MOST_NAME_COMPONENTS = 3, 64, 5
_CONTROLS_BUT_ESC: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")


def broken_tag_rule(vr: str, element: Mapping[str, Any]) -> str | None:
    """Why the first value of a DICOM JSON element cannot be indexed for a tag with this VR; None when it can be.

    An empty element breaks no rule (EQT-83).
    """
    if element["vr"] != vr:
        return UNEXPECTED_VR
    found = values(dict(element))
    rule = _RULES.get(vr)
    text = found[0].rstrip(" \0") if found else ""
    return rule(vr, text) if rule and text else None


def is_long_string(value: str) -> bool:
    """Whether a value fits the VR LO."""
    return _text("LO", value) is None and "\\" not in value


def _text(vr: str, value: str) -> str | None:
    if len(value) > _LONGEST[vr]:
        return _TOO_LONG
    return _INVALID_CHARACTER if vr == "LO" and _CONTROLS_BUT_ESC.search(value) else None


def _age(_: str, value: str) -> str | None:
    return None if len(value) == _AGE_LENGTH else _UNEXPECTED_LENGTH


def _uid(_: str, value: str) -> str | None:
    return None if is_uid(value) else _INVALID_UID


def _name(_: str, value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > _MOST_NAME_GROUPS:
        return "Value contains too many groups."
    for group in groups:
        if len(group) > _LONGEST_NAME_GROUP:
            return _TOO_LONG
        if _CONTROLS_BUT_ESC.search(group):
            return _INVALID_CHARACTER
        if group.count("^") >= _MOST_NAME_COMPONENTS:
            return "Value contains too many components."
    return None


def _parsed(what: str) -> Callable[[str, str], str | None]:
    def rule(vr: str, value: str) -> str | None:
        return None if comparable(value, vr) is not None else f"Value cannot be parsed as a valid {what}."

    return rule


_RULES: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    "AE": _text,
    "AS": _age,
    "CS": _text,
    "DA": _parsed("date"),
    "DS": _parsed("decimal"),
    "DT": _parsed("date time"),
    "IS": _parsed("integer"),
    "LO": _text,
    "PN": _name,
    "SH": _text,
    "TM": _parsed("time"),
    "UI": _uid,
}
