"""The Functions host tries routes in the order of function names; literals have no precedence over parameters."""

from __future__ import annotations

import re
from itertools import combinations, zip_longest

from tests.support.routes import routes

PARAMETER = re.compile(r"\{[^}]*\}")


def may_match_the_same(one: str, other: str) -> bool:
    """Whether there is a path that fits both templates."""
    for a, b in zip_longest(one.split("/"), other.split("/"), fillvalue=""):
        if a.startswith("{*") or b.startswith("{*"):  # takes all that follows, and nothing as well
            return True
        if not (a and b and (a == b or PARAMETER.search(a) or PARAMETER.search(b))):
            return False
    return True


def test_no_two_routes_overlap() -> None:
    found = {name: route.lower() for name, route in routes().items()}
    assert len(found) > 30
    overlapping = [pair for pair in combinations(found, 2) if may_match_the_same(*(found[name] for name in pair))]
    assert overlapping == []


def test_the_test_sees_overlaps() -> None:
    assert may_match_the_same("{version}/studies/{study}", "v2/studies/$bulkupdate")
    assert not may_match_the_same("{version}/studies", "{version}/studies/{study}")
    assert not may_match_the_same("{version}/studies/{study}", "{version}/series/{series}")
    for other in ("a", "a/b", "a/{x}/c"):
        assert may_match_the_same("a/{*rest}", other)
        assert may_match_the_same(other, "a/{*rest}")
    assert not may_match_the_same("a/{*rest}", "b/c")
