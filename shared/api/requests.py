"""What several resources read from a request."""

import re

from shared.dicom.identifiers import check_uid
from shared.errors import BadRequest, PayloadTooLarge
from shared.web.routing import Call

ORIGINAL = "msdicom-request-original"

_NAMES = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}


def accept(call: Call) -> list[str]:
    """The lines of the Accept header."""
    return call.request.headers.getlist("accept")


def accept_query(call: Call) -> list[str]:
    """The values of the query parameter `accept`, which wins over the header (CL-1)."""
    return call.request.query_params.getlist("accept")


def identifiers(call: Call) -> tuple[str, str | None, str | None]:
    """The study, series and instance of the path; raises BadRequest for what is no UID (WADO-11)."""
    known = call.request.path_params
    study, series, instance = (
        check_uid(str(known[name]), keyword) if name in known else None for name, keyword in _NAMES.items()
    )
    return study or "", series, instance


def page(call: Call, default: int, most: int) -> tuple[int, int]:
    """The query parameters `offset` and `limit`, in any case; raises BadRequest (EQT-7)."""
    given = {name.lower(): value for name, value in call.request.query_params.items()}
    offset = _integer("Offset", given.get("offset", "0"), 0, 2**63 - 1)
    return offset, _integer("Limit", given.get("limit", str(default)), 1, most)


def _integer(name: str, text: str, least: int, most: int) -> int:
    problem = f"The query parameter '{name}' is invalid."
    if not re.fullmatch(r"-?[0-9]{1,30}", text.strip()):
        raise BadRequest(f"{problem} The value '{text}' is not valid for {name}.")
    if not least <= int(text) <= most:
        raise BadRequest(f"{problem} The field {name} must be between {least} and {most}.")
    return int(text)


async def read_body(call: Call, most: int) -> bytes:
    """The whole body of a request; raises PayloadTooLarge when it has more than `most` bytes."""
    body = bytearray()
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > most:
            raise PayloadTooLarge(f"The request exceeded the allowed limit of {most} bytes.")
    return bytes(body)


def wants_bulk_data_uris(call: Call) -> bool:
    """D-29: anything but `true` means that they are left out, since parameters that mean nothing are ignored (CL-8)."""
    return call.request.query_params.get("includebulkdatauri", "").strip().lower() == "true"


def wants_original(call: Call) -> bool:
    """WADO-100: anything but `true` means the latest version."""
    return (call.header(ORIGINAL) or "").strip().lower() == "true"
