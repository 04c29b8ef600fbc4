"""multipart/related as store requests bring it (STOW-14 to STOW-24, CL-7) and as it is answered (WADO-41, D-23)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from shared.errors import BadRequest, UnsupportedMediaType
from shared.web import multipart
from shared.web.multipart import (
    MAX_BLANKS_AFTER_BOUNDARY,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Event,
    Multipart,
    MultipartReader,
    PartBegin,
    PartData,
    PartEnd,
    parse_content_type,
)

DICOM = {"content-type": "application/dicom"}


def events_of(chunks: Iterable[bytes], boundary: str = "B") -> list[Event]:
    """The events of a complete body, with the data of a part joined."""
    reader = MultipartReader(boundary)
    joined: list[Event] = []
    for chunk in chunks:
        for event in reader.feed(chunk):
            if isinstance(event, PartData) and joined and isinstance(joined[-1], PartData):
                event = PartData(joined.pop().data + event.data)  # type: ignore[union-attr]
            joined.append(event)
    reader.finish()
    return joined


def bytewise(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


def parts_of(body: bytes, boundary: str = "B") -> list[tuple[dict[str, str], bytes]]:
    """Headers and payload of each part; the same whether the body comes at once or byte by byte."""
    events = events_of([body], boundary)
    assert events == events_of(bytewise(body), boundary)
    parts: list[tuple[dict[str, str], bytes]] = []
    for event in events:
        match event:
            case PartBegin(headers):
                parts.append((headers, b""))
            case PartData(data):
                parts[-1] = (parts[-1][0], data)
    assert sum(isinstance(event, PartEnd) for event in events) == len(parts)
    return parts


def body_of(payload: bytes, headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"--B\r\n" + headers + b"\r\n" + payload + b"\r\n--B--\r\n"


# The request's Content-Type


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b=c"', Multipart("a b=c", "application/dicom")),
        ("multipart/related;boundary=abc;type=application/dicom", Multipart("abc", "application/dicom")),
        ("Multipart/Related; BOUNDARY=aBc", Multipart("aBc", "")),
        ("multipart/related; boundary=----=_Part_1.2:3/4", Multipart("----=_Part_1.2:3/4", "")),
        (r'multipart/related; boundary="a;\"b"; other=1', Multipart('a;"b', "")),
    ],
)
def test_stow14_boundary_quoted_or_bare(content_type: str, expected: Multipart) -> None:
    assert parse_content_type(content_type) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related",
        'multipart/related; type="application/dicom"',
        "multipart/related; boundary=",
        'multipart/related; boundary="  "',
        f"multipart/related; boundary={'x' * 257}",
        "multipart/related; boundary=é",
        "multipart/form; boundary=x",
        "multipart/form-data; boundary=x",
        "application/dicom; boundary=x",
        "",
        ";",
    ],
)
def test_stow12_stow14_other_types_and_missing_boundaries_are_unsupported(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=re.escape(f"'{content_type}'")):
        parse_content_type(content_type)


def test_stow15_start_parameter_is_rejected() -> None:
    with pytest.raises(BadRequest, match="start parameter"):
        parse_content_type('multipart/related; boundary=x; start="<1@example>"')


# Reading


@pytest.mark.parametrize(
    "payload",
    [b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"data\r", b"data\n", b"data\r\n", b"\r\n--", b"\r\n--C\r\n", b"--"],
)
def test_cl7_payload_is_kept_whole(payload: bytes) -> None:
    assert parts_of(body_of(payload)) == [(DICOM, payload)]


def test_a_line_that_only_begins_with_the_boundary_is_payload() -> None:
    payload = b"--Box\r\n--B \tx\r\n--B-\r\n--B\rz"
    assert parts_of(body_of(payload)) == [(DICOM, payload)]


@pytest.mark.parametrize("prefix", [b"", b"\r\n", b"\r\n\r\n", b"A message.\r\nIn MIME format.\r\n", b"--Box\r\n"])
def test_cl7_what_precedes_the_first_boundary_is_ignored(prefix: bytes) -> None:
    assert parts_of(prefix + body_of(b"data")) == [(DICOM, b"data")]


@pytest.mark.parametrize("epilogue", [b"", b"\r\n", b"text", b"\r\n--B\r\n\r\nno part\r\n--B--"])
def test_what_follows_the_closing_boundary_is_ignored(epilogue: bytes) -> None:
    body = body_of(b"data").removesuffix(b"\r\n") + epilogue
    assert parts_of(body) == [(DICOM, b"data")]
    assert events_of([*bytewise(body), b"more"])[-1] == PartEnd()


def test_blanks_may_follow_a_boundary() -> None:
    body = b"--B \t \r\n\r\none\r\n--B  \r\n\r\ntwo\r\n--B--  \r\n"
    assert parts_of(body) == [({}, b"one"), ({}, b"two")]


def test_more_blanks_than_the_limit_make_payload() -> None:
    blanks = b" " * (MAX_BLANKS_AFTER_BOUNDARY + 1)
    payload = b"a\r\n--B" + blanks + b"\r\n"
    assert parts_of(body_of(payload)) == [(DICOM, payload)]
    assert len(parts_of(b"--B" + blanks[1:] + b"\r\n\r\n\r\n--B--")) == 1


def test_headers_are_unfolded_and_named_in_lower_case() -> None:
    headers = b"CONTENT-TYPE:application/dicom;\r\n\t transfer-syntax=1.2\r\nContent-ID : <1> \r\nContent-Type: 2nd\r\n"
    assert parts_of(body_of(b"data", headers)) == [
        ({"content-type": "application/dicom; transfer-syntax=1.2", "content-id": "<1>"}, b"data")
    ]


def test_stow16_a_part_may_have_no_headers() -> None:
    assert parts_of(b"--B\r\n\r\ndata\r\n--B--") == [({}, b"data")]


def test_stow27_a_part_with_headers_and_without_payload_is_a_part() -> None:
    header = b"Content-Type: application/dicom\r\n"
    with_blank_line = b"--B\r\n" + header + b"\r\n\r\n--B--"
    without = b"--B\r\n" + header + b"\r\n--B--"
    assert parts_of(with_blank_line) == parts_of(without) == [(DICOM, b"")]


@pytest.mark.parametrize("body", [b"--B--", b"\r\n--B--\r\n", b"--B\r\n\r\n--B--\r\n", b"preamble\r\n--B--"])
def test_stow23_an_empty_multipart_has_no_parts(body: bytes) -> None:
    assert parts_of(body) == []


def test_parts_keep_their_order() -> None:
    body = b"\r\n--B\r\n\r\none\r\n--B\r\n\r\n\r\n--B\r\n\r\nthree\r\n--B--"
    assert [payload for _, payload in parts_of(body)] == [b"one", b"", b"three"]


@pytest.mark.parametrize("length", range(len(body_of(b"data\r\n--Box")) - len("--\r\n") + 1))
def test_stow24_a_body_cut_anywhere_is_rejected(length: int) -> None:
    reader = MultipartReader("B")
    events = reader.feed(body_of(b"data\r\n--Box")[:length])
    assert PartEnd() not in events or length > body_of(b"data\r\n--Box").rindex(b"\r\n--B")
    with pytest.raises(BadRequest, match="closing boundary"):
        reader.finish()


@pytest.mark.parametrize("body", [b"", b"no boundary at all", b"--C--", b"--B\nContent-Type: a\n\nLF only\n--B--\n"])
def test_stow24_a_body_without_its_boundary_is_rejected(body: bytes) -> None:
    reader = MultipartReader("B")
    assert reader.feed(body) == []
    with pytest.raises(BadRequest):
        reader.finish()


@pytest.mark.parametrize(
    "headers", [b"no colon\r\n", b"na me: v\r\n", b": v\r\n", b" folded: v\r\n", b"a: v\nb: w\r\n", b"a: \0\r\n"]
)
def test_stow24_malformed_headers_are_rejected(headers: bytes) -> None:
    with pytest.raises(BadRequest, match="malformed"):
        MultipartReader("B").feed(body_of(b"data", headers))


def test_header_block_is_limited() -> None:
    longest = b"a: " + b"x" * (MAX_HEADER_BYTES - len(b"\r\na: \r\n\r\n"))
    assert len(parts_of(body_of(b"", longest + b"\r\n"))) == 1
    with pytest.raises(BadRequest, match=str(MAX_HEADER_BYTES)):
        MultipartReader("B").feed(body_of(b"", longest + b"x\r\n"))
    with pytest.raises(BadRequest, match=str(MAX_HEADER_BYTES)):
        events_of(bytewise(b"--B\r\n" + b"x" * MAX_HEADER_BYTES))


def test_number_of_headers_is_limited() -> None:
    assert len(parts_of(body_of(b"", b"a: 1\r\n" * MAX_HEADERS))) == 1
    with pytest.raises(BadRequest, match=str(MAX_HEADERS)):
        MultipartReader("B").feed(body_of(b"", b"a: 1\r\n" * (MAX_HEADERS + 1)))


def test_payload_is_passed_on_at_once() -> None:
    """D-16: nothing but what may yet become a delimiter is kept back, however long the part."""
    reader = MultipartReader("B")
    reader.feed(b"--B\r\n\r\n")
    for chunk in (b"x" * 65536, b"\r\n" * 32768 + b"y", b"\0"):
        assert reader.feed(chunk)[-1] == PartData(chunk)
    assert reader.feed(b"tail\r\n--") == [PartData(b"tail")]
    assert reader.feed(b"B-x") == [PartData(b"\r\n--B-x")]


def test_parts_of_more_than_4_gib() -> None:
    reader = MultipartReader("B")
    reader.feed(b"--B\r\n\r\n")
    chunk = b"\r\n--A" + b"x" * (1 << 20)
    chunks = (4 << 30) // len(chunk) + 1
    passed_on = sum(
        len(event.data) for _ in range(chunks) for event in reader.feed(chunk) if isinstance(event, PartData)
    )
    rest = sum(len(event.data) for event in reader.feed(b"\r\n--B--") if isinstance(event, PartData))
    assert passed_on + rest == chunks * len(chunk)
    reader.finish()


# Writing


def test_wado40_d23_content_type_of_a_response() -> None:
    boundary = multipart.new_boundary()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", boundary)
    content_type = multipart.content_type(boundary, "application/dicom")
    assert content_type == f'multipart/related; type="application/dicom"; boundary={boundary}'
    assert parse_content_type(content_type) == Multipart(boundary, "application/dicom")


def test_wado41_d23_framing() -> None:
    media_type = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    body = (
        multipart.part_header("B", media_type, "http://host/v2/frames/1", first=True)
        + b"one"
        + multipart.part_header("B", media_type)
        + b"two"
        + multipart.closing("B")
    )
    assert body == (
        b"--B\r\nContent-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1\r\n"
        b"Content-Location: http://host/v2/frames/1\r\n\r\none\r\n"
        b"--B\r\nContent-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\ntwo\r\n--B--\r\n"
    )
