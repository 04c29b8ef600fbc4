"""A reverse proxy in front of Azurite that counts, logs and, at a chosen request, disturbs.

Signatures stay valid: they cover the path, which is passed on as it came, and not the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import aiohttp
from aiohttp import web
from yarl import URL

from shared.storage.account import StorageAccount

KEEP_ALIVE_SECONDS = 120
CHUNK = 64 * 1024

type Service = Literal["blob", "table"]

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding")
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as the proxy received it. `number` counts from 1 over both services; `path` is encoded, with its query."""

    number: int
    service: Service
    method: str
    path: str


type Hook = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class Traffic:
    """Requests of one service, and bytes of their bodies (sent) and of their answers' bodies (received)."""

    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """From the request `first` on, `length` requests are answered with `status`; not at all when it is 0."""

    first: int
    length: int
    status: int
    over: asyncio.Event


class Cut(Exception):
    """Raised by a hook to break the connection to the client."""


@dataclass(slots=True)
class StorageProxy:
    """`traffic` and `log` tell of all requests since the last `reset`, in the order in which they came."""

    connection_string: str = ""
    traffic: dict[Service, Traffic] = field(default_factory=dict)
    log: list[Exchange] = field(default_factory=list)
    _before: dict[int, Hook] = field(default_factory=dict)
    _after: dict[int, Hook] = field(default_factory=dict)
    _answers: dict[int, web.Response] = field(default_factory=dict)
    _breaks: dict[int, int] = field(default_factory=dict)
    _outage: Outage | None = None

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets what has been, and what was to be done: the next request is number 1."""
        self.traffic = {"blob": Traffic(), "table": Traffic()}
        for each in (self.log, self._before, self._after, self._answers, self._breaks):
            each.clear()
        if self._outage:
            self._outage.over.set()
        self._outage = None

    def fail(self, first: int, status: int, length: int = 1 << 30) -> None:
        """The storage is out of order from the request with this number on, for so many requests or until the `reset`.

        Nothing is forwarded; each request is answered with `status`, or not at all when it is 0.
        """
        self._outage = Outage(first, length, status, asyncio.Event())

    def before(self, number: int, hook: Hook) -> None:
        """Calls the hook before the request with this number is forwarded."""
        self._before[number] = hook

    def after(self, number: int, hook: Hook) -> None:
        """Calls the hook when the storage has answered the request with this number, before the client sees it."""
        self._after[number] = hook

    def disturb(self, number: int, fault: str | int) -> None:
        """The request with this number loses its answer ("lost"), or is answered with this status."""
        if fault == "lost":
            self.lose_answer(number)
        else:
            self.answer(number, int(fault))

    def lose_answer(self, number: int) -> None:
        """The storage does what the request with this number asks, but the client's connection breaks."""
        self._after[number] = _cut

    def answer(self, number: int, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answers the request with this number itself; it is not forwarded."""
        self._answers[number] = web.Response(status=status, headers=headers, body=body)

    def break_body(self, number: int, after: int) -> None:
        """Breaks the connection when this many bytes of the answer's body have been sent."""
        self._breaks[number] = after

    async def handle(
        self, service: Service, upstream: aiohttp.ClientSession, origin: str, request: web.BaseRequest
    ) -> web.StreamResponse:
        exchange = Exchange(len(self.log) + 1, service, request.method, request.raw_path)
        self.log.append(exchange)
        self.traffic[service].requests += 1
        try:
            if hook := self._before.get(exchange.number):
                await hook(exchange)
            if answer := self._answers.get(exchange.number):
                self.traffic[service].bytes_sent += len(await request.read())
                return answer
            outage = self._outage
            if outage and outage.first <= exchange.number < outage.first + outage.length:
                await request.read()
                if outage.status:
                    return web.Response(status=outage.status)
                await outage.over.wait()
                raise Cut
            return await self._forward(exchange, upstream, origin, request)
        except Cut:
            if request.transport:  # the client may have gone
                request.transport.abort()
            return web.Response()

    async def _forward(
        self, exchange: Exchange, upstream: aiohttp.ClientSession, origin: str, request: web.BaseRequest
    ) -> web.StreamResponse:
        traffic = self.traffic[exchange.service]

        async def body() -> AsyncIterator[bytes]:
            async for chunk in request.content.iter_chunked(CHUNK):
                traffic.bytes_sent += len(chunk)
                yield chunk

        async with upstream.request(
            request.method,
            URL(origin + request.raw_path, encoded=True),
            headers=_passed_on(request.headers),
            data=body() if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            if hook := self._after.get(exchange.number):
                await hook(exchange)
            response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
            await response.prepare(request)
            left = self._breaks.get(exchange.number)
            async for chunk in answer.content.iter_chunked(CHUNK):
                sent = chunk[:left]
                traffic.bytes_received += len(sent)
                await response.write(sent)
                if left is not None:
                    left -= len(sent)
                    if left == 0:
                        raise Cut
            await response.write_eof()
            return response


@asynccontextmanager
async def running_proxy(connection_string: str) -> AsyncIterator[StorageProxy]:
    """A proxy to this account on two free ports of this machine, served by the running event loop."""
    account = StorageAccount.from_environment({"AzureWebJobsStorage": connection_string})
    endpoints: dict[Service, URL] = {"blob": URL(account.blob_endpoint), "table": URL(account.table_endpoint)}
    proxied: dict[Service, URL] = {}
    proxy = StorageProxy()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_AUTOMATIC,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(),
            )
        )
        for service, endpoint in endpoints.items():
            server = web.Server(
                partial(proxy.handle, service, upstream, str(endpoint.origin())), keepalive_timeout=KEEP_ALIVE_SECONDS
            )
            runner = web.ServerRunner(server, shutdown_timeout=0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxied[service] = endpoint.with_host("127.0.0.1").with_port(runner.addresses[0][1])
        proxy.connection_string = (
            f"AccountName={account.name};AccountKey={account.key};"
            f"BlobEndpoint={proxied['blob']};TableEndpoint={proxied['table']};"
        )
        yield proxy


async def _cut(exchange: Exchange) -> None:
    raise Cut


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
