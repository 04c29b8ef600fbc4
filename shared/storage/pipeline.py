"""azure-core's pipeline, laid out for many small requests: retries, a signature, and a count of what is sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from email.utils import formatdate
from typing import Any

import aiohttp
from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy, AsyncRetryPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.telemetry import Counters

CONNECTIONS = 128
"""Of each service, so that slow readers of blobs never keep a table request waiting."""
KEEP_ALIVE_SECONDS = 60
CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Without a byte; the services themselves give up a request after 30 seconds (tables) or later (blobs)."""
RETRIES = 5
RETRY_SECONDS = 0.2
"""The pauses before the tries: 0, then 0.4, 0.8, 1.6, 3.2 seconds, unless the service says Retry-After."""
RETRY_UNTIL_SECONDS = 70
"""No further try after that: a service that does not answer must not cost a request the 230 seconds that it has."""
RETRIED_STATUSES = (408, 429, 500, 502, 503, 504)
CHUNK = 256 * 1024
"""The most bytes of a body in one piece, either way; of one that is read, a connection buffers twice `READ_BUFFER`."""
READ_BUFFER = 128 * 1024

_RETRIED_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE"))
_CODE = re.compile(rb'"code" *: *"([^"]+)"|<Code>([^<]+)</Code>')


class StorageError(Exception):
    """An unexpected answer, by its status and error code; status 0 and `Unreachable` if there was none after all tries."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"Storage answered {status} {code}")
        self.status = status
        self.code = code


class _Try(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """One try of a request: dated, counted, and its answer read, unless it is a stream that the caller wants."""

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        http = request.http_request
        http.headers["x-ms-date"] = formatdate(usegmt=True)
        self._counters.add(transactions=1, bytes_sent=int(http.headers.get("Content-Length") or 0))
        response = await self.next.send(request)
        answer = response.http_response
        if answer.status_code >= 400 and not answer.is_stream_consumed:
            # An error in place of a stream: an answer that nobody reads would hold its connection.
            await answer.read()
        if answer.is_stream_consumed:
            self._counters.add(bytes_received=len(answer.content))
        return response


class _Slices:
    """A large body, handed to the connection as fast as it takes it; each try of a request iterates anew."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for start in range(0, len(self._body), CHUNK):
            yield self._body[start : start + CHUNK]


class Pipeline:
    """Sends requests to one of the account's services; all carry `headers` and what the policy `sign` adds.

    Belongs to the event loop of the session.
    """

    def __init__(
        self, endpoint: str, sign: Any, headers: Mapping[str, str], session: aiohttp.ClientSession, counters: Counters
    ) -> None:
        self.endpoint = endpoint
        self.counters = counters
        self._headers = headers
        retry: Any = AsyncRetryPolicy(
            retry_total=RETRIES,
            retry_connect=RETRIES,
            retry_read=RETRIES,
            retry_status=RETRIES,
            retry_backoff_factor=RETRY_SECONDS,
            timeout=RETRY_UNTIL_SECONDS,
        )
        transport = AioHttpTransport(
            session=session,
            session_owner=False,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            connection_data_block_size=CHUNK,
        )
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            endpoint, policies=[retry, _Try(counters), sign], transport=transport
        )

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        accept: Collection[int],
        stream: bool = False,
    ) -> AsyncHttpResponse:
        """The answer, its body read unless `stream`. `path` is encoded and may have a query.

        Raises StorageError when the status is not one of those to `accept`, or when no try got an answer.
        """
        every = {**self._headers, **headers}
        if method in ("PUT", "POST"):
            every["Content-Length"] = str(len(body))
        content: Any = body if len(body) <= CHUNK else _Slices(body)
        request = HttpRequest(method, f"{self.endpoint}/{path}", headers=every, content=content or None)
        try:
            response: AsyncHttpResponse = await self._client.send_request(
                request, stream=stream, retry_on_methods=_RETRIED_METHODS
            )
        except ClientAuthenticationError as error:
            raise StorageError(401, "NoToken") from error
        except AzureError as error:
            raise StorageError(0, "Unreachable") from error
        if response.status_code not in accept:
            raise StorageError(response.status_code, error_code(response))
        return response


def open_session() -> aiohttp.ClientSession:
    """The connections of one event loop. aiohttp sets TCP_NODELAY; the services' answers are never compressed."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept-Encoding",),
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
    )


def error_code(response: AsyncHttpResponse) -> str:
    """What the service calls the error, "" if it does not say."""
    if known := response.headers.get("x-ms-error-code"):
        return known
    match = _CODE.search(response.content)
    return (match.group(1) or match.group(2)).decode() if match else ""


def only(response: AsyncHttpResponse, status: int, code: str) -> None:
    """Of the errors with this status, only the one of this code is fine."""
    if response.status_code == status and error_code(response) != code:
        raise StorageError(status, error_code(response))
