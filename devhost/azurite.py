"""Azurite, the emulator of Azure Storage, as a child process."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DEFAULT_PORTS = (10000, 10001, 10002)
START_SECONDS = 60
STOP_SECONDS = 30

_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public, documented
_PR_SET_PDEATHSIG = 1


class Azurite:
    """A running emulator; `connection_string` is what an app needs to use it."""

    def __init__(self, process: subprocess.Popen[bytes], ports: tuple[int, int, int]) -> None:
        self._process = process
        self.ports = ports
        blob, queue, table = (f"http://127.0.0.1:{port}/{_ACCOUNT}" for port in ports)
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"BlobEndpoint={blob};QueueEndpoint={queue};TableEndpoint={table};"
        )

    @classmethod
    def start(cls, command: Path, folder: Path) -> Azurite:
        """Starts the program `command` on the data in `folder`; the default ports, or free ones when they are taken."""
        folder.mkdir(parents=True, exist_ok=True)
        ports = DEFAULT_PORTS if all(is_free(port) for port in DEFAULT_PORTS) else free_ports()
        node = shutil.which("node") or "node"
        arguments = [node, str(command), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        arguments += ["--blobKeepAliveTimeout", "120", "--tableKeepAliveTimeout", "120", "--location", str(folder)]
        for service, port in zip(("blob", "queue", "table"), ports, strict=True):
            arguments += [f"--{service}Port", str(port), f"--{service}Host", "127.0.0.1"]
        log = (folder / "azurite.log").open("ab")
        with log:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        azurite = cls(process, ports)
        azurite._wait(folder / "azurite.log")
        return azurite

    def stop(self) -> None:
        """Lets it save its data, and waits for that."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while any(is_free(port) for port in self.ports):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Azurite did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_ports() -> tuple[int, int, int]:
    sockets = [socket.socket() for _ in range(3)]
    try:
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        blob, queue, table = (int(probe.getsockname()[1]) for probe in sockets)
    finally:
        for probe in sockets:
            probe.close()
    return blob, queue, table


def _die_with_parent() -> None:
    """A host that is killed cannot stop its emulator: the kernel does (Linux only)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
