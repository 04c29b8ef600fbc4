"""DICOMweb requests and answers, as short as tests want them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import BytesParser
from io import BytesIO
from typing import Any

import pydicom
import requests

from tests.support import privacy
from tests.support.host import Host

MULTIPART = 'multipart/related; type="application/dicom"'
ANY_FILE = "application/dicom; transfer-syntax=*"
ANY_FILES = f"{MULTIPART}; transfer-syntax=*"


@dataclass(frozen=True)
class Uids:
    study: str
    series: str
    instance: str

    @classmethod
    def of(cls, file: bytes) -> Uids:
        dataset = pydicom.dcmread(BytesIO(file), stop_before_pixels=True, force=True)
        return cls(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))

    @property
    def study_path(self) -> str:
        return f"/studies/{self.study}"

    @property
    def series_path(self) -> str:
        return f"{self.study_path}/series/{self.series}"

    @property
    def instance_path(self) -> str:
        return f"{self.series_path}/instances/{self.instance}"


def multipart(files: Iterable[bytes], content_type: str = "application/dicom") -> tuple[bytes, str]:
    """A body of these parts, and its Content-Type."""
    boundary = uuid.uuid4().hex
    parts = [f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"{MULTIPART}; boundary={boundary}"


def store(
    host: Host, *files: bytes, base: str = "/v2", path: str = "/studies", method: str = "POST"
) -> requests.Response:
    body, content_type = multipart(files)
    return host.call(method, base + path, body, Content_Type=content_type, Accept="application/dicom+json")


def parts(response: requests.Response) -> list[tuple[str, bytes]]:
    """The parts of a multipart answer as (Content-Type, payload)."""
    content_type = response.headers["Content-Type"]
    boundary = content_type.split("boundary=")[1].strip('"').encode()
    found = []
    for piece in response.content.split(b"--" + boundary)[1:-1]:
        head, payload = piece.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        headers = BytesParser().parsebytes(head + b"\r\n\r\n")
        found.append((headers["Content-Type"], payload.removesuffix(b"\r\n")))
    return found


def bulk_update(host: Host, studies: list[str], changes: dict[str, Any], base: str = "/v2") -> requests.Response:
    privacy.remember_changes(changes)
    body = json.dumps({"studyInstanceUids": studies, "changeDataset": changes})
    return host.call("POST", f"{base}/studies/$bulkUpdate", body, Content_Type="application/json")


def finished(host: Host, operation_id: str, seconds: float = 60) -> dict[str, Any]:
    """The state of an operation once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        response = host.get(f"/v2/operations/{operation_id}")
        if response.status_code == 200:
            state: dict[str, Any] = response.json()
            return state
        assert response.status_code == 202, response.text
        time.sleep(0.05)
    raise AssertionError(f"The operation {operation_id} did not end: {response.text}")


def started(response: requests.Response) -> str:
    assert response.status_code == 202, response.text
    operation_id: str = response.json()["id"]
    return operation_id


def value(dataset: dict[str, Any], tag: str) -> Any:
    """The first value of an element of DICOM JSON, None when it has none."""
    values = dataset.get(tag, {}).get("Value", [])
    return values[0] if values else None


def feed(host: Host, study: str) -> list[dict[str, Any]]:
    """All entries of the change feed about a study."""
    entries: list[dict[str, Any]] = []
    offset = 0
    while page := host.get(f"/v2/changefeed?limit=200&offset={offset}&includeMetadata=false").json():
        offset += len(page)
        entries += [entry for entry in page if entry["studyInstanceUid"] == study]
    return entries
