"""Whatever is framed as multipart/related is read back, however the network cuts it (CL-7, STOW-24)."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest
from shared.web.multipart import MultipartReader, PartBegin, PartData, PartEnd, closing, part_header

BOUNDARY = "b-1"
MEDIA_TYPE = "application/dicom; transfer-syntax=1.2"
DELIMITER = re.compile(rb"\r\n--b-1(--|[ \t]*\r\n)")

# Payloads that nearly hold a delimiter are what breaks readers.
FRAGMENTS = [b"\r", b"\n", b"\r\n", b"-", b"--", b"b-", b"b-1", b"\r\n--b-", b"\r\n--b-1x", b" ", b"\0", b"x"]
PAYLOADS = (
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=12)
    .map(b"".join)
    .filter(lambda payload: not DELIMITER.search(b"\r\n" + payload + b"\r\n"))
)
CUTS = st.lists(st.integers(0, 2000), max_size=20) | st.just(list(range(2000)))


def framed(payloads: list[bytes]) -> bytes:
    headers = (part_header(BOUNDARY, MEDIA_TYPE, first=number == 0) for number in range(len(payloads)))
    return b"".join(header + payload for header, payload in zip(headers, payloads, strict=True)) + closing(BOUNDARY)


def read(body: bytes, cuts: list[int]) -> list[bytes]:
    """The payloads of a body that arrives cut at these offsets."""
    reader = MultipartReader(BOUNDARY)
    payloads: list[bytes] = []
    is_open = False
    offsets = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    for begin, end in pairwise(offsets):
        for event in reader.feed(body[begin:end]):
            match event:
                case PartBegin(headers):
                    assert not is_open
                    assert headers == {"content-type": MEDIA_TYPE}
                    payloads.append(b"")
                    is_open = True
                case PartData(data):
                    assert is_open
                    assert data
                    payloads[-1] += data
                case PartEnd():
                    assert is_open
                    is_open = False
    reader.finish()
    assert not is_open
    return payloads


@given(st.lists(PAYLOADS, max_size=5), CUTS)
def test_what_is_written_is_read_back_whatever_the_chunks(payloads: list[bytes], cuts: list[int]) -> None:
    assert read(framed(payloads), cuts) == payloads


@given(st.lists(PAYLOADS, min_size=1, max_size=3), CUTS, st.data())
def test_a_body_that_breaks_off_is_never_complete(payloads: list[bytes], cuts: list[int], data: st.DataObject) -> None:
    body = framed(payloads)
    length = data.draw(st.integers(0, len(body) - len(b"--\r\n") - 1))
    with pytest.raises(BadRequest):
        read(body[:length], cuts)


@given(st.lists(st.binary(max_size=50) | st.sampled_from([b"--b-1", b"\r\n--b-1\r\n", b"\r\n\r\n", b"a: b"])))
def test_nothing_but_bad_request_is_raised_whatever_the_bytes(chunks: list[bytes]) -> None:
    reader = MultipartReader(BOUNDARY)
    with suppress(BadRequest):
        for chunk in chunks:
            reader.feed(chunk)
        reader.finish()
