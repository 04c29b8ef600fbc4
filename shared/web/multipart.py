"""multipart/related (RFC 2046 5.1, RFC 2387, PS3.18 8.6.1.2) as it arrives and as it is sent, without I/O."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shared.errors import BadRequest, UnsupportedMediaType
from shared.web import media_types

MAX_BOUNDARY_LENGTH: Final = 256
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 64
MAX_BLANKS_AFTER_BOUNDARY: Final = 256

_CRLF: Final = b"\r\n"
_BLANK_LINE: Final = b"\r\n\r\n"
# What makes a boundary a delimiter line: the closing dashes, or nothing but blanks. And what may yet become that.
_TAIL: Final = re.compile(rb"--|[ \t]{0,%d}\r\n" % MAX_BLANKS_AFTER_BOUNDARY)
_PARTIAL_TAIL: Final = re.compile(rb"-?|[ \t]{0,%d}\r?" % MAX_BLANKS_AFTER_BOUNDARY)
_FOLD: Final = re.compile(r"\r\n[ \t]+")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True, slots=True)
class PartBegin:
    headers: dict[str, str]
    """By lower-case name; the first of several with one name."""


@dataclass(frozen=True, slots=True)
class PartData:
    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    pass


type Event = PartBegin | PartData | PartEnd


@dataclass(frozen=True, slots=True)
class Multipart:
    """The parameters of a multipart/related body."""

    boundary: str
    type: str
    """The media type of a first part that does not name its own (STOW-16); "" when the request does not name it."""


def parse_content_type(content_type: str) -> Multipart:
    """Reads a Content-Type header.

    Raises UnsupportedMediaType for another media type (STOW-12) and for a boundary that is missing or unusable
    (STOW-14), BadRequest for a `start` parameter (STOW-15).
    """
    media_type = media_types.parse(content_type)
    boundary = media_type.parameters.get("boundary", "")
    is_usable = boundary.strip() and len(boundary) <= MAX_BOUNDARY_LENGTH and boundary.isascii()
    if media_type.name != "multipart/related" or not is_usable or re.search(r"[\r\n]", boundary):
        raise UnsupportedMediaType(f"The specified content type '{content_type}' is not supported.")
    if "start" in media_type.parameters:
        raise BadRequest("The start parameter of the content type multipart/related is not supported.")
    return Multipart(boundary, media_type.parameters.get("type", ""))


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    PAYLOAD = auto()
    EPILOGUE = auto()


class MultipartReader:
    """Takes a body in chunks of any size and tells what is in it. Keeps a header block or a delimiter line, no payload.

    A line that begins with the boundary but goes on with something else is payload.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._state = _State.PREAMBLE
        # As if a line had ended before the body, so that a boundary at its very start is one like all others.
        self._pending = _CRLF
        # The part that begins, until a byte behind its headers is known not to belong to a delimiter.
        self._begin: PartBegin | None = None

    def feed(self, data: bytes) -> list[Event]:
        """What the next bytes of the body complete. Raises BadRequest on headers that are malformed or too long."""
        events: list[Event] = []
        data = self._pending + data
        position: int | None = 0
        while position is not None:
            if self._state is _State.EPILOGUE:
                self._pending = b""
                break
            if self._state is _State.HEADERS:
                position = self._read_headers(data, position)
            else:
                position = self._read_to_delimiter(data, position, events)
        return events

    def finish(self) -> None:
        """Declares the end of the body. Raises BadRequest when the closing boundary has not come (STOW-24)."""
        if self._state is not _State.EPILOGUE:
            raise BadRequest("Unexpected end of the multipart body: the closing boundary is missing.")

    def _read_headers(self, data: bytes, position: int) -> int | None:
        """Reads the header block that follows the CRLF of a delimiter line; the position behind, None if incomplete.

        The CRLF of the blank line is left to be read with the payload: it may already belong to the next delimiter.
        """
        end = data.find(_BLANK_LINE, position, position + MAX_HEADER_BYTES)
        if end >= 0:
            self._begin = PartBegin(_parse_headers(data[position + len(_CRLF) : end]))
            self._state = _State.PAYLOAD
            return end + len(_CRLF)
        if len(data) - position >= MAX_HEADER_BYTES:
            raise BadRequest(f"The headers of a part exceed {MAX_HEADER_BYTES} bytes.")
        self._pending = data[position:]
        return None

    def _read_to_delimiter(self, data: bytes, position: int, events: list[Event]) -> int | None:
        """Reads payload, or preamble, up to a delimiter; the position of what follows it, None if none is complete."""
        search = position
        while (found := data.find(self._delimiter, search)) >= 0:
            behind = found + len(self._delimiter)
            if tail := _TAIL.match(data, behind):
                self._take(data, position, found, events)
                self._end_part(events)
                self._state = _State.EPILOGUE if tail.group() == b"--" else _State.HEADERS
                return tail.end() - len(_CRLF)
            if _PARTIAL_TAIL.fullmatch(data, behind):
                break
            search = found + 1
        if found < 0:
            found = self._delimiter_prefix(data, max(search, len(data) - len(self._delimiter) + 1))
        self._take(data, position, found, events)
        self._pending = data[found:]
        return None

    def _delimiter_prefix(self, data: bytes, position: int) -> int:
        """Where, from `position` on, the beginning of a delimiter ends the data; the end of the data if nowhere."""
        while (position := data.find(b"\r", position)) >= 0:
            if self._delimiter.startswith(data[position:]):
                return position
            position += 1
        return len(data)

    def _take(self, data: bytes, begin: int, end: int, events: list[Event]) -> None:
        """Passes on payload, the first of a part without the CRLF that ends its headers."""
        if self._state is _State.PREAMBLE or begin == end:
            return
        if self._begin:
            events.append(self._begin)
            self._begin = None
            begin += len(_CRLF)
        if begin < end:
            events.append(PartData(data[begin:end]))

    def _end_part(self, events: list[Event]) -> None:
        """A delimiter has come."""
        if self._state is _State.PREAMBLE:
            return
        if self._begin and not self._begin.headers:
            # Neither headers nor payload: that is how .NET sends a multipart without parts (STOW-23).
            self._begin = None
            return
        if self._begin:
            events.append(self._begin)
            self._begin = None
        events.append(PartEnd())


def new_boundary() -> str:
    """A boundary that occurs in no payload: a lower-case GUID (WADO-40)."""
    return str(uuid.uuid4())


def content_type(boundary: str, media_type: str) -> str:
    """The Content-Type of a response whose parts are of this media type, without its parameters (D-23)."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def part_header(boundary: str, content_type: str, location: str | None = None, *, first: bool = False) -> bytes:
    """What precedes the payload of a part (WADO-41, D-23): the delimiter with the CRLF before it, and the headers.

    The `first` part of a body has no CRLF before it. `location` is the URL for Content-Location.
    """
    location_line = f"Content-Location: {location}\r\n" if location else ""
    header = f"--{boundary}\r\nContent-Type: {content_type}\r\n{location_line}\r\n".encode("ascii")
    return header if first else _CRLF + header


def closing(boundary: str) -> bytes:
    """What follows the payload of the last part."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def _parse_headers(block: bytes) -> dict[str, str]:
    """The header lines of a part. Raises BadRequest when a line is malformed or there are too many."""
    lines = _FOLD.sub(" ", block.decode("latin-1")).split("\r\n") if block else []
    if len(lines) > MAX_HEADERS:
        raise BadRequest(f"A part has more than {MAX_HEADERS} headers.")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadRequest("A header of a part is malformed.")
        headers.setdefault(header[1].lower(), header[2].strip(" \t"))
    return headers
