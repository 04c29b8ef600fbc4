"""Azurite as a child process on free ports, with its data in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_SECONDS = 30
# Azurite's default of 5 seconds closes pooled connections under the hands of their users.
KEEP_ALIVE_SECONDS = "120"

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Azurite:
    blob_port: int
    table_port: int

    @property
    def connection_string(self) -> str:
        return connection_string(self.blob_port, self.table_port)


def connection_string(blob_port: int, table_port: int) -> str:
    """The emulator's account behind these ports of this machine."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint=http://127.0.0.1:{blob_port}/{ACCOUNT};TableEndpoint=http://127.0.0.1:{table_port}/{ACCOUNT};"
    )


@contextmanager
def running_azurite() -> Iterator[Azurite]:
    """Starts Azurite (`AZURITE` in the environment, or that of the checkout) and stops it at the end.

    Raises RuntimeError with its output when it does not start.
    """
    executable = os.environ.get("AZURITE") or str(_CHECKOUT / "node_modules/.bin/azurite")
    if not Path(executable).exists():
        raise RuntimeError(f"{executable} is missing: run `npm ci`.")
    folder = Path(tempfile.mkdtemp(prefix="azurite-"))
    blob_port, queue_port, table_port = _free_ports(3)
    command = [executable, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", str(folder)]
    command += ["--blobPort", str(blob_port), "--queuePort", str(queue_port), "--tablePort", str(table_port)]
    command += ["--blobKeepAliveTimeout", KEEP_ALIVE_SECONDS, "--tableKeepAliveTimeout", KEEP_ALIVE_SECONDS]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        for port in (blob_port, table_port):
            _wait_for(port, process, folder / "output.txt")
        yield Azurite(blob_port, table_port)
    finally:
        # Nobody wants its data: no need to let it save them.
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"Azurite did not start on port {port}: {output.read_text()}")
