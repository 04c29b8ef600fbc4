"""Turns resources into functions.

The Functions host answers 404 to a method that no function of a path takes, and matches paths in alphabetical order of the
function names. So each path is one function that takes every method, and the methods are sorted out here: 405 with `Allow`,
HEAD, OPTIONS (D-4), API versions (D-1), and errors as problem bodies.
"""

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.http.fastapi  # noqa: F401 - makes the worker stream requests and responses
from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from shared.storage.partitions import DEFAULT as DEFAULT_PARTITION
from shared.web import cors
from shared.web.problems import answer_to, problem

VERSION = "v2"
SUPPORTED_VERSIONS = "2"

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-src 'self';",
}
"""HDR-16."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a resource: what the path and the host bring along with it.

    `base_url` ends where the resource paths begin (with the partition when the request names one); `service_url` with the
    version. `durable` is the client of the Durable Functions extension on resources that asked for it.
    """

    request: Request
    partition: str
    base_url: str
    service_url: str
    durable: df.DurableOrchestrationClient | None = None

    def path(self, name: str) -> str:
        """The decoded value of a route parameter."""
        return str(self.request.path_params[name])

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


type Handler = Callable[[Call], Awaitable[Response]]
type Handlers = dict[str, Handler]


def resource(
    blueprint: df.Blueprint,
    name: str,
    path: str,
    handlers: Handlers,
    *,
    partitioned: bool = True,
    durable: bool = False,
) -> None:
    """Registers a resource under its path, and under the same path in a partition unless told otherwise."""
    register = _register_durable if durable else _register
    register(blueprint, name, f"{{version}}/{path}", handlers)
    if partitioned:
        register(blueprint, f"{name}_in_partition", f"{{version}}/partitions/{{partition}}/{path}", handlers)


def unversioned(blueprint: df.Blueprint, name: str, path: str, handlers: Handlers) -> None:
    """Registers a resource that has no version (VER-9)."""
    _register(blueprint, name, path, handlers)


def _register(blueprint: df.Blueprint, name: str, route: str, handlers: Handlers) -> None:
    @blueprint.function_name(name)
    @blueprint.route(route=route, auth_level=func.AuthLevel.FUNCTION)
    async def endpoint(req: Request) -> Response:
        return await _answer(req, handlers, None)


def _register_durable(blueprint: df.Blueprint, name: str, route: str, handlers: Handlers) -> None:
    @blueprint.function_name(name)
    @blueprint.route(route=route, auth_level=func.AuthLevel.FUNCTION)
    @blueprint.durable_client_input(client_name="client")
    async def endpoint(req: Request, client: Any) -> Response:
        return await _answer(req, handlers, client)


async def _answer(request: Request, handlers: Handlers, durable: df.DurableOrchestrationClient | None) -> Response:
    response = await _respond(request, handlers, durable)
    response.headers["x-ms-request-id"] = uuid.uuid4().hex
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


async def _respond(request: Request, handlers: Handlers, durable: df.DurableOrchestrationClient | None) -> Response:
    version = str(request.path_params.get("version", VERSION))
    if version != VERSION:
        return _unsupported_version(request, version)
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        allow = ", ".join(sorted({*handlers, "OPTIONS", *(["HEAD"] if "GET" in handlers else [])}))
        if request.method == "OPTIONS":
            return Response(
                status_code=HTTPStatus.NO_CONTENT, headers={"Allow": allow} | cors.preflight(request, allow)
            )
        return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": allow})
    service_url = f"{request.url.scheme}://{request.url.netloc}/{version}"
    partition = request.path_params.get("partition")
    base_url = f"{service_url}/partitions/{partition}" if partition else service_url
    try:
        return await handler(Call(request, partition or DEFAULT_PARTITION, base_url, service_url, durable))
    except ClientDisconnect:
        return problem(HTTPStatus.BAD_REQUEST, "The client closed the connection before the request was complete.")
    except Exception as error:
        return answer_to(error)


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
