"""Authentication, authorisation and the audit trail over HTTP (AUTH-1 to AUTH-25, AUD-1 to AUD-10, HDR-6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devhost.azurite import Azurite
from tests import builders
from tests.support.dicomweb import Uids, multipart
from tests.support.host import Host
from tests.support.issuer import AUDIENCE, Issuer, running_issuer

RULES = {"DICOM_PARTITION_CLAIM": "hospital", "DICOM_PARTITION_RULES": '{"a": ["pa"], "all": ["*"]}'}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def guarded(azurite: Azurite, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that lets nobody in without a token; callers with a hospital are kept to its partition."""
    settings = {"DICOM_AUTHENTICATION": "", "DICOM_AUTHORITY": issuer.url, "DICOM_AUDIENCES": AUDIENCE} | RULES
    running = Host(azurite.connection_string, tmp_path_factory.mktemp("guarded"), **settings).start()
    yield running
    running.stop()


def call(host: Host, issuer: Issuer, method: str, path: str, body: bytes = b"", **claims: Any) -> tuple[int, Any]:
    token = issuer.token(**({"hospital": "all"} | claims))
    response = host.call(method, path, body, Authorization=f"Bearer {token}")
    is_json = "json" in response.headers.get("Content-Type", "")
    return response.status_code, response.json() if is_json else response.content


def store(host: Host, issuer: Issuer, path: str, file: bytes, **claims: Any) -> int:
    body, content_type = multipart([file])
    token = issuer.token(**({"hospital": "all"} | claims))
    return host.call("POST", path, body, Content_Type=content_type, Authorization=f"Bearer {token}").status_code


ROUTES = [
    ("GET", "/v2/studies"), ("POST", "/v2/studies"), ("GET", "/v2/studies/1.2.x"), ("POST", "/v2/studies/$bulkUpdate"),
    ("DELETE", "/v2/studies/1.2"), ("GET", "/v2/studies/1.2/metadata"), ("GET", "/v2/studies/1.2/series"),
    ("GET", "/v2/series"), ("GET", "/v2/instances?limit=x"), ("GET", "/v2/changefeed"), ("GET", "/v2/changefeed/latest"),
    ("GET", "/v2/partitions"), ("GET", "/v2/operations/x"), ("GET", "/v2/partitions/pa/studies"),
    ("HEAD", "/v2/studies/1.2/series/1.2/instances/1.2/frames/1"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_without_a_token(guarded: Host, issuer: Issuer, method: str, path: str) -> None:
    """AUTH-3, AUTH-4, AUTH-20: 401 wins over whatever else is wrong."""
    response = guarded.call(method, path, Accept="text/nothing")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith(f'Bearer authorization_uri="{issuer.url}"')
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["x-ms-request-id"]


def test_open_to_anybody(guarded: Host) -> None:
    """AUTH-3, HC-1; browsers send no token with a preflight request."""
    assert guarded.get("/health/check").status_code == 200
    preflight = guarded.call(
        "OPTIONS", "/v2/studies", Origin="http://viewer.example", Access_Control_Request_Headers="authorization"
    )
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]


def test_roles(guarded: Host, issuer: Issuer) -> None:
    """AUTH-7, AUTH-10, DEL-6, STOW-5, UPD-4: 403 for what roles do not cover; before a bad UID (AUTH-21), 406 (AUTH-22)."""
    file = builders.instance()
    uids = Uids.of(file)
    assert store(guarded, issuer, "/v2/studies", file, roles=["globalReader"]) == 403
    assert store(guarded, issuer, "/v2/studies", file, roles=["write"]) == 200
    assert call(guarded, issuer, "GET", f"/v2{uids.study_path}/metadata", roles=["globalReader"])[0] == 200
    status, body = call(guarded, issuer, "GET", f"/v2{uids.study_path}/metadata", roles=["write"])
    assert (status, body["detail"]) == (403, "Authorization failed.")
    assert call(guarded, issuer, "DELETE", "/v2/studies/x", roles=["globalReader", "write"])[0] == 403
    assert call(guarded, issuer, "POST", "/v2/studies/$bulkUpdate", roles=["globalReader"])[0] == 403
    token = issuer.token(hospital="all", roles=["write"])
    assert guarded.get("/v2/studies", Accept="text/nothing", Authorization=f"Bearer {token}").status_code == 403
    assert call(guarded, issuer, "DELETE", f"/v2{uids.study_path}", roles=["delete"])[0] == 204


def test_callers_are_kept_to_their_partitions(guarded: Host, issuer: Issuer) -> None:
    """What lies elsewhere is refused, whether it exists or not, and is never listed."""
    file = builders.instance()
    uids = Uids.of(file)
    for partition in ("pa", "pb"):
        assert store(guarded, issuer, f"/v2/partitions/{partition}/studies", file) == 200
    own, other = (f"/v2/partitions/{name}{uids.study_path}/metadata" for name in ("pa", "pb"))
    assert call(guarded, issuer, "GET", own, hospital="a")[0] == 200
    for path in (other, "/v2/partitions/nowhere/studies", "/v2/studies", f"/v2{uids.study_path}", "/v2/changefeed"):
        assert call(guarded, issuer, "GET", path, hospital="a")[0] == 403
    assert store(guarded, issuer, "/v2/partitions/pc/studies", builders.instance(), hospital="a") == 403
    assert store(guarded, issuer, "/v2/studies", builders.instance(), hospital=None) == 403
    names = {item["partitionName"] for item in call(guarded, issuer, "GET", "/v2/partitions", hospital="a")[1]}
    assert names == {"pa"}
    assert {"pa", "pb"} <= {item["partitionName"] for item in call(guarded, issuer, "GET", "/v2/partitions")[1]}


def events(host: Host) -> list[dict[str, Any]]:
    lines = host.log.read_text().splitlines()
    return [json.loads(line.split(": ", 1)[1]) for line in lines if line.startswith("INFO dicom.audit: ")]


def test_audit_trail(guarded: Host, issuer: Issuer) -> None:
    """AUD-2 to AUD-6: who did what to which study, and how it ended; nothing else of the patient."""
    file = builders.instance(PatientName="Secret^Sally", PatientID="secret id")
    uids = Uids.of(file)
    assert store(guarded, issuer, "/v2/studies", file, oid="object id", name="Nora Nurse") == 200
    token = issuer.token(hospital="all")
    headers = {"Authorization": f"Bearer {token}", "X_MS_AZUREDICOM_AUDIT_Purpose": "treatment"}
    response = guarded.get(f"/v2/studies/{uids.study}/series?Modality=OT", **headers)
    assert response.status_code == 200
    assert guarded.get("/v2/studies?PatientName=Secret*&PatientID=secret%20id", **headers).status_code == 200
    assert call(guarded, issuer, "DELETE", f"/v2{uids.study_path}", roles=["read"])[0] == 403
    assert call(guarded, issuer, "GET", "/v2/studies/Secret%5ESally/metadata")[0] == 400
    own = [event for event in events(guarded) if uids.study in json.dumps(event)]
    assert [(event["operation"], event["status"]) for event in own] == [
        ("store", 200),
        ("query", 200),
        ("delete", 403),
    ]
    stored, searched, refused = own
    assert stored["caller"] == {"oid": "object id", "sub": "caller"}
    assert (stored["studies"], stored["stored"], stored["failed"]) == ([uids.study], 1, 0)
    assert searched["requestId"] == response.headers["x-ms-request-id"]
    assert searched["headers"] == {"purpose": "treatment"}
    assert refused["resource"]["study"] == uids.study
    assert refused["caller"] == {"sub": "caller"}
    log = guarded.log.read_text()
    for secret in ("Secret", "Sally", "secret id", "secret%20id", "Nora", token):
        assert secret not in log


@pytest.mark.parametrize(
    "headers",
    [{f"X-MS-AZUREDICOM-AUDIT-{n}": "x" for n in range(11)}, {"x-ms-azuredicom-audit-a": "x" * 2049}],
)
def test_too_many_audit_headers(guarded: Host, issuer: Issuer, headers: dict[str, str]) -> None:
    """HDR-6, AUD-6."""
    token = issuer.token(hospital="all")
    response = guarded.call("GET", "/v2/studies", Authorization=f"Bearer {token}", **headers)
    assert response.status_code == 400
    assert "10" in response.json()["detail"]
    assert "2048" in response.json()["detail"]
