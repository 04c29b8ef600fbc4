"""The kinds of bodies that the service answers with."""

import gzip
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

DICOM_JSON = "application/dicom+json"

_GZIP_FROM_BYTES = 1024


class DicomJsonResponse(Response):
    """DICOM JSON; its media type never has a parameter (D-7)."""

    media_type = DICOM_JSON


def dicom_json(body: bytes, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return DicomJsonResponse(body, status_code=status.value, headers=dict(headers or {}))


def json_array(request: Request, objects: list[bytes], media_type: str) -> Response:
    """An array of DICOM JSON objects, compressed if the client accepts that (CL-9)."""
    body = b"[" + b",".join(objects) + b"]"
    response = Response(body)
    if len(body) >= _GZIP_FROM_BYTES and accepts_gzip(request):
        response = Response(gzip.compress(body, 1), headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
    response.headers["Content-Type"] = media_type
    return response


def accepts_gzip(request: Request) -> bool:
    encodings = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(item == "gzip" or (item.startswith("gzip;") and not item.endswith("q=0")) for item in encodings)


def streamed(chunks: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """A body that is sent while it is made. Content-Type is exactly `media_type`."""
    response = StreamingResponse(chunks, headers=dict(headers or {}))
    response.headers["Content-Type"] = media_type
    return response


async def primed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of which has arrived: what fails before it can still become a status."""
    first = await anext(chunks, b"")

    async def resume() -> AsyncIterator[bytes]:
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            close = getattr(chunks, "aclose", None)
            if close:
                await close()

    return resume()
