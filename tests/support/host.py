"""A local host with the service in a process of its own, as the tests use it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support import privacy

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


class Host:
    """`python -m devhost` on a data folder of its own. It can be killed and started again on the same data."""

    def __init__(
        self,
        connection_string: str,
        data: Path,
        task_hub: str = "",
        log_level: str = "INFO",
        workers: int = 1,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data / "host.log"
        self._data = data
        self._task_hub = ["--task-hub", task_hub] if task_hub else []
        self._log_level = log_level
        self._workers = workers
        self._environment = {**os.environ, "AzureWebJobsStorage": connection_string, "DICOM_AUTHENTICATION": "off"}
        self._environment |= environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Host:
        command = [
            sys.executable,
            "-m",
            "devhost",
            "--app",
            str(ROOT),
            "--data",
            str(self._data),
            "--port",
            str(self.port),
            *self._task_hub,
            "--log-level",
            self._log_level,
            "--workers",
            str(self._workers),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The host did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As a crash or `kill -9` would end it."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        code = self._end(signal.SIGTERM)
        assert not (found := privacy.leaks(self.log.read_text(errors="replace"))), (
            f"Patient data in {self.log}: {found}"
        )
        return code

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """A request to a path below the host's root; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Accept", "*/*")
        return requests.request(method, self.url + path, data=body, headers=named, timeout=120)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.call("GET", path, **headers)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/check", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)


@contextmanager
def running_host(connection_string: str, data: Path) -> Iterator[Host]:
    """A host that has to end well, and must not log that anything went wrong that it had not expected."""
    host = Host(connection_string, data).start()
    yield host
    assert host.stop() == 0
    log = host.log.read_text()
    assert "Traceback" not in log, log[-5000:]
    assert "Unexpected" not in log, log[-5000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
