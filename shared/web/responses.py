"""The kinds of bodies that the service answers with."""

import gzip
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from shared.web import ranges
from shared.web.problems import problem

_GZIP_FROM_BYTES = 1024
_PIECE_BYTES = 64 * 1024


def dicom_json(body: bytes, media_type: str, status: HTTPStatus, headers: Mapping[str, str]) -> Response:
    """DICOM JSON; its media type never has a parameter (D-7)."""
    return Response(body, status_code=status.value, headers=dict(headers), media_type=media_type)


def json_array(request: Request, objects: list[bytes], media_type: str) -> Response:
    """An array of DICOM JSON objects, compressed if the client accepts that (CL-9)."""
    body = b"[" + b",".join(objects) + b"]"
    response = Response(body)
    if len(body) >= _GZIP_FROM_BYTES and accepts_gzip(request):
        response = Response(gzip.compress(body, 1), headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
    response.headers["Content-Type"] = media_type
    return response


async def json_stream(
    request: Request, chunks: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str]
) -> Response:
    """JSON text that is sent while it is made, compressed if the client accepts that (CL-9)."""
    compressed = accepts_gzip(request)
    encoding = {"Content-Encoding": "gzip"} if compressed else {}
    pieces = _gathered(chunks)
    body = await primed(_gzipped(pieces) if compressed else pieces)
    return streamed(body, media_type, {**headers, **encoding})


def json_entity_tag(request: Request, etag: str) -> str:
    """The strong entity tag of what `json_stream` will send: compressed, it is another representation (RFC 9110 8.8.3.3)."""
    return f'{etag[:-1]}-gzip"' if accepts_gzip(request) else etag


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, small chunks put together: the event loop turns for each piece. The first one does not wait."""
    yield await anext(chunks, b"")
    gathered, size = [], 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PIECE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


async def _gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(1, wbits=31)
    async for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()


def accepts_gzip(request: Request) -> bool:
    encodings = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(item == "gzip" or (re.fullmatch(r"gzip;q=(1.*|0\.0*[1-9].*)", item)) for item in encodings)


def streamed(
    chunks: AsyncIterator[bytes],
    media_type: str,
    headers: Mapping[str, str] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """A body that is sent while it is made. Content-Type is exactly `media_type`."""
    response = _ClosingResponse(chunks, status_code=status.value, headers=dict(headers or {}))
    response.headers["Content-Type"] = media_type
    return response


async def ranged(
    request: Request, media_type: str, etag: str, length: int, read: Callable[[int, int], AsyncIterator[bytes]]
) -> Response:
    """A body of `length` bytes, or the range of it that the request asks for: 200, 206 or 416 (RFC 9110 14, D-29).

    `read` takes an offset and a length, and gives the bytes.
    """
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    # RFC 9110 14.2: Range is for GET alone.
    asked = ranges.requested(request.headers.get("range"), length) if request.method == "GET" else None
    if asked is None or not ranges.applies(request.headers.get("if-range"), etag):
        headers["Content-Length"] = str(length)
        return streamed(await primed(read(0, length)), media_type, headers)
    headers["Content-Range"] = ranges.content_range(asked, length)
    if not asked:
        response = problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "The requested range cannot be satisfied.")
        response.headers.update(headers)
        return response
    headers["Content-Length"] = str(len(asked))
    return streamed(await primed(read(asked.start, len(asked))), media_type, headers, HTTPStatus.PARTIAL_CONTENT)


class _ClosingResponse(StreamingResponse):
    """Closes its body when the client breaks off, so that reads of storage end with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close:
                await close()


async def primed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of which has arrived: what fails before it can still become a status."""
    return _Primed(await anext(chunks, b""), chunks)


class _Primed(AsyncIterator[bytes]):
    """No generator: closing one that has not begun would not close `rest`."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first

    async def aclose(self) -> None:
        close = getattr(self._rest, "aclose", None)
        if close:
            await close()
