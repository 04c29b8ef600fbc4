"""The OpenAPI document has every route, and no other (VER-8); it is what OpenAPI 3.1 wants, and YAML says the same as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
import yaml

from shared.api.openapi.descriptions import DESCRIPTIONS
from shared.api.openapi.document import document
from shared.api.openapi.parameters import PARAMETERS
from shared.api.openapi.yaml import dump
from shared.settings import Action, Settings
from shared.web.routing import RESOURCES, VERSIONS
from tests.support.routes import routes

ENTRA = Settings(authentication=True, authority="https://login.example/t/v2.0", audiences=("api://dicom",))
ROOT = Path(__file__).resolve().parents[2]
METHODS = {"get", "put", "post", "delete", "patch"}


def paths() -> set[str]:
    """The routes of the functions behind the version, as the document writes them."""
    return {"/" + route.removeprefix("{version}/").replace("{*", "{") for route in routes().values()}


def operations(version: str = "v2", settings: Settings = ENTRA) -> dict[tuple[str, str], dict[str, Any]]:
    paths = document(version, settings)["paths"]
    return {(path, method): item[method] for path, item in paths.items() for method in METHODS & set(item)}


def test_every_route_is_described_and_no_other() -> None:
    bulk_update = {
        "/studies/$bulkUpdate",
        "/partitions/{partition}/studies/$bulkUpdate",
    }  # one function with the study's
    assert set(document("v2", ENTRA)["paths"]) == paths() | bulk_update
    assert set(document("v1", ENTRA)["paths"]) == paths()  # VER-28


def test_every_method_is_described_and_no_other() -> None:
    registered = {(resource.name, method) for resource in RESOURCES for method in resource.endpoints}
    assert set(DESCRIPTIONS) == registered | {("bulk_update", "POST")}


@pytest.mark.parametrize("settings", [ENTRA, Settings()], ids=["tokens", "keys"])
@pytest.mark.parametrize("version", VERSIONS)
def test_document_is_valid(version: str, settings: Settings) -> None:
    described = document(version, settings)
    schemathesis.openapi.from_dict(described).validate()
    for schema in described["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    identifiers = [operation["operationId"] for operation in operations(version, settings).values()]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_referred_to_is_there_and_used(version: str) -> None:
    described = document(version, ENTRA)
    referred = set(re.findall(r'"#/components/(\w+/[\w.-]+)"', json.dumps(described)))
    defined = {f"{kind}/{name}" for kind, items in described["components"].items() for name in items}
    assert referred <= defined
    unused = {name for name in defined - referred if not name.startswith("securitySchemes/")}
    only_v2 = {"parameters/startTime", "parameters/endTime", "parameters/wait", "parameters/dryRun"}
    only_v2 |= {"schemas/BulkUpdate", "schemas/BulkUpdatePreview"}
    assert unused == (only_v2 if version == "v1" else {"parameters/feedLimit"})


def test_path_parameters() -> None:
    for path, item in document("v2", ENTRA)["paths"].items():
        named = {reference["$ref"].rpartition("/")[2] for reference in item.get("parameters", [])}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        assert all(PARAMETERS[name]["required"] for name in named)


def test_every_parameter_that_is_read_is_described() -> None:
    """Those of paths, queries and headers; OpenAPI has no parameters for the others (4.8.12.2)."""
    sources = [*(ROOT / "shared/api").glob("*.py"), ROOT / "shared/services/rendering_parameters.py"]
    text = "".join(source.read_text() for source in sources)
    read = set(re.findall(r'\.(?:get|getlist|header)\("([\w-]+)"', text))
    read |= set(re.findall(r'query\["(\w+)"\]', text))
    read |= set(re.findall(r'case "(\w+)":', (ROOT / "shared/services/query.py").read_text()))
    assert {"viewport", "dryrun", "if-none-match", "fuzzymatching"} <= read
    assert read - {name.lower() for name in PARAMETERS} <= {"content-type"}


def test_security() -> None:
    """AUTH-3, AUTH-10: which action needs which right; the document and the health check need none."""
    needed = {key: operation["security"] for key, operation in operations().items()}
    assert {path for (path, _), security in needed.items() if not security} == {
        "/health/check",
        "/api.json",
        "/api.yaml",
    }
    assert needed["/studies/{study}", "delete"] == [{"token": [Action.DELETE]}]
    assert needed["/studies", "post"] == [{"token": [Action.WRITE]}]
    assert operations(settings=Settings())["/studies", "post"]["security"] == [{"functionKey": []}]
    schemes = document("v2", ENTRA)["components"]["securitySchemes"]
    assert schemes["token"]["openIdConnectUrl"] == "https://login.example/t/v2.0/.well-known/openid-configuration"


@pytest.mark.parametrize("version", VERSIONS)
def test_yaml(version: str) -> None:
    described = document(version, ENTRA)
    assert yaml.safe_load(dump(described)) == json.loads(json.dumps(described))


@pytest.mark.parametrize(
    "value",
    [
        *("", "no", "Null", "1", "1.0", "0x1", "~", "a: b", "a #b", "- a", "a\nb", 'a"b', "é\u2028", "a b (c)", "=", "!x"),
        *("&x", "*x", "2024-01-01", "12:30", [], {}, [[]], [{}], [[1, [2]], {"a": [None, True, -1.5]}], {"": {"": ""}}),
        {"yes": {"on": []}},
    ],
)  # fmt: skip
def test_yaml_of_values_that_look_like_others(value: Any) -> None:
    assert yaml.safe_load(dump({"value": value})) == {"value": value}
