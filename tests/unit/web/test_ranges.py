"""Range requests (RFC 9110 13.1.5, 14.1.2, 14.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.ranges import applies, content_range, requested

LENGTH = 1000


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-99", range(100)),
        ("bytes=0-0", range(1)),
        ("bytes=100-", range(100, 1000)),
        ("bytes=999-", range(999, 1000)),
        ("bytes=900-5000", range(900, 1000)),
        ("bytes=-1", range(999, 1000)),
        ("bytes=-5000", range(1000)),
        ("Bytes= 5-9\t", range(5, 10)),
        ("bytes=0-" + "9" * 5000, range(1000)),
        ("bytes=" + "0" * 5000 + "1-2", range(1, 3)),
    ],
)
def test_satisfiable(header: str, wanted: range) -> None:
    assert requested(header, LENGTH) == wanted


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_not_satisfiable(header: str) -> None:
    """RFC 9110 15.5.17."""
    wanted = requested(header, LENGTH)
    assert wanted is not None
    assert not wanted
    assert content_range(wanted, LENGTH) == "bytes */1000"


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=x-", "bytes=9-5", "bytes=0-1,5-6", "bytes=0-1,", "items=0-1",
     "bytes 0-1", "bytes =0-1", "bytes=0 -1", "bytes=+0-1", "bytes=--1", "bytes=٣-٤", "bytes=0x0-1", "bytes=0-1\n"],
)  # fmt: skip
def test_ignored(header: str | None) -> None:
    """RFC 9110 14.2: absent, malformed, of another unit, or several."""
    assert requested(header, LENGTH) is None


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_slices(length: int, first: int, last: int) -> None:
    """What is asked for is what Python slices."""
    data = bytes(range(length))
    expected = data[first : last + 1] if first <= last else data
    wanted = requested(f"bytes={first}-{last}", length)
    got = data if wanted is None else data[wanted.start : wanted.stop] if wanted else b""
    assert got == expected
    if wanted:
        assert content_range(wanted, length) == f"bytes {first}-{first + len(expected) - 1}/{length}"


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (None, True),
        ('"1-2"', True),
        (' "1-2" ', True),
        ('"1-3"', False),
        ('W/"1-2"', False),
        ("1-2", False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
    ],
)
def test_if_range(if_range: str | None, holds: bool) -> None:
    """RFC 9110 13.1.5: strong comparison; there is no Last-Modified that a date could match."""
    assert applies(if_range, '"1-2"') == holds
