"""More processes that run the app, as FUNCTIONS_WORKER_PROCESS_COUNT has them in Azure. All accept requests on one socket."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STOP_SECONDS = 10


class Workers:
    """`count` processes that leave timers, orchestrations and activities to the host at `task_hub`."""

    def __init__(
        self, count: int, listener: socket.socket, task_hub: str, app: Path, data: Path, log_level: str
    ) -> None:
        command = [sys.executable, "-m", "devhost", "--app", str(app), "--no-azurite", "--log-level", log_level]
        command += ["--listener", str(listener.fileno()), "--task-hub", task_hub]
        self._processes = [
            subprocess.Popen(
                [*command, "--data", str(data / f"worker-{number}")],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C is for the host, which stops them
            )
            for number in range(1, count + 1)
        ]

    def stop(self) -> None:
        """Lets them finish what they do."""
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def when_host_is_gone(stop: Callable[[], None]) -> None:
    """Calls `stop` when the standard input ends, as it does in a worker when its host stops or dies."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop)
