"""Which pages may call the service (D-4, CL-5, AUTH-24)."""

from __future__ import annotations

import pytest
from fastapi import Request, Response

from shared.web import cors


def answer(origin: str | None, host: str) -> Response:
    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b"", "headers": headers}
    request, response = Request(scope), Response()
    cors.allow(request, response)
    response.headers.update(cors.preflight(request, "GET"))
    return response


@pytest.mark.parametrize(
    ("configured", "origin", "host", "allowed"),
    [
        ((), "https://viewer.example", "127.0.0.1:7071", True),
        ((), "https://viewer.example", "localhost", True),
        ((), "https://viewer.example", "dicom.example", False),
        ((), "https://viewer.example", "localhost.evil.example", False),
        (("https://viewer.example",), "https://viewer.example", "dicom.example", True),
        (("https://viewer.example",), "http://viewer.example", "dicom.example", False),
        (("https://viewer.example",), "https://viewer.example.evil.example", "dicom.example", False),
        (("https://viewer.example",), "null", "127.0.0.1", False),
        (("*",), "https://any.example", "dicom.example", True),
        (("*",), None, "dicom.example", False),
    ],
)
def test_origins(
    monkeypatch: pytest.MonkeyPatch, configured: tuple[str, ...], origin: str | None, host: str, allowed: bool
) -> None:
    """An origin that may call is named as it is, never `*`; caches are told that answers differ by origin."""
    monkeypatch.setattr(cors, "_ORIGINS", configured)
    headers = answer(origin, host).headers
    assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert ("Access-Control-Allow-Methods" in headers) == allowed
    assert "Origin" in headers["Vary"] or allowed
    assert "Access-Control-Allow-Credentials" not in headers
