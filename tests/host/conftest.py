"""Sample apps on hosts of their own: the worker library takes one app a process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
NO_SETTINGS = {
    name: value for name, value in os.environ.items() if not name.startswith(("AzureWebJobsStorage", "DICOM_"))
}


class SampleHost:
    """`python -m devhost` with an app of the given source; `files` are other files of the app's folder."""

    def __init__(
        self, folder: Path, source: str, *arguments: str, files: dict[str, str] | None = None, **environment: str
    ):
        self.app, self.data = folder / "app", folder / "data"
        self.app.mkdir(exist_ok=True)
        for name, text in {"function_app.py": source, **(files or {})}.items():
            (self.app / name).write_text(text)
        self._output, self._errors = folder / "stdout", folder / "stderr"
        command = [sys.executable, "-m", "devhost", "--app", str(self.app), "--data", str(self.data), "--port", "0"]
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=ROOT, env=NO_SETTINGS | environment, stdout=output, stderr=errors
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def wait_until_up(self) -> "SampleHost":
        self.eventually(lambda: "Listening" in self.output or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.errors
        return self

    @property
    def url(self) -> str:
        found = re.search(r"^Listening +(\S+)$", self.output, re.MULTILINE)
        assert found
        return found[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=10, **options)

    def get(self, path: str) -> Any:
        """The JSON value that GET answers."""
        response = self.call("GET", path)
        assert response.status_code == 200, self.errors
        return response.json()

    def eventually(self, holds: Callable[[], Any], seconds: float = 10) -> Any:
        """Waits for a value that is true."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.02)
        return value

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after a signal, if it had not ended by itself."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


type Start = Callable[..., SampleHost]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a host without Azurite that is stopped when the module's tests are through."""
    hosts: list[SampleHost] = []

    def start(source: str, *arguments: str, **options: Any) -> SampleHost:
        hosts.append(SampleHost(tmp_path_factory.mktemp("host"), source, "--no-azurite", *arguments, **options))
        return hosts[-1]

    yield start
    for host in hosts:
        host.end(signal.SIGKILL)
