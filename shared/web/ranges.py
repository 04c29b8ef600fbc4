"""Range requests for one stretch of bytes (RFC 9110 13.1.5, 14.1.2, 14.2)."""

from __future__ import annotations

import re
from typing import Final

# The first and the last byte, or the length of the end: of the three, the first or the last is there.
_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
# Enough for any length; longer numbers mean the same as this many of their digits.
_DIGITS: Final = 19


def requested(header: str | None, length: int) -> range | None:
    """Which bytes of a representation of `length` bytes a Range header asks for.

    None when the header is to be ignored, and the whole is sent: there is none, it is malformed, has another unit or
    several ranges. An empty range when it cannot be satisfied: 416.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        return range(max(length - _number(found[2]), 0), length)
    first, last = _number(found[1]), _number(found[2]) if found[2] else length - 1
    if found[2] and last < first:
        return None
    return range(first, min(last + 1, length))


def applies(if_range: str | None, etag: str) -> bool:
    """Whether If-Range lets a range be served of the representation with this strong entity tag.

    It does when it is absent. A date never matches, since representations have none here, nor does a weak tag.
    """
    return if_range is None or if_range.strip() == etag


def content_range(wanted: range, length: int) -> str:
    """The value of Content-Range for a range of a representation, or for one that cannot be satisfied (empty)."""
    return f"bytes {wanted.start}-{wanted.stop - 1}/{length}" if wanted else f"bytes */{length}"


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[:_DIGITS] or "0")
