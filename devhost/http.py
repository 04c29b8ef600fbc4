"""The HTTP front: an ASGI app that hands requests to functions, bodies streaming in both directions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from azurefunctions.extensions.http.fastapi import Request

from devhost.routing import Match, Router
from devhost.worker import FunctionFailed, Worker

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_DURABLE = ("/durabletask/", "/runtime/webhooks/durabletask/")

logger = logging.getLogger("devhost")


class Front:
    """`durable` serves the HTTP API of the Durable Functions extension."""

    def __init__(self, worker: Worker, router: Router, durable: Application) -> None:
        self._worker = worker
        self._router = router
        self._durable = durable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if str(scope["path"]).startswith(_DURABLE):
            await self._durable(scope, receive, send)
            return
        path = bytes(scope.get("raw_path") or str(scope["path"]).encode()).decode("latin-1").split("?")[0]
        match = self._router.match(str(scope["method"]), path)
        if match is None:
            await _empty(404, send)
            return
        await self._invoke(match, scope, receive, send)

    async def _invoke(self, match: Match, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {}
        request = Request(scope, receive)
        invocation = await self._worker.start_http(match.function, request, match.parameters)
        try:
            response = await invocation.response()
        except FunctionFailed as error:
            logger.error("%s failed: %s\n%s", match.function.name, error, error.trace)
            await _empty(500, send)
            return
        await response(scope, receive, send)


async def _empty(status: int, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
