"""Azurite, the emulator of Azure Storage, as a child process."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

PROGRAM = Path(__file__).parents[1] / "node_modules/azurite/dist/src/azurite.js"
DEFAULT_PORTS = (10000, 10001, 10002)
SERVICES = ("blob", "queue", "table")
START_SECONDS = 60
STOP_SECONDS = 30
LOCK_SECONDS = 20  # how long a host, or the Azurite of a killed one, may take to let go of the data folder

_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public, documented
_SWITCHES = ("--silent", "--disableTelemetry", "--skipApiVersionCheck")
_KEEP_ALIVE = ("--blobKeepAliveTimeout", "120", "--tableKeepAliveTimeout", "120")
# Its standard input ends when the host does, even when that was killed: then Azurite saves and ends, too.
_WATCHDOG = 'data:text/javascript,process.stdin.on("end",()=>process.kill(process.pid,"SIGTERM")).resume().unref()'


class AzuriteError(Exception):
    """Azurite is not installed or did not start; the message says what to do, or what it said."""


def lock_folder(data: Path, seconds: float = LOCK_SECONDS) -> IO[str]:
    """Two hosts, or two Azurites, would ruin each other's data. Raises AzuriteError when it is not free in that time."""
    data.mkdir(parents=True, exist_ok=True)
    lock = (data / "host.lock").open("w")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AzuriteError(f"Another host uses the data in {data}.") from None
            time.sleep(0.05)
        else:
            return lock


class Azurite:
    """A running emulator; `connection_string` is what an app needs to use it."""

    def __init__(self, process: subprocess.Popen[bytes], ports: tuple[int, ...]) -> None:
        self.ports = ports
        blob, queue, table = (f"http://127.0.0.1:{port}/{_ACCOUNT}" for port in ports)
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"BlobEndpoint={blob};QueueEndpoint={queue};TableEndpoint={table};"
        )
        self._process = process

    @classmethod
    def start(cls, folder: Path, lock: IO[str] | None = None, *, in_memory: bool = False) -> Azurite:
        """Starts it on the data in `folder`, on the default ports or on free ones when they are taken.

        `lock` is a file that it keeps open as long as it runs; `in_memory`: it saves nothing. Returns when it answers.
        Raises AzuriteError.
        """
        node = shutil.which("node")
        if node is None or not PROGRAM.exists():
            raise AzuriteError("Azurite is not installed: 'python3 dev.py run' does that, or 'npm ci' (with Node.js).")
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "azurite.log"
        if all(_is_free(port) for port in DEFAULT_PORTS):
            azurite = cls._spawn(node, folder, log, lock, DEFAULT_PORTS, in_memory)
            if azurite._answers(log):
                return azurite
            azurite.stop()
        azurite = cls._spawn(node, folder, log, lock, _free_ports(), in_memory)
        if azurite._answers(log):
            return azurite
        azurite.stop()
        raise AzuriteError(f"Azurite did not start:\n{log.read_text(errors='replace')[-2000:]}")

    @classmethod
    def _spawn(
        cls, node: str, folder: Path, log: Path, lock: IO[str] | None, ports: tuple[int, ...], in_memory: bool
    ) -> Azurite:
        data = ["--inMemoryPersistence"] if in_memory else ["--location", str(folder)]
        command = [node, "--import", _WATCHDOG, str(PROGRAM), *data, *_SWITCHES, *_KEEP_ALIVE]
        for service, port in zip(SERVICES, ports, strict=True):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[lock.fileno()] if lock else [],
                start_new_session=True,  # Ctrl-C is for the host, which stops it last
            )
        return cls(process, ports)

    def stop(self) -> None:
        """Lets it save its data, and waits for that."""
        assert self._process.stdin
        self._process.stdin.close()  # and no signal besides: a second one would end it before it has saved
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _answers(self, log: Path) -> bool:
        """Waits until it says so. That something answers at its ports would not prove that it is this process."""
        deadline = time.monotonic() + START_SECONDS
        while log.read_bytes().count(b"successfully listening") < len(SERVICES):
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def _is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_ports() -> tuple[int, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES]
    ports = tuple(int(probe.getsockname()[1]) for probe in sockets)
    for probe in sockets:
        probe.close()
    return ports
