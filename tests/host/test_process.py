"""The host as a process: how it starts and ends, and what becomes of its Azurite."""

import re
import signal
import socket
from pathlib import Path

import pytest

from tests.host.conftest import SampleHost, Start

APP = """
import os
import azure.functions as func
from azure.storage.blob import ContainerClient
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response

app = func.FunctionApp()

@app.route("settings/{name}")
async def setting(req: Request) -> JSONResponse:
    return JSONResponse(os.environ.get(req.path_params["name"]))

def container():
    connection = os.environ["AzureWebJobsStorage"]
    return ContainerClient.from_connection_string(connection, "samples", api_version="2025-11-05")

@app.route("blobs/{name}", methods=["PUT"])
def put_blob(req: Request) -> Response:
    if not container().exists():
        container().create_container()
    container().upload_blob(req.path_params["name"], b"kept")
    return Response()

@app.route("blobs/{name}", methods=["GET"])
def get_blob(req: Request) -> JSONResponse:
    return JSONResponse(container().download_blob(req.path_params["name"]).readall().decode())
"""
CONNECTION = "DefaultEndpointsProtocol=http;AccountName=other"


def test_signal_ends_the_host_with_success(start: Start) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        host = start(APP).wait_until_up()
        assert host.end(number) == 0
        assert host.errors == ""


def test_settings_of_the_app(start: Start) -> None:
    settings = '{"Values": {"A": "file", "B": "file", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}}'
    host = start(APP, files={"local.settings.json": settings}, B="environment").wait_until_up()
    assert host.get("/api/settings/A") == "file"
    assert host.get("/api/settings/B") == "environment"
    assert host.get("/api/settings/AzureWebJobsStorage") is None


def test_host_that_is_given_a_storage_account_starts_no_azurite(tmp_path: Path) -> None:
    host = SampleHost(tmp_path, APP, AzureWebJobsStorage=CONNECTION).wait_until_up()
    try:
        assert host.get("/api/settings/AzureWebJobsStorage") == CONNECTION
        assert "Azurite" not in host.output
    finally:
        host.end()


def test_azurite_saves_and_ends_with_its_host_even_when_that_is_killed(tmp_path: Path) -> None:
    ports: list[int] = []
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        host = SampleHost(tmp_path, APP)
        try:
            # The second host waits until the first one's Azurite has let go of the folder.
            ports += azurite_ports(host.wait_until_up())
            if number == signal.SIGKILL:
                host.call("PUT", "/api/blobs/a").raise_for_status()
            assert host.get("/api/blobs/a") == "kept"
            assert host.end(number) == code
        finally:
            host.end(signal.SIGKILL)
    assert not any(is_open(port) for port in ports)


def test_taken_port_is_refused(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = start(APP, "--port", str(port))
        assert host.process.wait(30) == 1
    assert f"Port {port} of 127.0.0.1 cannot be used: Address already in use." in host.errors


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_address_that_others_reach_is_refused(start: Start, address: str) -> None:
    host = start(APP, "--host", address)
    assert host.process.wait(30) == 2
    assert "--allow-remote" in host.errors


def test_address_that_others_reach_when_asked_for(start: Start) -> None:
    host = start(APP, "--host", "0.0.0.0", "--allow-remote").wait_until_up()
    assert host.url.startswith("http://127.0.0.1:")
    assert host.get("/api/settings/A") is None


def azurite_ports(host: SampleHost) -> list[int]:
    found = re.search(r"^Azurite +ports ([\d, ]+)", host.output, re.MULTILINE)
    assert found
    return [int(port) for port in found[1].split(", ")]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
