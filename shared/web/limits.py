"""Limits on what a request says of itself, checked before anything else is looked at.

The Functions host has such limits of its own (a request line of 8 KiB, 100 headers of 32 KiB together): these hold on every
host. The limits of bodies stand where bodies are read.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request

from shared.errors import HeadersTooLarge, UriTooLong

MAX_PATH_BYTES: Final = 8 * 1024
MAX_SEGMENT_BYTES: Final = 6 * 1024
"""Of what stands between two slashes, percent-encoded: a list of a thousand frames. UIDs and names have limits of their own."""
MAX_QUERY_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024
"""Of all names and values together."""

TOO_LARGE: Final = (414, 431)
"""What any request may be answered with."""


def check(request: Request) -> None:
    """Raises UriTooLong or HeadersTooLarge."""
    path, query = request.scope["raw_path"], request.scope["query_string"]
    if len(path) > MAX_PATH_BYTES or any(len(segment) > MAX_SEGMENT_BYTES for segment in path.split(b"/")):
        raise UriTooLong(f"The path may have {MAX_PATH_BYTES} bytes, and {MAX_SEGMENT_BYTES} between two slashes.")
    if len(query) > MAX_QUERY_BYTES:
        raise UriTooLong(f"The query string may have {MAX_QUERY_BYTES} bytes.")
    headers = request.headers.raw
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"A request may have {MAX_HEADERS} headers with {MAX_HEADER_BYTES} bytes.")
