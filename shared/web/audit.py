"""The audit trail: one structured event for each request to a resource (AUD-1 to AUD-10, HDR-6).

An event says who did what to which resources, and how it ended. It holds no patient data beyond UIDs: neither query strings,
which name patients, nor bodies.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from shared.errors import BadRequest
from shared.telemetry import trace_id

HEADER_PREFIX = "x-ms-azuredicom-audit-"
MOST_HEADERS = 10
LONGEST_HEADER = 2048

_WHO = ("tid", "oid", "sub", "azp", "appid")
_UID = r"[0-9.]{1,64}"
_RESOURCE = {
    "partition": r"[A-Za-z0-9_.-]{1,64}",
    "study": _UID,
    "series": _UID,
    "instance": _UID,
    "frames": r"[0-9,]+",
    "operation": r"[0-9A-Fa-f-]{1,64}",
    "tag": r"[0-9A-Za-z]{1,64}",
}
"""What a path names, and what that looks like: whatever else stands there names nothing, and may be a patient's name."""

logger = logging.getLogger("dicom.audit")


def custom_headers(request: Request) -> dict[str, str]:
    """What the client wants to have in the event. Raises BadRequest when that is too much (HDR-6)."""
    found = {
        name[len(HEADER_PREFIX) :]: value
        for name, value in request.headers.items()
        if name.lower().startswith(HEADER_PREFIX)
    }
    if len(found) > MOST_HEADERS or any(len(value) > LONGEST_HEADER for value in found.values()):
        raise BadRequest(
            f"A request may have {MOST_HEADERS} audit headers at the most, "
            f"with values of {LONGEST_HEADER} characters at the most."
        )
    return found


def record(
    request: Request,
    request_id: str,
    operation: str,
    status: int,
    claims: Mapping[str, Any],
    details: Mapping[str, Any],
) -> None:
    """Writes the event. `details` are what the operation adds: UIDs that stand in bodies, and the custom headers."""
    given = {name: str(request.path_params.get(name, "")) for name in _RESOURCE}
    resource = {name: value for name, value in given.items() if re.fullmatch(_RESOURCE[name], value)}
    event = {
        "operation": operation,
        "method": request.method,
        "status": status,
        "requestId": request_id,
        "caller": {name: claims[name] for name in _WHO if name in claims},
        "resource": resource,
        **details,
    }
    if trace := trace_id():  # AUD-10
        event["traceId"] = trace
    logger.info(json.dumps(event, default=str))
