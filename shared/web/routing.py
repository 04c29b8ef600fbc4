"""Turns resources into functions.

The Functions host answers 404 to a method that no function of a path takes, and matches paths in alphabetical order of the
function names. So each path is one function that takes every method, and the methods are sorted out here: 405 with `Allow`,
HEAD, OPTIONS (D-4), API versions (D-1), who may do it, the audit trail, and errors as problem bodies.
"""

import os
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.http.fastapi  # noqa: F401 - makes the worker stream requests and responses
from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from shared.settings import Action, Settings
from shared.storage.partitions import DEFAULT as DEFAULT_PARTITION
from shared.telemetry import Operation
from shared.web import audit, cors, limits
from shared.web.access import ANYBODY, Caller, Gate
from shared.web.measured import MeasuredBody
from shared.web.problems import answer_to, problem

VERSIONS = ("v1", "v2")
LATEST_VERSION = VERSIONS[-1]
SUPPORTED_VERSIONS = ", ".join(version.removeprefix("v") for version in VERSIONS)
"""HDR-10. `v1.0-prerelease` is not served (D-1)."""

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-src 'self';",
}
"""HDR-16."""

_settings = Settings.from_environment(os.environ)
_gate = Gate(_settings)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a resource: what the path and the host bring along with it.

    `version` is the first segment of the path: `v1` or `v2`. `base_url` ends where the resource paths begin (with the
    partition when the request names one); `service_url` with the version. `durable` is the client of the Durable Functions
    extension on resources that asked for it. `audit` is what the event in the audit trail says besides what the path does.
    """

    request: Request
    version: str
    partition: str
    base_url: str
    service_url: str
    caller: Caller = ANYBODY
    durable: df.DurableOrchestrationClient | None = None
    audit: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """The decoded value of a route parameter."""
        return str(self.request.path_params[name])

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


type Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers one method of a resource.

    `operation` is its name in the audit trail (AUD-3), `action` what the caller must be allowed to do, None when anybody may.
    """

    operation: str
    action: Action | None
    handle: Handler


def endpoint(operation: str, action: Action | None) -> Callable[[Handler], Endpoint]:
    """Makes a handler an endpoint. There is no other way to give a resource a handler: none goes without an action."""
    return lambda handler: Endpoint(operation, action, handler)


type Endpoints = dict[str, Endpoint]


@dataclass(frozen=True, slots=True)
class Resource:
    """What a path, which follows the version, leads to. Without `partitioned`, it lies in no partition."""

    name: str
    path: str
    endpoints: Endpoints
    partitioned: bool = True
    versioned: bool = True

    @property
    def auth_level(self) -> func.AuthLevel:
        """Function keys protect what tokens do not."""
        is_open = all(endpoint.action is None for endpoint in self.endpoints.values())
        return func.AuthLevel.ANONYMOUS if is_open or _settings.authentication else func.AuthLevel.FUNCTION


RESOURCES: list[Resource] = []
"""All that have been registered, for the description of the API (VER-8)."""


def resource(
    blueprint: df.Blueprint,
    name: str,
    path: str,
    endpoints: Endpoints,
    *,
    partitioned: bool = True,
    durable: bool = False,
) -> None:
    """Registers a resource under its path, and under the same path in a partition unless told otherwise."""
    register = _register_durable if durable else _register
    registered = Resource(name, path, endpoints, partitioned)
    RESOURCES.append(registered)
    register(blueprint, name, f"{{version}}/{path}", registered)
    if partitioned:
        register(blueprint, f"{name}_in_partition", f"{{version}}/partitions/{{partition}}/{path}", registered)


def unversioned(blueprint: df.Blueprint, name: str, path: str, endpoints: Endpoints) -> None:
    """Registers a resource that has no version (VER-9)."""
    registered = Resource(name, path, endpoints, partitioned=False, versioned=False)
    RESOURCES.append(registered)
    _register(blueprint, name, path, registered)


def _register(blueprint: df.Blueprint, name: str, route: str, resource: Resource) -> None:
    @blueprint.function_name(name)
    @blueprint.route(route=route, auth_level=resource.auth_level)
    async def function(req: Request) -> Response:
        return await _answer(req, resource, None)


def _register_durable(blueprint: df.Blueprint, name: str, route: str, resource: Resource) -> None:
    @blueprint.function_name(name)
    @blueprint.route(route=route, auth_level=resource.auth_level)
    @blueprint.durable_client_input(client_name="client")
    async def function(req: Request, client: Any) -> Response:
        return await _answer(req, resource, client)


async def _answer(request: Request, resource: Resource, durable: df.DurableOrchestrationClient | None) -> Response:
    request_id = uuid.uuid4().hex
    operation = Operation("other", request.headers, {"dicom.request_id": request_id})
    try:
        with operation.running():
            response = await _respond(request, request_id, resource, durable, operation)
    except BaseException:
        operation.end(failed=True)
        raise
    if isinstance(response, StreamingResponse):
        chunks: Any = response.body_iterator
        response.body_iterator = MeasuredBody(chunks, operation, response.status_code)
    else:
        operation.end(failed=response.status_code >= 500, status=response.status_code)
    response.headers["x-ms-request-id"] = request_id
    response.headers["api-supported-versions"] = SUPPORTED_VERSIONS
    response.headers.update(_SECURITY_HEADERS)
    cors.allow(request, response)
    if request.method == "HEAD" and isinstance(response, StreamingResponse):
        close = getattr(response.body_iterator, "aclose", None)
        if close:
            await close()
        head = Response(status_code=response.status_code)
        del head.headers["Content-Length"]
        head.headers.update(response.headers)
        return head
    return response


async def _respond(
    request: Request,
    request_id: str,
    resource: Resource,
    durable: df.DurableOrchestrationClient | None,
    operation: Operation,
) -> Response:
    version = str(request.path_params.get("version", LATEST_VERSION))
    if version not in VERSIONS:
        return _unsupported_version(request, version)
    endpoint = resource.endpoints.get("GET" if request.method == "HEAD" else request.method)
    if endpoint is None:
        return _without_endpoint(request, resource.endpoints)
    operation.name = endpoint.operation
    service_url = f"{request.url.scheme}://{request.url.netloc}/{version}"
    partition = request.path_params.get("partition")
    base_url = f"{service_url}/partitions/{partition}" if partition else service_url
    call = Call(request, version, partition or DEFAULT_PARTITION, base_url, service_url, durable=durable)
    try:
        limits.check(request)
        if endpoint.action:
            call = replace(call, caller=await _gate.caller(call.header("authorization")))
            _authorize(call, resource, endpoint.action)
        response = await endpoint.handle(call)
    except ClientDisconnect:
        response = problem(HTTPStatus.BAD_REQUEST, "The client closed the connection before the request was complete.")
    except Exception as error:
        response = answer_to(error)
    operation.name = call.audit.get("operation", endpoint.operation)
    if endpoint.action:
        audit.record(call.request, request_id, endpoint.operation, response.status_code, call.caller.claims, call.audit)
    return response


def _authorize(call: Call, resource: Resource, action: Action) -> None:
    """Raises Forbidden or BadRequest before anything else of the request is looked at (AUTH-20, HDR-6).

    So 403 wins over 406, 415 and 400, as where partitions are resolved first (AUTH-22, PART-15), which are always on (D-95).
    """
    if headers := audit.custom_headers(call.request):
        call.audit["headers"] = headers
    call.caller.may(action)
    if resource.partitioned:
        call.caller.may_use(call.partition)


def _without_endpoint(request: Request, endpoints: Endpoints) -> Response:
    """The answer to a method that a resource does not have: 405 with `Allow`, or what OPTIONS asks for (ERR-31, D-4)."""
    allow = ", ".join(sorted({*endpoints, "OPTIONS", *(["HEAD"] if "GET" in endpoints else [])}))
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": allow} | cors.preflight(request, allow))
    return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": allow})


def _unsupported_version(request: Request, version: str) -> Response:
    """VER-3: what looks like a version is refused, anything else is an unknown route."""
    number = re.fullmatch(r"v(\d+(?:\.\d+)?(?:-\w+)?)", version)
    if not number:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    message = (
        f"The HTTP resource that matches the request URI '{request.url}' "
        f"does not support the API version '{number.group(1)}'."
    )
    error = {"code": "UnsupportedApiVersion", "message": message, "innerError": None}
    return JSONResponse({"error": error}, status_code=HTTPStatus.BAD_REQUEST)
