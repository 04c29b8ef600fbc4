"""The forms in which numbers, dates and times are compared: equal values have one form, and moments sort as text."""

from __future__ import annotations

import math
import re
import struct
from datetime import date
from typing import Final

INTEGERS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
DECIMALS: Final = frozenset({"DS", "FD", "FL"})
MOMENTS: Final = frozenset({"DA", "DT", "TM"})

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{8}")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?)?")
_DATE_TIME: Final = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})([0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?)?)?"
)
_OFFSET: Final = re.compile(r"[+-][0-9]{4}")


def comparable(value: str, vr: str) -> str | None:
    """The form of a number, date or time; None for what is none, and for VRs that are compared as text.

    A time or date-time stands for its first moment (QIDO-65, QIDO-66), an offset from UTC is left aside (EQT-55). An FL
    has the precision of its four bytes.
    """
    text = value.strip(" \0")
    if vr in INTEGERS:
        return str(int(text)) if _INTEGER.fullmatch(text) else None
    if vr in DECIMALS:
        return _decimal(text, vr)
    if vr == "DA":
        return text if _DATE.fullmatch(text) and _is_date(text[:4], text[4:6], text[6:]) else None
    if vr == "TM":
        return _time(text)
    return _date_time(text) if vr == "DT" else None


def _decimal(text: str, vr: str) -> str | None:
    if not _DECIMAL.fullmatch(text):
        return None
    number = float(text)
    if vr == "FL" and math.isfinite(number):
        try:
            [number] = struct.unpack("<f", struct.pack("<f", number))
        except OverflowError:
            return None
    return repr(number + 0.0) if math.isfinite(number) else None  # minus zero becomes zero


def _time(text: str) -> str | None:
    if not (match := _TIME.fullmatch(text)):
        return None
    hours, minutes, seconds, fraction = match.groups("")
    return f"{hours}{minutes or '00'}{seconds or '00'}.{fraction:0<6}"


def _date_time(text: str) -> str | None:
    if _OFFSET.fullmatch(text[-5:]) and len(text) > 8:
        text = text[:-5]
    if not (match := _DATE_TIME.fullmatch(text)):
        return None
    year, month, day, time = match.groups("")
    month, day = month or "01", day or "01"
    moment = _time(time or "00")
    return f"{year}{month}{day}{moment}" if moment and _is_date(year, month, day) else None


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
