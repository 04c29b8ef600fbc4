r"""Patterns of value fields that fit their VR beyond doubt, so that most elements need neither decoding nor splitting.

A field that matches has only values that `vr_rules` accepts, and as many as it has backslashes plus one (one for LT and
ST). One that does not match may still be fine. Every pattern is for a field without trailing padding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# Printable ASCII without the backslash; a name has neither "^" nor "=", which delimit its parts, inside a component.
_PRINTABLE: Final = r"[ -\[\]-~]"
_NOT_BLANK: Final = r"[!-\[\]-~]"
_NAME_COMPONENT: Final = r"[ -<>-\[\]_-~]*"

_MONTH: Final = r"(?:0[1-9]|1[0-2])"
_DAY: Final = r"(?:0[1-9]|[12][0-9]|3[01])"
_HOUR: Final = r"(?:[01][0-9]|2[0-3])"
_MINUTE: Final = r"[0-5][0-9]"
_SECOND: Final = r"(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?"
_UID_COMPONENT: Final = r"(?:0|[1-9][0-9]*)"


def _values(pattern: str, longest: int | None = None) -> re.Pattern[bytes]:
    """One or more values that match and are at most so long, or empty, separated by backslashes."""
    limit = "" if longest is None else rf"(?=[^\\]{{0,{longest}}}(?![^\\]))"
    # Atomic: that a value can match in several ways must not be tried out for all combinations of values.
    value = f"(?>(?:{limit}{pattern})?)"
    return re.compile(rf"{value}(?:\\{value})*+".encode())


PLAIN_FIELDS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "AE": _values(f"{_NOT_BLANK}{_PRINTABLE}{{0,15}}"),
    "AS": _values(r"[0-9]{3}[DWMY]"),
    "CS": _values(r"[A-Z0-9_ ]{1,16}"),
    "DA": _values(rf"[0-9]{{4}}{_MONTH}{_DAY}"),
    "DS": _values(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *", 16),
    "DT": _values(rf"[0-9]{{4}}(?:{_MONTH}(?:{_DAY}(?:{_HOUR}(?:{_MINUTE}(?:{_SECOND})?)?)?)?)?"),
    "IS": _values(r" *[+-]?[0-9]{1,9} *"),
    "LO": _values(f"{_PRINTABLE}{{1,64}}"),
    "PN": _values(rf"{_NAME_COMPONENT}(?:\^{_NAME_COMPONENT}){{0,4}}", 64),
    "SH": _values(f"{_PRINTABLE}{{1,16}}"),
    "TM": _values(rf"{_HOUR}(?:{_MINUTE}(?:{_SECOND})?)?"),
    "UI": _values(rf"{_UID_COMPONENT}(?:\.{_UID_COMPONENT})*", 64),
    # Text has no more characters than bytes in any character set.
    "LT": re.compile(rb"(?s:.{0,10240})"),
    "ST": re.compile(rb"(?s:.{0,1024})"),
}
