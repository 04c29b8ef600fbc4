"""The rules of each VR in their own words (STOW-60 to STOW-6B)."""

from __future__ import annotations

import pytest

from shared.dicom.vr_rules import broken_rule

TOO_LONG_16 = "value exceeds maximum length of 16 characters"
TOO_LONG_64 = "value exceeds maximum length of 64 characters"
CODE = "value contains invalid character. Only uppercase character, digits, space and underscore alre allowed"
DATE = "one of the date values does not match the pattern YYYYMMDD"
DATE_TIME = "value does not mach pattern YYYY[MM[DD[HH[MM[SS[.F{1-6}]]]]]]"
TIME = "value does not mach pattern HH or HHMM or HHMMSS or HHMMSS.F{1-6}"
TOO_MANY_ENDS = "value contains too many range separators '-'"
UID_CHARACTERS = "value contains invalid characters other than '0'-'9' and '.'"


@pytest.mark.parametrize(
    ("vr", "values"),
    [
        ("AE", ["", "AET", " AET 1 ", "x" * 16]),
        ("AS", ["", "000D", "012W", "006M", "999Y"]),
        ("CS", ["", "ORIGINAL_1 X", "A" * 16, " "]),
        (
            "DA",
            [
                "",
                "20240229",
                "20230231",
                "20240101-20241231",
                "-20240101",
                "20240101-",
                "20240101  ",
                "20240101 -20240102 ",
            ],
        ),
        ("DS", ["", "1", "-1.5", "+.5", "1.", "1e5", "1.5E-10", " 1 ", "  " + "1" * 16 + "  "]),
        (
            "DT",
            ["", "2024", "202402", "20240229", "2024022923", "202402292359", "20240229235960", "20240229235960.123456"],
        ),
        (
            "DT",
            ["2024+1400", "2024-1200", "2024-2025", "20240101-0500-20240102-0500", "2024-0100-2025", "2024-2025-0100"],
        ),
        ("DT", ["-2024", "2024-", "2024 ", "20240229235960.1+0000"]),
        ("IS", ["", "0", "-1", "+12", " 7 ", "2147483647", "-2147483648", "+0000000000001", "  "]),
        ("LO", ["", "x" * 64, "a\x1bb", "ä\u0085"]),
        ("LT", ["", "a\\b\r\n\x00", "x" * 10240]),
        (
            "PN",
            ["", "Doe^Jane^A^Dr^MD", "=" * 2, "x" * 64 + "=" + "y" * 64 + "=" + "z" * 64, "a\x1bb", "^^^^=^^^^=^^^^"],
        ),
        ("SH", ["", "x" * 16, "a\x1bb"]),
        ("ST", ["", "a\\b\r\n", "x" * 1024]),
        ("TM", ["", "23", "2359", "235960", "235959.1", "235959.123456", "10-12", "-12", "12-", "10 "]),
        ("UI", ["", "1.2.840", "0.1.0", "9" * 64, "1.2  "]),
        ("UT", ["\0" * 20]),
        ("UC", ["\0"]),
        ("UR", ["\0"]),
        ("XX", ["\0"]),
    ],
)
def test_values_that_fit(vr: str, values: list[str]) -> None:
    assert [broken_rule(vr, value) for value in values] == [None] * len(values)


@pytest.mark.parametrize(
    ("vr", "value", "reason"),
    [
        ("AE", "x" * 17, TOO_LONG_16),  # STOW-60
        ("AE", "   ", "value may not consist only of spaces"),
        ("AE", "a\\b", "value contains invalid control character"),
        ("AE", "a\x1b", "value contains invalid control character"),
        ("AS", "12Y", "value does not have pattern 000[DWMY]"),  # STOW-61
        ("AS", "012y", "value does not have pattern 000[DWMY]"),
        ("AS", "0012Y", "value does not have pattern 000[DWMY]"),
        ("AS", "012Y\n", "value does not have pattern 000[DWMY]"),
        ("AS", "\u0660\u0661\u0662Y", "value does not have pattern 000[DWMY]"),
        ("CS", "ct", CODE),  # STOW-62
        ("CS", "A-B", CODE),
        ("CS", "Ä", CODE),
        ("CS", "A\n", CODE),
        ("CS", "a" * 17, TOO_LONG_16),
        ("DA", "NotAValidDate", DATE),  # STOW-63
        ("DA", "2024.01.01", DATE),
        ("DA", "2024010", DATE),
        ("DA", " 20240101", DATE),
        ("DA", "20241301", "month component exceeds the value 12"),
        ("DA", "20240132", "day component exceeds the value 31"),
        ("DA", "20240101-20241332", "month component exceeds the value 12"),
        ("DA", "2024-01-01", TOO_MANY_ENDS),
        ("DS", "1" * 17, TOO_LONG_16),  # STOW-64
        ("DS", "x" * 17, TOO_LONG_16),
        ("DS", "1,5", "value is no decimal string"),
        ("DS", "1 2", "value is no decimal string"),
        ("DS", ".", "value is no decimal string"),
        ("DS", "NaN", "value is no decimal string"),
        ("DT", "NotAValidDate", DATE_TIME),  # STOW-65
        ("DT", "202", DATE_TIME),
        ("DT", "2024022923595", DATE_TIME),
        ("DT", "202402292359.1", DATE_TIME),
        ("DT", "20240229235959.1234567", DATE_TIME),
        ("DT", "20240229235961", "seconds component exceeds 60"),
        ("DT", "202402292360", "minutes component exceeds 59"),
        ("DT", "2024022924", "hours component exceeds 23"),
        ("DT", "20240232", "day component exceeds 31"),
        ("DT", "20240200", "day component cannot be 0"),
        ("DT", "202413", "month component exceeds 12"),
        ("DT", "202400", "month component cannot be 0"),
        ("DT", "2024+1500", "positive UTC hours component exceeds 14 (allowed range is -1200 to +1400)"),
        ("DT", "2024+0060", "UTC minutes component exceeds 59"),
        ("DT", "2024+1", "value does not match the UTC pattern &ZZXX"),
        ("DT", "2024+0100+0100", "value contains too many UTC separators '+' or '-'"),
        ("DT", "20240101-0000", "negative UTC hours component with value -0000 is not allowed"),
        ("DT", " - ", "both dateTime components in range cannot be empty"),
        ("DT", "2024-2025-2026", "value is in invalid range format"),
        ("DT", "1-2-3-4-5", TOO_MANY_ENDS),
        ("IS", "1.0", "value is not an integer string"),  # STOW-66
        ("IS", "1 2", "value is not an integer string"),
        ("IS", "+-1", "value is not an integer string"),
        ("IS", "\u0661", "value is not an integer string"),
        ("IS", "2147483648", "value too large to fit 32 bit integer"),
        ("IS", "-2147483649", "value too large to fit 32 bit integer"),
        ("IS", "9" * 5000, "value too large to fit 32 bit integer"),
        ("LO", "x" * 65, TOO_LONG_64),  # STOW-67
        ("LO", "a\\b", "value contains invalid character"),
        ("LO", "a\tb", "value contains invalid character"),
        ("LO", "a\x7f", "value contains invalid character"),
        ("LO", "\0" * 65, TOO_LONG_64),
        ("SH", "x" * 17, TOO_LONG_16),  # STOW-68
        ("SH", "\n" * 17, "value contains invalid character"),
        ("SH", "a\\b", "value contains invalid character"),
        ("LT", "x" * 10241, "value exceeds maximum length of 10240 characters"),
        ("ST", "x" * 1025, "value exceeds maximum length of 1024 characters"),
        ("PN", "a=b=c=d", "value contains too many groups"),  # STOW-69
        ("PN", "a=" + "x" * 65, TOO_LONG_64),
        ("PN", "a\nb", "value contains invalid control character"),
        ("PN", "a^b^c^d^e^f", "value contains too many components"),
        ("PN", "a=b=^^^^^", "value contains too many components"),
        ("TM", "1:00", TIME),  # STOW-6A
        ("TM", "123", TIME),
        ("TM", "1200.5", TIME),
        ("TM", "120000.", TIME),
        ("TM", "120000.1234567", TIME),
        ("TM", "24", "hour component exceeds 23"),
        ("TM", "2360", "minutes component exceeds 59"),
        ("TM", "235961", "seconds component exceeds 60"),
        ("TM", "10-25", "hour component exceeds 23"),
        ("TM", "10-11-12", TOO_MANY_ENDS),
        ("UI", "9" * 65, TOO_LONG_64),  # STOW-6B
        ("UI", "1.a", UID_CHARACTERS),
        ("UI", " 1.2", UID_CHARACTERS),
        ("UI", "1.02", "components must not have leading zeros"),
        ("UI", "00.1", "components must not have leading zeros"),
        ("UI", "1..2", "a component can not be empty"),
        ("UI", "1.2.", "a component can not be empty"),
        ("UI", ".1", "a component can not be empty"),
    ],
)
def test_values_that_do_not_fit(vr: str, value: str, reason: str) -> None:
    assert broken_rule(vr, value) == reason


@pytest.mark.parametrize("value", ["\u2028", "1.5\u2003", "\u0661"])
def test_numbers_are_ascii(value: str) -> None:
    """PS3.5 6.2: only spaces pad a number, and its digits are those of ASCII."""
    assert broken_rule("DS", value) == "value is no decimal string"
    assert broken_rule("IS", value) == "value is not an integer string"
