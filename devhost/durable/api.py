"""The HTTP API of the extension, as an ASGI application.

One API under two prefixes: `/durabletask/` for the SDK (the client binding's rpcBaseUrl), and for everyone else
`/runtime/webhooks/durabletask/` (the management URLs). The SDK encodes bodies twice, JSON text inside of a JSON string.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from devhost.durable.model import Status
from devhost.durable.rows import Filter, Instance, InstanceExists
from devhost.durable.status import status_payload

if TYPE_CHECKING:
    from devhost.durable.engine import DurableEngine

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RPC_PREFIX = "/durabletask/"
WEBHOOK_PREFIX = "/runtime/webhooks/durabletask/"
TASK_HUB = "taskHub=DevHost&connection=Storage"


def client_binding(base_url: str) -> str:
    """Value of a durableClient binding; the SDK replaces INSTANCEID in its URLs."""
    base = base_url.rstrip("/")
    webhooks = base + WEBHOOK_PREFIX.rstrip("/")
    create = f"{webhooks}/orchestrators/{{functionName}}[/{{instanceId}}]"
    return json.dumps(
        {
            "taskHubName": "DevHost",
            "connectionName": "Storage",
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?",
                "createAndWaitOnNewInstancePostUri": f"{create}?timeout={{timeoutInSeconds}}&"
                "pollingInterval={intervalInSeconds}&",
            },
            "managementUrls": _management_urls(base, "INSTANCEID"),
            "baseUrl": webhooks,
            "httpBaseUrl": webhooks,
            "requiredQueryStringParameters": "",
            "rpcBaseUrl": base + RPC_PREFIX,
        }
    )


def _management_urls(base: str, instance_id: str) -> dict[str, str]:
    instance = f"{base}{WEBHOOK_PREFIX}instances/{quote(instance_id, safe='')}"
    return {
        "id": instance_id,
        "statusQueryGetUri": f"{instance}?{TASK_HUB}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{TASK_HUB}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{TASK_HUB}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{TASK_HUB}",
        "purgeHistoryDeleteUri": f"{instance}?{TASK_HUB}",
        "restartPostUri": f"{instance}/restart?{TASK_HUB}",
        "suspendPostUri": f"{instance}/suspend?reason={{text}}&{TASK_HUB}",
        "resumePostUri": f"{instance}/resume?reason={{text}}&{TASK_HUB}",
    }


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    base: str  # scheme and authority
    query: dict[str, str]
    content_type: str
    body: bytes

    def flag(self, name: str, default: bool) -> bool:
        return {"true": True, "false": False}.get(self.query.get(name, "").lower(), default)

    def time(self, name: str) -> datetime | None:
        with suppress(ValueError):
            time = datetime.fromisoformat(self.query.get(name, ""))
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        return None

    def seconds(self, name: str) -> float | None:
        with suppress(ValueError):
            return float(self.query.get(name, ""))
        return None

    def filter(self) -> Filter:
        statuses = [status for status in self.query.get("runtimeStatus", "").split(",") if status]
        prefix = self.query.get("instanceIdPrefix", "")
        return Filter(self.time("createdTimeFrom"), self.time("createdTimeTo"), statuses, prefix)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: Any = None  # JSON value; None: empty
    headers: dict[str, str] = field(default_factory=dict)


def _error(status: int, message: str) -> Response:
    return Response(status, {"Message": message, "ExceptionMessage": message})


class HttpApi:
    """ASGI application; `engine` has been started before the first request."""

    def __init__(self, engine: "DurableEngine") -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, path = await _read(scope, receive)
        response = await self._route(request, path)
        body = b"" if response.body is None else json.dumps(response.body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **response.headers}
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _route(self, request: Request, path: list[str]) -> Response:
        match request.method, path:
            case "POST", ["orchestrators", name]:
                return await self._start(request, name, None)
            case "POST", ["orchestrators", name, instance_id]:
                return await self._start(request, name, instance_id)
            case "GET", ["instances"]:
                instances = await self._engine.select(request.filter())
                show_input = request.flag("showInput", True)
                return Response(200, [status_payload(instance, show_input) for instance in instances])
            case "DELETE", ["instances"]:
                return await self._purge_finished(request)
            case "DELETE", ["instances", instance_id]:
                purged = await self._engine.purge(instance_id)
                return Response(200, {"instancesDeleted": 1}) if purged else Response(404)
            case ("GET", ["instances", instance_id]) | ("POST", ["instances", instance_id, *_]):
                instance = await self._engine.get(instance_id)
                if instance is None:
                    return Response(404)
                if request.method == "GET":
                    return await self._status(request, instance)
                return await self._operate(request, instance, path[2:])
            case _, ["entities", *_]:
                return _error(501, "Entities are not supported by this host.")
            case _:
                return Response(404)

    async def _start(self, request: Request, name: str, instance_id: str | None) -> Response:
        if instance_id is not None and not _is_valid(instance_id):
            return _error(
                400, "Instance ids have at most 100 characters, do not start with @ and contain none of / \\ # ?."
            )
        try:
            input = json.dumps(json.loads(request.body)) if request.body else None
        except ValueError:
            return _error(400, "Invalid JSON content")
        try:
            created = await self._engine.create(name, input, instance_id, request.query.get("version", ""))
        except InstanceExists as error:
            return _error(409, str(error))
        timeout = request.seconds("timeout")
        if timeout is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    instance = await self._engine.wait(created)
                if instance is not None:
                    return await self._status(request, instance)
        return _accepted(request, created)

    async def _status(self, request: Request, instance: Instance) -> Response:
        history = await self._engine.history(instance) if request.flag("showHistory", False) else None
        payload = status_payload(
            instance, request.flag("showInput", True), history, request.flag("showHistoryOutput", False)
        )
        if not instance.status.is_finished:
            return Response(202, payload, {"location": request.url, "retry-after": "5"})
        failed = instance.status is Status.FAILED and request.flag("returnInternalServerErrorOnFailure", False)
        return Response(500 if failed else 200, payload)

    async def _purge_finished(self, request: Request) -> Response:
        if request.time("createdTimeFrom") is None:
            return _error(400, "Please provide value for 'createdTimeFrom' parameter.")
        deleted = await self._engine.purge_finished(request.filter())
        return Response(200, {"instancesDeleted": deleted}) if deleted else Response(404)

    async def _operate(self, request: Request, instance: Instance, operation: list[str]) -> Response:
        instance_id, reason = instance.instance_id, request.query.get("reason", "")
        match operation:
            case ["restart"]:
                return await self._restart(request, instance)
            case ["rewind"]:
                return _error(501, "Rewind is not supported by this host.")
            case ["terminate" | "suspend" | "resume"] | ["raiseEvent", _] if instance.status.is_finished:
                return Response(410)
            case ["terminate"]:
                await self._engine.terminate(instance_id, reason)
            case ["suspend"]:
                await self._engine.suspend(instance_id)
            case ["resume"]:
                await self._engine.resume(instance_id)
            case ["raiseEvent", name]:
                return await self._raise_event(request, instance_id, name)
            case _:
                return Response(404)
        return Response(202)

    async def _raise_event(self, request: Request, instance_id: str, name: str) -> Response:
        if request.content_type != "application/json":
            return _error(400, "Only application/json request content is supported")
        try:
            input = json.dumps(json.loads(request.body or b"null"))
        except ValueError:
            return _error(400, "Invalid JSON content")
        await self._engine.raise_event(instance_id, name, input)
        return Response(202)

    async def _restart(self, request: Request, instance: Instance) -> Response:
        """Start the same function with the same input; the SDK expects the id of the new instance as a JSON string."""
        same_id = None if request.flag("restartWithNewInstanceId", True) else instance.instance_id
        try:
            created = await self._engine.create(instance.name, instance.input, same_id, instance.version)
        except InstanceExists as error:
            return _error(409, str(error))
        return Response(202, created, _accepted(request, created).headers)


def _accepted(request: Request, instance_id: str) -> Response:
    urls = _management_urls(request.base, instance_id)
    return Response(202, urls, {"location": urls["statusQueryGetUri"], "retry-after": "10"})


def _is_valid(instance_id: str) -> bool:
    forbidden = any(character in "/\\#?" or not character.isprintable() for character in instance_id)
    return not forbidden and not instance_id.startswith("@") and len(instance_id) <= 100


async def _read(scope: Scope, receive: Receive) -> tuple[Request, list[str]]:
    """The request with its whole body, and the decoded segments of its path below the prefix."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    base = f"{scope['scheme']}://{headers.get(b'host', 'localhost')}"
    raw_path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    request = Request(
        method=scope["method"],
        url=base + raw_path + (f"?{query}" if query else ""),
        base=base,
        query={name: values[-1] for name, values in parse_qs(query).items()},
        content_type=headers.get(b"content-type", "").partition(";")[0].strip().lower(),
        body=bytes(body),
    )
    prefix = RPC_PREFIX if raw_path.startswith(RPC_PREFIX) else WEBHOOK_PREFIX
    return request, [unquote(segment) for segment in raw_path.removeprefix(prefix).strip("/").split("/")]
