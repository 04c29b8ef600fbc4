"""The service does what its OpenAPI document says (VER-8): requests made from the document get documented answers only."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import function_app
from devhost.azurite import Azurite
from shared.api.openapi.document import document
from shared.settings import Settings
from tests import builders
from tests.support.dicomweb import Uids, bulk_update, finished, started, store
from tests.support.host import Host, running_host

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "8"))
"""Requests for each operation, and as many for the same about an instance that exists."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

assert function_app.app  # registers the resources

schemathesis.openapi.media_type("application/dicom", st.binary(max_size=300) | st.builds(builders.instance))
schemathesis.openapi.media_type("multipart/related", st.binary(max_size=300))


@pytest.fixture(scope="module")
def service(own_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with an account of its own: what is tried here changes extended query tags, and much else."""
    with running_host(own_azurite.connection_string, tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture(scope="module")
def known(service: Host) -> dict[str, str]:
    """The path parameters of an instance that exists, of which bulk values, frames and an operation can be had."""
    file = builders.instance(frames=2)
    assert store(service, file).status_code == 200
    uids = Uids.of(file)
    operation = started(bulk_update(service, [uids.study], {"00100020": {"vr": "LO", "Value": ["4712"]}}))
    assert finished(service, operation)["status"] == "succeeded"
    return {
        "study": uids.study,
        "series": uids.series,
        "instance": uids.instance,
        "frames": "1",
        "path": "7FE00010",
        "partition": "Microsoft.Default",
        "operation": operation,
        "tag": "0020000D",
    }


def operations() -> list[APIOperation]:
    described = schemathesis.openapi.from_dict(document("v2", Settings()))
    described.validate()
    return [result.ok() for result in described.get_all_operations()]


OPERATIONS = operations()
IN_NO_PARTITION = [operation for operation in OPERATIONS if "{partition}" not in operation.path]
"""The others are the same functions."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_documented_answers(service: Host, known: dict[str, str], operation: APIOperation) -> None:
    """Requests as the document wants them; half of them about what exists, unless they would remove it."""
    names = {parameter.name for parameter in operation.path_parameters}
    existing = {name: value for name, value in known.items() if name in names}
    attempt(service, operation, operation.as_strategy(), CHECKS)
    if existing and operation.method != "delete":
        attempt(service, operation, operation.as_strategy(path_parameters=existing), CHECKS)


@pytest.mark.parametrize("operation", IN_NO_PARTITION, ids=lambda operation: operation.label)
def test_no_request_breaks_the_service(service: Host, operation: APIOperation) -> None:
    """Requests as the document does not want them."""
    if list(operation.iter_parameters()) or operation.body:
        attempt(service, operation, operation.as_strategy(GenerationMode.NEGATIVE), [not_a_server_error])


def attempt(
    service: Host, operation: APIOperation, cases: st.SearchStrategy[Case], checks: list[CheckFunction]
) -> None:
    base_url = service.url if operation.path == "/health/check" else f"{service.url}/v2"

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def try_one(case: Case) -> None:
        if isinstance(case.query, dict):
            case.query.pop("wait", None)  # which takes its time, as it should
        case.validate_response(case.call(base_url=base_url), checks=checks)

    try_one()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_document_is_served(host: Host, version: str) -> None:
    """VER-8, AUTH-3."""
    as_json, as_yaml = (host.get(f"/{version}/api.{kind}") for kind in ("json", "yaml"))
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_yaml.headers["Content-Type"].startswith("application/yaml")
    assert as_json.json() == yaml.safe_load(as_yaml.text)
    assert as_json.json()["servers"] == [{"url": f"/{version}"}]
