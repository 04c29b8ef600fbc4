"""Requests and responses through the host and the real worker library, in bodies that are there bit by bit."""

import hashlib
import http.client
import json
import socket
import time
from typing import Any

import pytest

from tests.host.conftest import SampleHost, Start

MIB = 1 << 20
# What kernel buffers, server and client may hold of a body that nobody reads.
BUFFERS = 24 * MIB

APP = """
import asyncio, hashlib
import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp()
seen = {"received": 0, "produced": 0, "ended": []}
go_on = asyncio.Event()

@app.route("seen")
async def get_seen(req: Request) -> JSONResponse:
    return JSONResponse(seen)

@app.route("go-on")
async def post_go_on(req: Request) -> Response:
    go_on.set()
    return Response()

@app.route("upload", methods=["POST"])
async def upload(req: Request) -> JSONResponse:
    '''Waits after the first chunk.'''
    seen["received"], digest = 0, hashlib.sha256()
    go_on.clear()
    try:
        async for chunk in req.stream():
            digest.update(chunk)
            if not seen["received"]:
                seen["received"] += len(chunk)
                await go_on.wait()
            else:
                seen["received"] += len(chunk)
    except Exception as error:
        seen["ended"].append("upload " + type(error).__name__)
        raise
    return JSONResponse({"length": seen["received"], "sha256": digest.hexdigest()})

@app.route("download/{count:int}", methods=["GET", "HEAD"])
async def download(req: Request) -> StreamingResponse:
    '''A chunk of a mebibyte after the other; with `wait` a small one first, and the others when told.'''
    async def chunks():
        seen["produced"] = 0
        go_on.clear()
        try:
            if "wait" in req.query_params:
                yield b"first"
                await go_on.wait()
            for _ in range(int(req.path_params["count"])):
                seen["produced"] += 1
                yield bytes(1 << 20)
            if "fail" in req.query_params:
                raise ValueError("in the middle")
        finally:
            seen["ended"].append("download")
    return StreamingResponse(chunks(), headers={"X-Sample": "1"})

@app.route("any/{a}/{b?}")
async def anything(req: Request) -> JSONResponse:
    body = (await req.body()).decode()
    path, query = req.path_params, dict(req.query_params)
    return JSONResponse({"method": req.method, "path": path, "query": query, "body": body, "sample": req.headers["x-sample"]})

@app.route("fail/{how}")
async def fail(req: Request):
    match req.path_params["how"]:
        case "exception":
            raise ValueError("no luck")
        case "cancelled":
            raise asyncio.CancelledError
        case "none":
            return None

@app.route("text")
async def text(req: Request) -> str:
    return "a text"

@app.route("blocking")
def blocking(req: Request) -> JSONResponse:
    return JSONResponse(True)
"""


@pytest.fixture(scope="module")
def host(start: Start) -> SampleHost:
    return start(APP).wait_until_up()


def test_request_reaches_the_function_as_it_was_sent(host: SampleHost) -> None:
    response = host.call("PUT", "/api/any/M%C3%BCller/2/?x=%26&y=", data=b"body", headers={"X-Sample": "s"})
    assert response.json() == {
        "method": "PUT",
        "path": {"a": "Müller", "b": "2"},
        "query": {"x": "&", "y": ""},
        "body": "body",
        "sample": "s",
    }


def test_function_without_methods_takes_head_and_options(host: SampleHost) -> None:
    options = host.call("OPTIONS", "/api/any/1", headers={"X-Sample": ""})
    assert options.json()["method"] == "OPTIONS"
    head = host.call("HEAD", "/api/any/1", headers={"X-Sample": ""})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(options.content) - len("OPTIONS") + len("HEAD")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/unknown"),
        ("GET", "/any/1"),
        ("GET", "/api/download/x"),
        ("PUT", "/api/upload"),
        ("HEAD", "/api/upload"),
        ("OPTIONS", "/api/upload"),
        ("POST", "/"),
    ],
)
def test_what_no_function_takes_is_404_without_a_body(host: SampleHost, method: str, path: str) -> None:
    response = host.call(method, path)
    assert (response.status_code, response.content) == (404, b"")
    assert "Allow" not in response.headers


def test_home_page(host: SampleHost) -> None:
    assert host.call("GET", "/").status_code == 204


@pytest.mark.parametrize(
    ("how", "logged"),
    [
        ("exception", "ValueError: no luck"),
        ("cancelled", "Function fail failed: CancelledError"),
        ("none", "the function returned None"),
    ],
)
def test_failed_function_is_500_without_a_body_and_logged(host: SampleHost, how: str, logged: str) -> None:
    response = host.call("GET", f"/api/fail/{how}")
    assert (response.status_code, response.content) == (500, b"")
    host.eventually(lambda: logged in host.errors)


def test_result_that_is_no_response_is_json(host: SampleHost) -> None:
    assert host.get("/api/text") == "a text"


def test_function_that_blocks_is_called(host: SampleHost) -> None:
    assert host.get("/api/blocking") is True


def test_request_body_arrives_while_it_is_sent(host: SampleHost) -> None:
    connection = begin_upload(host, 2 * MIB)
    connection.send(b"a")
    host.eventually(lambda: host.get("/api/seen")["received"] == 1)
    host.call("POST", "/api/go-on")
    connection.send(bytes(2 * MIB - 1))
    answer = finish(host, connection)
    assert answer == {"length": 2 * MIB, "sha256": hashlib.sha256(b"a" + bytes(2 * MIB - 1)).hexdigest()}


def test_request_body_that_is_not_read_is_not_taken(host: SampleHost) -> None:
    total = 4 * BUFFERS
    connection = begin_upload(host, total)
    sent = send_until_blocked(connection.sock, total)
    assert sent < BUFFERS
    host.call("POST", "/api/go-on")
    connection.sock.settimeout(10)
    connection.send(bytes(total - sent))
    assert finish(host, connection)["length"] == total


def test_client_that_breaks_off_a_request_disconnects(host: SampleHost) -> None:
    connection = begin_upload(host, MIB)
    connection.send(b"a")
    host.eventually(lambda: host.get("/api/seen")["received"] == 1)
    connection.close()
    host.call("POST", "/api/go-on")
    host.eventually(lambda: "upload ClientDisconnect" in host.get("/api/seen")["ended"])
    assert "Function upload failed" not in host.errors


def test_response_body_arrives_while_it_is_made(host: SampleHost) -> None:
    response = host.call("GET", "/api/download/3?wait=1", stream=True)
    assert response.headers["X-Sample"] == "1"
    chunks = response.iter_content(5)
    assert next(chunks) == b"first"
    assert host.get("/api/seen")["produced"] == 0
    host.call("POST", "/api/go-on")
    assert sum(map(len, chunks)) == 3 * MIB


def test_response_body_that_is_not_read_is_not_made(host: SampleHost) -> None:
    response = host.call("GET", "/api/download/200", stream=True)
    produced = settled(host, "produced")
    assert produced * MIB < BUFFERS
    assert len(response.content) == 200 * MIB


def test_client_that_breaks_off_a_response_ends_its_making(host: SampleHost) -> None:
    # The chunks are there at once: without care the event loop would do nothing else than to make them.
    response = host.call("GET", "/api/download/1000000", stream=True)
    next(response.iter_content(1))
    response.close()
    assert settled(host, "produced") * MIB < 2 * BUFFERS


def test_waiting_response_ends_when_the_client_breaks_off(host: SampleHost) -> None:
    ended = len(host.get("/api/seen")["ended"])
    response = host.call("GET", "/api/download/1?wait=1", stream=True)
    assert next(response.iter_content(5)) == b"first"
    response.close()
    host.eventually(lambda: len(host.get("/api/seen")["ended"]) > ended)


def test_response_that_fails_in_the_middle_is_incomplete(host: SampleHost) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.request("GET", "/api/download/1?fail=1")
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()
    host.eventually(lambda: "in the middle" in host.errors)


def test_route_prefix_of_host_json(start: Start) -> None:
    host_json = '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'
    host = start(APP, files={"host.json": host_json}).wait_until_up()
    assert host.get("/text") == "a text"
    assert host.call("GET", "/api/text").status_code == 404


def begin_upload(host: SampleHost, length: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.putrequest("POST", "/api/upload")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    return connection


def finish(host: SampleHost, connection: http.client.HTTPConnection) -> Any:
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, host.errors
    return json.loads(body)


def send_until_blocked(connection: socket.socket, total: int) -> int:
    """Sends zeros until for a while no more are taken; returns how many were."""
    connection.settimeout(0.5)
    sent = 0
    while sent < total:
        try:
            sent += connection.send(bytes(min(MIB, total - sent)))
        except TimeoutError:
            break
    return sent


def settled(host: SampleHost, name: str) -> int:
    """A number that the app counts, when it does not grow any more."""
    numbers = [-2, -1]
    while numbers[-1] != numbers[-2]:
        time.sleep(0.2)
        numbers.append(host.get("/api/seen")[name])
    return numbers[-1]
