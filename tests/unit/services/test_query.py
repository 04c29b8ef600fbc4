"""Query strings that fuzzing has found, and wildcards held against their definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.searchable import Level
from shared.errors import BadRequest
from shared.services.query import Query, parse


def matches(pattern: str, value: str) -> bool:
    [condition] = parse(Query(Level.STUDY), [("PatientID", pattern)]).conditions
    return condition.matches(value)


def covers(pattern: str, value: str) -> bool:
    """PS3.4 C.2.2.2.4 in its own words."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(covers(pattern[1:], value[start:]) for start in range(len(value) + 1))
    return bool(value) and pattern[0] in ("?", value[0]) and covers(pattern[1:], value[1:])


@given(
    st.text("ab?*.", min_size=1, max_size=8).filter(lambda text: "*" in text or "?" in text), st.text("ab.", max_size=8)
)
def test_wildcards(pattern: str, value: str) -> None:
    """D-40."""
    assert matches(pattern, value) == covers(pattern, value)


def test_wildcards_are_not_tried_in_all_combinations() -> None:
    """D-40: with 30 of them that would take for ever."""
    assert not matches("*a" * 30 + "*b", "a" * 64)


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "\x1f0"), ("limit", "\N{ARABIC-INDIC DIGIT ONE}"), ("StudyDate", "2024013\N{ARABIC-INDIC DIGIT ONE}")],
)
def test_what_only_looks_like_a_number_is_refused(name: str, value: str) -> None:
    """QIDO-25, QIDO-64."""
    with pytest.raises(BadRequest):
        parse(Query(Level.STUDY), [(name, value)])
