"""Requests that are too large in any respect are refused with the right status, before they cost much."""

from __future__ import annotations

from typing import Any

import pytest

from shared.api.bulk_update import MOST_BODY_BYTES
from shared.dicom.identifiers import MAX_UID_LENGTH
from shared.services.json_body import MAX_DEPTH
from shared.services.query import MOST_VALUES
from shared.services.update_request import MOST_STUDIES
from shared.web import body
from shared.web.audit import LONGEST_HEADER, MOST_HEADERS
from shared.web.limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PATH_BYTES, MAX_QUERY_BYTES, MAX_SEGMENT_BYTES
from shared.web.multipart import MAX_BOUNDARY_LENGTH
from shared.web.multipart import MAX_HEADER_BYTES as MAX_PART_HEADER_BYTES
from tests import builders
from tests.support.dicomweb import bulk_update, multipart
from tests.support.host import Host

NAME = {"00100020": {"vr": "LO", "Value": ["x"]}}


def nested(depth: int) -> Any:
    return [] if depth == 1 else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v2/studies?PatientID={'a' * (MAX_QUERY_BYTES - len('PatientID='))}", 204),
        (f"/v2/studies?PatientID={'a' * (MAX_QUERY_BYTES - len('PatientID=') + 1)}", 414),
        (f"/v2/studies/{'1' * MAX_SEGMENT_BYTES}", 400),
        (f"/v2/studies/{'1' * (MAX_SEGMENT_BYTES + 1)}", 414),
        ("/v2/studies/1/series/1/instances/1/bulkdata" + "/00081140" * (MAX_PATH_BYTES // 9), 414),
        (f"/v2/studies/{'1' * MAX_UID_LENGTH}", 404),
        (f"/v2/studies/{'1' * (MAX_UID_LENGTH + 1)}", 400),
        (f"/v2/partitions/{'p' * 65}/studies", 400),
        (f"/v2/studies?StudyInstanceUID={','.join(['1.2'] * MOST_VALUES)}", 204),
        (f"/v2/studies?StudyInstanceUID={','.join(['1.2'] * (MOST_VALUES + 1))}", 400),
    ],
)
def test_length_of_urls_and_what_they_name(host: Host, path: str, status: int) -> None:
    """RFC 9110 15.5.15; LIM-10, LIM-11."""
    response = host.get(path)
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({f"X-{number}": "a" for number in range(MAX_HEADERS - 10)}, 204),
        ({f"X-{number}": "a" for number in range(MAX_HEADERS + 1)}, 431),
        ({"X-Long": "a" * (MAX_HEADER_BYTES - 1024)}, 204),
        ({"X-Long": "a" * MAX_HEADER_BYTES}, 431),
        ({f"X-MS-AZUREDICOM-AUDIT-{number}": "a" for number in range(MOST_HEADERS + 1)}, 400),
        ({"X-MS-AZUREDICOM-AUDIT-A": "a" * (LONGEST_HEADER + 1)}, 400),
    ],
)
def test_number_and_length_of_headers(host: Host, headers: dict[str, str], status: int) -> None:
    """RFC 6585 5, HDR-6."""
    assert host.get("/v2/studies?PatientID=nobody", **headers).status_code == status


def test_bodies(host: Host) -> None:
    """LIM-9, LIM-24: a body of JSON may have 1 MiB, 64 levels, and 50 studies."""
    path = "/v2/studies/$bulkUpdate"
    assert host.call("POST", path, b" " * (MOST_BODY_BYTES + 1)).status_code == 413
    assert host.call("POST", path, iter([b" " * (MOST_BODY_BYTES + 1)])).status_code == 413
    assert (
        host.call("POST", "/v2/extendedquerytags", b" " * (1 << 21), Content_Type="application/json").status_code == 413
    )
    for depth, text in ((MAX_DEPTH, "must be a JSON object"), (MAX_DEPTH + 1, "syntax"), (100_000, "syntax")):
        deep = "[" * depth + "]" * depth
        response = host.call("POST", path, deep)
        assert (response.status_code, text in response.json()["detail"]) == (400, True)
    assert host.call("POST", path, '{"a": NaN}').status_code == 400
    too_many = bulk_update(host, [f"1.2.{number}" for number in range(MOST_STUDIES + 1)], NAME)
    assert too_many.status_code == 400
    assert str(MOST_STUDIES) in too_many.json()["detail"]


def test_multipart(host: Host) -> None:
    """A boundary and the headers of a part have their limits."""
    files, _ = multipart([builders.instance()])
    long = f"multipart/related; boundary={'b' * (MAX_BOUNDARY_LENGTH + 1)}"
    assert host.call("POST", "/v2/studies", files, Content_Type=long).status_code == 415
    part = b"--b\r\nX: " + b"a" * MAX_PART_HEADER_BYTES + b"\r\n\r\n\r\n--b--"
    assert host.call("POST", "/v2/studies", part, Content_Type="multipart/related; boundary=b").status_code == 400


class _Request:
    def __init__(self, content: bytes) -> None:
        self.headers = {"content-type": "multipart/related; boundary=b"}
        self._content = content

    async def stream(self) -> Any:
        yield self._content


async def test_number_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """413 at the part that is one too many."""
    monkeypatch.setattr(body, "MAX_PARTS", 3)
    content = b"--b\r\nContent-Type: application/dicom\r\n\r\n\r\n" * 4 + b"--b--"
    files = body.dicom_files(_Request(content), 1 << 20)  # type: ignore[arg-type]
    for _ in range(3):
        assert [chunk async for chunk in await anext(files)] == []
    with pytest.raises(body.PayloadTooLarge, match="3 parts"):
        await anext(files)
