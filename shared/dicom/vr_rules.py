"""What the value of each VR may look like: the rules and the wording of STOW-60 to STOW-6B (PS3.5 6.2).

The wording is part of the service's interface, its two misspellings included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

type Rule = Callable[[str], str | None]

# The control characters of PS3.5 6.1.3. Those of G1 are not among them: text in an undeclared character set has them.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_CONTROLS_BUT_ESC: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")
_BACKSLASH_OR_CONTROLS_BUT_ESC: Final = re.compile(r"[\\\x00-\x1a\x1c-\x1f\x7f]")

_AGE: Final = re.compile(r"[0-9]{3}[DWMY]")
_CODE: Final = re.compile(r"[A-Z0-9_ ]*")
_DATE: Final = re.compile(r"[0-9]{8}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_TIME: Final = re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?")
_DATE_TIME: Final = re.compile(r"[0-9]{4}(?:[0-9]{2}){0,4}|[0-9]{14}(?:\.[0-9]{1,6})?")
_OFFSET: Final = re.compile(r"[0-9]{4}")
_UID: Final = re.compile(r"[0-9.]*")
_LEADING_ZERO: Final = re.compile(r"(?:^|\.)0[0-9]")

# One or two ends of a range. "-" also begins an offset from UTC, which is told from a year by its limit of -1200.
_BEHIND_UTC: Final = r"(?:-(?:0[0-9]{3}|1[01][0-9]{2}|1200)(?=-|$))?"
_DATE_TIME_RANGE: Final = re.compile(rf"([^-]*{_BEHIND_UTC})(?:-([^-]*{_BEHIND_UTC}))?")

_MOST_DIGITS: Final = len("2147483648")

# (first digit, last digit + 1, least, greatest, text when less, text when greater), in the order they are looked at.
_DATE_LIMITS: Final = (
    (4, 6, 0, 12, "", "month component exceeds the value 12"),
    (6, 8, 0, 31, "", "day component exceeds the value 31"),
)
_TIME_LIMITS: Final = (
    (0, 2, 0, 23, "", "hour component exceeds 23"),
    (2, 4, 0, 59, "", "minutes component exceeds 59"),
    (4, 6, 0, 60, "", "seconds component exceeds 60"),
)
_DATE_TIME_LIMITS: Final = (
    (12, 14, 0, 60, "", "seconds component exceeds 60"),
    (10, 12, 0, 59, "", "minutes component exceeds 59"),
    (8, 10, 0, 23, "", "hours component exceeds 23"),
    (6, 8, 1, 31, "day component cannot be 0", "day component exceeds 31"),
    (4, 6, 1, 12, "month component cannot be 0", "month component exceeds 12"),
)


def broken_rule(vr: str, value: str) -> str | None:
    """Why one value does not fit its VR, in the words of the rules; None when it fits, is empty or the VR has no rule.

    The value is text without the padding of its field.
    """
    rule = _RULES.get(vr)
    return rule(value) if rule and value else None


def _too_long(limit: int) -> str:
    return f"value exceeds maximum length of {limit} characters"


def _application_entity(value: str) -> str | None:
    if len(value) > 16:
        return _too_long(16)
    if not value.strip():
        return "value may not consist only of spaces"
    return "value contains invalid control character" if "\\" in value or _CONTROLS.search(value) else None


def _age(value: str) -> str | None:
    return None if _AGE.fullmatch(value) else "value does not have pattern 000[DWMY]"


def _code(value: str) -> str | None:
    if len(value) > 16:
        return _too_long(16)
    if _CODE.fullmatch(value):
        return None
    return "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed"


def _date(value: str) -> str | None:
    ends = value.split("-")
    if len(ends) > 2:
        return "value contains too many range separators '-'"
    for end in filter(None, (end.rstrip(" ") for end in ends)):
        if not _DATE.fullmatch(end):
            return "one of the date values does not match the pattern YYYYMMDD"
        if reason := _beyond(end, _DATE_LIMITS):
            return reason
    return None


def _decimal(value: str) -> str | None:
    trimmed = value.strip(" ")
    if len(trimmed) > 16:
        return _too_long(16)
    return None if not trimmed or _DECIMAL.fullmatch(trimmed) else "value is no decimal string"


def _integer(value: str) -> str | None:
    trimmed = value.strip(" ")
    if not trimmed:
        return None
    if not _INTEGER.fullmatch(trimmed):
        return "value is not an integer string"
    # Python refuses to convert thousands of digits; they cannot fit anyway.
    digits = trimmed.lstrip("+-0")
    greatest = 2**31 if trimmed.startswith("-") else 2**31 - 1
    fits = len(digits) <= _MOST_DIGITS and int(digits or "0") <= greatest
    return None if fits else "value too large to fit 32 bit integer"


def _long_string(value: str) -> str | None:
    if len(value) > 64:
        return _too_long(64)
    return "value contains invalid character" if _BACKSLASH_OR_CONTROLS_BUT_ESC.search(value) else None


def _short_string(value: str) -> str | None:
    if _BACKSLASH_OR_CONTROLS_BUT_ESC.search(value):
        return "value contains invalid character"
    return _too_long(16) if len(value) > 16 else None


def _long_text(value: str) -> str | None:
    return _too_long(10240) if len(value) > 10240 else None


def _short_text(value: str) -> str | None:
    return _too_long(1024) if len(value) > 1024 else None


def _person_name(value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > 3:
        return "value contains too many groups"
    for group in groups:
        if len(group) > 64:
            return _too_long(64)
        if _CONTROLS_BUT_ESC.search(group):
            return "value contains invalid control character"
    return "value contains too many components" if any(group.count("^") > 4 for group in groups) else None


def _time(value: str) -> str | None:
    ends = value.split("-")
    if len(ends) > 2:
        return "value contains too many range separators '-'"
    for end in filter(None, (end.rstrip(" ") for end in ends)):
        if not _TIME.fullmatch(end):
            return "value does not mach pattern HH or HHMM or HHMMSS or HHMMSS.F{1-6}"
        if reason := _beyond(end, _TIME_LIMITS):
            return reason
    return None


def _date_time(value: str) -> str | None:
    if "-0000" in value:
        return "negative UTC hours component with value -0000 is not allowed"
    if value.strip() == "-":
        return "both dateTime components in range cannot be empty"
    ends = _DATE_TIME_RANGE.fullmatch(value)
    if not ends:
        too_many = value.count("-") > 3
        return "value contains too many range separators '-'" if too_many else "value is in invalid range format"
    for end in filter(None, (end.rstrip(" ") for end in ends.groups(""))):
        if reason := _one_date_time(end):
            return reason
    return None


def _one_date_time(value: str) -> str | None:
    """A date and time with or without its offset from UTC, without the other end of a range."""
    date_time, *offsets = re.split(r"[+-]", value)
    if len(offsets) > 1:
        return "value contains too many UTC separators '+' or '-'"
    if offsets:
        if not _OFFSET.fullmatch(offsets[0]):
            return "value does not match the UTC pattern &ZZXX"
        hours, minutes = int(offsets[0][:2]), int(offsets[0][2:])
        # An offset behind UTC has been told from a year by its size, so only the other can be too large.
        if hours > 14:
            return "positive UTC hours component exceeds 14 (allowed range is -1200 to +1400)"
        if minutes > 59:
            return "UTC minutes component exceeds 59"
    if not _DATE_TIME.fullmatch(date_time):
        return "value does not mach pattern YYYY[MM[DD[HH[MM[SS[.F{1-6}]]]]]]"
    return _beyond(date_time, _DATE_TIME_LIMITS)


def _beyond(digits: str, limits: tuple[tuple[int, int, int, int, str, str], ...]) -> str | None:
    """The text for the first component that is beyond its limits. Components that are left out are fine."""
    for begin, end, least, greatest, too_small, too_large in limits:
        if len(digits) < end:
            continue
        component = int(digits[begin:end])
        if component < least:
            return too_small
        if component > greatest:
            return too_large
    return None


def _uid(value: str) -> str | None:
    trimmed = value.rstrip(" ")
    if len(trimmed) > 64:
        return _too_long(64)
    if not _UID.fullmatch(trimmed):
        return "value contains invalid characters other than '0'-'9' and '.'"
    if _LEADING_ZERO.search(trimmed):
        return "components must not have leading zeros"
    return "a component can not be empty" if trimmed and not all(trimmed.split(".")) else None


_RULES: Final[Mapping[str, Rule]] = {
    "AE": _application_entity,
    "AS": _age,
    "CS": _code,
    "DA": _date,
    "DS": _decimal,
    "DT": _date_time,
    "IS": _integer,
    "LO": _long_string,
    "LT": _long_text,
    "PN": _person_name,
    "SH": _short_string,
    "ST": _short_text,
    "TM": _time,
    "UI": _uid,
}
