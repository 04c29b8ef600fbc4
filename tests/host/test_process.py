"""The host as a process: how it starts and ends, and what becomes of its Azurite."""

import os
import signal
import socket
import subprocess
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


def test_signal_ends_a_host_that_is_starting(start: Start) -> None:
    slow = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(20)\n" + APP
    host = start(slow)
    host.eventually(lambda: (host.app / "importing").exists())
    assert host.end() == 0
    assert (host.output, host.errors) == ("", "")


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
    azurites, stored = [], []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
        host = SampleHost(tmp_path, APP).wait_until_up()
        try:
            azurites.append(azurite_of(host))
            assert [host.get(f"/api/blobs/{name}") for name in stored] == ["kept"] * len(stored)
            stored.append(f"blob{len(stored)}")
            host.call("PUT", f"/api/blobs/{stored[-1]}").raise_for_status()
            assert host.end(number) == (0 if number == signal.SIGTERM else -number)
        finally:
            host.end(signal.SIGKILL)
    assert not any(is_running(azurite) for azurite in azurites)


def test_host_waits_until_the_azurite_of_a_killed_one_has_let_go_of_the_data(tmp_path: Path) -> None:
    first = SampleHost(tmp_path, APP).wait_until_up()
    azurite = azurite_of(first)
    os.kill(azurite, signal.SIGSTOP)
    first.end(signal.SIGKILL)
    second = SampleHost(tmp_path, APP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            second.process.wait(3)
        assert second.output == ""
        os.kill(azurite, signal.SIGCONT)
        second.wait_until_up()
        assert second.end() == 0
    finally:
        second.end(signal.SIGKILL)


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


def test_address_that_others_reach_while_authentication_is_off(start: Start) -> None:
    """Nobody would ask callers for anything."""
    host = start(APP, "--host", "0.0.0.0", "--allow-remote", DICOM_AUTHENTICATION="off")
    assert host.process.wait(30) == 1
    assert "DICOM_AUTHENTICATION is off" in host.errors


def azurite_of(host: SampleHost) -> int:
    """The id of the process that the host has started."""
    return int(subprocess.check_output(["pgrep", "-P", str(host.process.pid)]))


def is_running(process: int) -> bool:
    """Also false for one that has ended but whose end nobody has taken note of (a zombie)."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state) and not state.startswith("Z")
