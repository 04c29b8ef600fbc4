"""Clients that are slow, lie about the length of what they send, or go away in the middle of it (D-16, CL-7)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, multipart, store
from tests.support.host import Host

TIMEOUT_SECONDS = 30


@contextmanager
def posting(host: Host, content_type: str, *headers: str) -> Iterator[socket.socket]:
    """A connection on which the head of a store request has been sent."""
    lines = ["POST /v2/studies HTTP/1.1", "Host: x", "Accept: */*", f"Content-Type: {content_type}", *headers]
    with socket.create_connection(("127.0.0.1", host.port), TIMEOUT_SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        yield connection


def status(connection: socket.socket) -> int:
    """The status of the next answer; 0 when the connection ends without one."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65536)
        if not received:
            return 0
        answer += received
    return int(answer.split()[1])


def is_stored(host: Host, file: bytes) -> bool:
    answer = host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE)
    assert answer.status_code in (200, 404)
    assert answer.status_code == 404 or answer.content == file
    return answer.status_code == 200


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_expect_continue(host: Host) -> None:
    """RFC 9110 10.1.1: the client sends its body when it has been told to, and need not when it is refused."""
    file = builders.instance()
    body, content_type = multipart([file])
    with posting(host, content_type, "Expect: 100-continue", f"Content-Length: {len(body)}") as connection:
        assert status(connection) == 100
        connection.sendall(body)
        assert status(connection) == 200
    assert is_stored(host, file)
    with posting(host, "text/plain", "Expect: 100-continue", f"Content-Length: {len(body)}") as connection:
        assert status(connection) == 415


def test_body_that_stalls(host: Host) -> None:
    """In the middle of a part, of a delimiter and between two parts."""
    files = [builders.instance(), builders.instance()]
    body, content_type = multipart(files)
    second = body.index(b"\r\n--", len(files[0]))
    with posting(host, content_type, f"Content-Length: {len(body)}") as connection:
        sent = 0
        for cut in (500, second + 3, second + 45, len(body)):
            connection.sendall(body[sent:cut])
            sent = cut
            time.sleep(0.3)
        assert status(connection) == 200
    assert all(is_stored(host, file) for file in files)


def test_content_length_that_is_too_long(host: Host) -> None:
    """The client has nothing more to send: the request is not complete, whatever has come of it."""
    files = [builders.instance(), builders.instance()]
    body, content_type = multipart(files)
    with posting(host, content_type, f"Content-Length: {len(body) + 10}") as connection:
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)
        assert status(connection) in (0, 400)
    assert not any(is_stored(host, file) for file in files)
    assert store(host, *files).status_code == 200


@pytest.mark.parametrize("missing", [3, 60])
def test_content_length_that_is_too_short(host: Host, missing: int) -> None:
    """STOW-24: the body ends before its closing boundary, and what follows is no request."""
    file = builders.instance()
    body, content_type = multipart([file])
    length = body.rindex(b"--\r\n") + len(b"--") - missing
    with posting(host, content_type, f"Content-Length: {length}") as connection:
        connection.sendall(body)
        assert status(connection) == 400
    assert not is_stored(host, file)


def test_single_part_shorter_than_the_file(host: Host) -> None:
    """STOW-27: the file is not whole. What follows it is no request, which the host may say first."""
    file = builders.instance()
    with posting(host, "application/dicom", f"Content-Length: {len(file) - 1}") as connection:
        connection.sendall(file)
        assert status(connection) in (400, 409)
    assert not is_stored(host, file)


@pytest.mark.parametrize("ending", ["closed", "reset", "bad chunk"])
def test_chunked_body_that_breaks_off(host: Host, ending: str) -> None:
    """Neither the part that breaks nor the one before it is stored."""
    files = [builders.instance(), builders.instance()]
    body, content_type = multipart(files)
    with posting(host, content_type, "Transfer-Encoding: chunked") as connection:
        connection.sendall(chunk(body[:700]) + chunk(body[700:-100]))
        time.sleep(0.2)
        match ending:
            case "closed":
                connection.shutdown(socket.SHUT_WR)
            case "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            case _:
                connection.sendall(b"xyz\r\n")
        if ending != "reset":
            assert status(connection) in (0, 400)
    time.sleep(0.2)
    assert not any(is_stored(host, file) for file in files)
    assert store(host, *files).status_code == 200


def test_chunks_of_one_byte(host: Host) -> None:
    """CL-7."""
    file = builders.instance(rows=0)
    body, content_type = multipart([file])
    with posting(host, content_type, "Transfer-Encoding: chunked") as connection:
        connection.sendall(b"".join(chunk(body[n : n + 1]) for n in range(len(body))) + b"0\r\n\r\n")
        assert status(connection) == 200
    assert is_stored(host, file)
