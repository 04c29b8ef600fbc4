"""Cross-origin requests (D-4, CL-5): browsers' viewers ask before they fetch, once per URL."""

import os

from fastapi import Request, Response

from shared.settings import Settings

PREFLIGHT_SECONDS = "86400"
EXPOSED = (
    "Content-Type, Content-Location, ETag, Location, Warning, Content-Range, erroneous-dicom-attributes, "
    "x-ms-request-id"
)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ORIGINS = Settings.from_environment(os.environ).cors_origins


def allow(request: Request, response: Response) -> None:
    """Adds what a browser needs to see the response, if the request comes from a page that may.

    Caches must not give one page the answer that another has got, nor the one without CORS.
    """
    response.headers.add_vary_header("Origin")
    origin = request.headers.get("origin")
    if origin and _allowed(request, origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED


def preflight(request: Request, methods: str) -> dict[str, str]:
    """The headers that answer a preflight request, none if its origin may not call."""
    origin = request.headers.get("origin")
    if not origin or not _allowed(request, origin):
        return {}
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
        "Vary": "Access-Control-Request-Headers",
    }


def _allowed(request: Request, origin: str) -> bool:
    """Any origin may call a service on loopback that names none; elsewhere only the configured ones."""
    if not _ORIGINS:
        return request.url.hostname in _LOOPBACK
    return "*" in _ORIGINS or origin in _ORIGINS
