"""What several resources read from a request."""

from shared.dicom.identifiers import check_uid
from shared.web.routing import Call

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


def wants_bulk_data_uris(call: Call) -> bool:
    """D-29: anything but `true` means that they are left out, since parameters that mean nothing are ignored (CL-8)."""
    return call.request.query_params.get("includebulkdatauri", "").strip().lower() == "true"


def wants_original(call: Call) -> bool:
    """WADO-100: anything but `true` means the latest version."""
    return (call.header("msdicom-request-original") or "").strip().lower() == "true"
