"""The body of a store request as a sequence of DICOM files, read as it arrives (STOW-12 to STOW-27)."""

from collections.abc import AsyncIterator

from fastapi import Request

from shared.errors import PayloadTooLarge, UnsupportedMediaType
from shared.web.multipart import Event, Multipart, MultipartReader, PartBegin, PartData, PartEnd, parse_content_type

DICOM = "application/dicom"
MAX_PARTS = 50_000
"""What becomes of each part is kept until the answer, whose size grows with it."""


def dicom_files(request: Request, max_bytes: int) -> AsyncIterator[AsyncIterator[bytes]]:
    """The chunks of one file after the other. The chunks of a file must be read before the next file.

    Raises at once what the headers give reason for (STOW-6): UnsupportedMediaType, BadRequest, PayloadTooLarge.
    """
    content_type = request.headers.get("content-type", "")
    multipart = None if content_type.split(";")[0].strip().lower() == DICOM else parse_content_type(content_type)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    return _files(_limited(request.stream(), max_bytes), multipart)


async def _files(chunks: AsyncIterator[bytes], multipart: Multipart | None) -> AsyncIterator[AsyncIterator[bytes]]:
    if multipart is None:
        yield chunks
        return
    parts = _Parts(MultipartReader(multipart.boundary), chunks, multipart.type)
    count = 0
    while await parts.begin():
        count += 1
        if count > MAX_PARTS:
            raise PayloadTooLarge(f"The request exceeded the allowed limit of {MAX_PARTS} parts.")
        yield parts.chunks()


class _Parts:
    """Pulls the events of a multipart body one part at a time."""

    def __init__(self, reader: MultipartReader, chunks: AsyncIterator[bytes], first_type: str) -> None:
        self._reader = reader
        self._chunks = chunks
        self._default_type = first_type
        self._events: list[Event] = []

    async def begin(self) -> bool:
        """Whether there is another part; the reader stands at its beginning then."""
        while event := await self._next():
            if isinstance(event, PartBegin):
                _check_type(event.headers.get("content-type", self._default_type))
                self._default_type = ""
                return True
        return False

    async def chunks(self) -> AsyncIterator[bytes]:
        while event := await self._next():
            if isinstance(event, PartEnd):
                return
            if isinstance(event, PartData):
                yield bytes(event.data)

    async def _next(self) -> Event | None:
        while not self._events:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._reader.finish()
                return None
            self._events = list(reversed(self._reader.feed(chunk)))
        return self._events.pop()


def _check_type(content_type: str) -> None:
    """STOW-21, D-14."""
    if content_type.split(";")[0].strip().lower() != DICOM:
        raise UnsupportedMediaType(f"The specified content type '{content_type}' is not supported.")


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        if chunk:
            yield chunk


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request exceeded the allowed limit of {max_bytes} bytes.")
