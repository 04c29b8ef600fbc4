"""The OpenAPI 3.1 document of the service, made from the resources that are registered (VER-8)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from shared.api.bulk_update import post_bulk_update
from shared.api.openapi.descriptions import DESCRIPTIONS, VERSION_1, Answer, Content, Description
from shared.api.openapi.parameters import PARAMETERS
from shared.api.openapi.schemas import SCHEMAS, reference
from shared.settings import Action, Settings
from shared.web.limits import TOO_LARGE
from shared.web.routing import RESOURCES, VERSIONS, Endpoint, Resource

type Document = dict[str, Any]

# The host cannot tell this path from `studies/{study}`, so it is none of the resources (shared/api/routes.py).
_BULK_UPDATE: Final = Resource("bulk_update", "studies/$bulkUpdate", {"POST": post_bulk_update})

_PROBLEM: Final = {"application/problem+json": {"schema": reference("Problem")}}
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_HEADERS: Final = {
    "Content-Range": "Which bytes these are, and of how many.",
    "ETag": "A strong entity tag.",
    "Location": "Where to ask for the operation.",
    "Retry-After": "Seconds after which to ask again.",
    "Warning": "PatientID has several values, of which the first is indexed.",
    "erroneous-dicom-attributes": "Attributes that could not be indexed for all instances.",
}
_ABOUT: Final = (
    "DICOMweb (PS3.18) on Azure Functions, as the Azure DICOM service speaks it.\n\n"
    "HEAD works wherever GET does, and OPTIONS everywhere. Any other method is answered with 405. Every answer carries "
    "`x-ms-request-id` and `api-supported-versions`. Searches take more attributes as filters than are listed: extended "
    "query tags, and below a study any attribute of the levels searched. Headers `X-MS-AZUREDICOM-AUDIT-...` of any request "
    "go into the audit trail."
)


def document(version: str, settings: Settings) -> Document:
    """The document for `v1` or `v2`."""
    paths: dict[str, Any] = {}
    for resource in (*RESOURCES, _BULK_UPDATE):
        base = {} if resource.versioned else {"servers": [{"url": "/"}]}
        for prefix in ("/", "/partitions/{partition}/") if resource.partitioned else ("/",):
            path = prefix + resource.path.replace("{*", "{")
            if operations := _operations(version, resource, path, settings):
                paths[path] = base | operations
    return {
        "openapi": "3.1.0",
        "info": {"title": "Azure DICOM Functions", "version": version.removeprefix("v"), "description": _ABOUT},
        "servers": [{"url": f"/{version}"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "headers": {name: _header(text) for name, text in _HEADERS.items()},
            "responses": {
                f"Problem{status}": _response((HTTPStatus(status).phrase, _PROBLEM, _problem_headers(status)))
                for status in sorted({400, 401, 403, 503, *TOO_LARGE, *_problems()})
            },
            "securitySchemes": _security_schemes(settings),
        },
    }


def _problems() -> set[int]:
    return {status for description in DESCRIPTIONS.values() for status in description.problems}


def _problem_headers(status: int) -> tuple[str, ...]:
    return ("Retry-After",) if status == 503 else ()


def _operations(version: str, resource: Resource, path: str, settings: Settings) -> dict[str, Any]:
    """The methods of a path."""
    operations: dict[str, Any] = {}
    if names := _PATH_PARAMETER.findall(path):
        operations["parameters"] = [_reference("parameters", name) for name in names]
    described = False
    for method, endpoint in resource.endpoints.items():
        description: Description | None = DESCRIPTIONS[resource.name, method]
        if version == VERSIONS[0]:
            description = VERSION_1.get((resource.name, method), description)
        if description:
            described = True
            operation = _operation(description, endpoint, settings)
            suffix = "_in_partition" if "{partition}" in path else ""
            operations[method.lower()] = {"operationId": f"{method.lower()}_{resource.name}{suffix}"} | operation
    return operations if described else {}


def _operation(description: Description, endpoint: Endpoint, settings: Settings) -> dict[str, Any]:
    statuses = {400, 503, *TOO_LARGE, *description.problems, *((401, 403) if endpoint.action else ())}
    answers = {status: _reference("responses", f"Problem{status}") for status in statuses}
    answers |= {status: _response(answer) for status, answer in description.answers.items()}
    operation: dict[str, Any] = {
        "summary": description.summary,
        "tags": [description.tag],
        "security": _security(endpoint.action, settings),
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if description.parameters:
        operation["parameters"] = [_reference("parameters", name) for name in description.parameters]
    if description.body:
        operation["requestBody"] = {"required": True, "content": description.body}
    return operation


def _response(answer: Answer) -> dict[str, Any]:
    text, content, headers = answer
    response: dict[str, Any] = {"description": text}
    if headers:
        response["headers"] = {name: _reference("headers", name) for name in headers}
    return response | {"content": content} if content else response


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}


def _reference(kind: str, name: str) -> Content:
    return {"$ref": f"#/components/{kind}/{name}"}


def _security_schemes(settings: Settings) -> dict[str, Any]:
    """Tokens, or else the keys of the Functions host (AUTH-2)."""
    if settings.authentication:
        discovery = f"{settings.authority.rstrip('/')}/.well-known/openid-configuration"
        return {"token": {"type": "openIdConnect", "openIdConnectUrl": discovery}}
    return {"functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}}


def _security(action: Action | None, settings: Settings) -> list[dict[str, list[str]]]:
    """What an operation needs: a token with a role for the action, or a key."""
    if action is None:
        return []
    return [{"token": [action.value]}] if settings.authentication else [{"functionKey": []}]
