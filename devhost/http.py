"""The HTTP front: an ASGI app that hands requests to functions, bodies streaming in both directions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

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
    """`durable` serves the HTTP API of the Durable Functions extension, unless another host does."""

    def __init__(self, worker: Worker, router: Router, durable: Application | None) -> None:
        self._worker = worker
        self._router = router
        self._durable = durable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        if self._durable and path.startswith(_DURABLE):
            await self._durable(scope, receive, send)
        elif match := self._router.match(scope["method"], path):
            await self._invoke(match, scope, _Connection(receive, send))
        else:
            # The real host has a home page; what it looks like is nobody's business.
            await _empty(204 if scope["method"] == "GET" and path == "/" else 404, send)

    async def _invoke(self, match: Match, scope: Scope, connection: _Connection) -> None:
        scope["path_params"] = {}  # the worker library fills them in
        request = Request(scope, connection.receive)
        try:
            response = await self._worker.invoke_http(match.function, request, match.parameters)
        except FunctionFailed as error:
            if connection.is_closed:
                logger.info("%s: the client broke off: %s", match.function.name, error)
                return
            logger.error("Function %s failed: %s\n%s", match.function.name, error, error.trace)
            await _empty(500, connection.send)
            return
        await response(scope, connection.receive, connection.send)


class _Connection:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.is_closed = False  # by the client, as far as somebody tried to read

    async def receive(self) -> Message:
        message = await self._receive()
        self.is_closed |= message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        # A body that is there at once would never let the event loop see that the client is gone, nor serve others.
        await asyncio.sleep(0)


async def _empty(status: int, send: Send) -> None:
    headers = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
