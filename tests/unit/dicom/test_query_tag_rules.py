"""The strict rules for values of extended query tags (shared/dicom/query_tag_rules.py)."""

from __future__ import annotations

from typing import Any

import pytest

from shared.dicom.query_tag_rules import SUPPORTED_VRS, broken_tag_rule

TOO_LONG, LENGTH, CHARACTER = (
    "Value exceeds maximum length.",
    "Value length is not expected.",
    "Value contains invalid character.",
)


@pytest.mark.parametrize(
    ("vr", "good", "bad", "reason"),
    [
        ("AE", "x" * 16, "x" * 17, TOO_LONG),
        ("AS", "030Y", "30Y", LENGTH),
        ("CS", "X" * 16, "X" * 17, TOO_LONG),
        ("DA", "20240229", "20230229", "Value cannot be parsed as a valid date."),
        ("DS", "-1.5E2", "1,5", "Value cannot be parsed as a valid decimal."),
        ("DT", "2024", "2024013", "Value cannot be parsed as a valid date time."),
        ("IS", "-07", "7.0", "Value cannot be parsed as a valid integer."),
        ("LO", "x\x1b$B" + "y" * 60, "x" * 65, TOO_LONG),
        ("LO", "x", "a\tb", CHARACTER),
        ("PN", "a^b^c^d^e=a=a", "a=b=c=d", "Value contains too many groups."),
        ("PN", "x" * 64, "x" * 65, TOO_LONG),
        ("PN", "^^^^", "a^b^c^d^e^f", "Value contains too many components."),
        ("PN", "a", "a\nb", CHARACTER),
        ("SH", "x" * 16, "x" * 17, TOO_LONG),
        ("TM", "10", "1060", "Value cannot be parsed as a valid time."),
        ("UI", "1.2.0", "1.2a", "DICOM Identifier is invalid."),
    ],
)
def test_rule_of_each_vr(vr: str, good: str, bad: str, reason: str) -> None:
    """EQT-82, EQT-90, EQT section 7: padding never counts, and only the first value does."""
    for padding in ("", " ", "\0"):
        assert broken_tag_rule(vr, _element(vr, good + padding)) is None
    assert broken_tag_rule(vr, _element(vr, good, bad)) is None
    assert (broken_tag_rule(vr, _element(vr, bad)) or "").startswith(reason)


@pytest.mark.parametrize("vr", sorted(SUPPORTED_VRS))
def test_vr_has_to_be_that_of_the_tag(vr: str) -> None:
    """EQT section 7, code 5; EQT-83: without a value there is nothing to object to."""
    assert broken_tag_rule(vr, _element("UN", "1")) == "Value representation is not expected."
    assert broken_tag_rule(vr, {"vr": vr}) is None


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [{"Alphabetic": value} if vr == "PN" else value for value in values]}
