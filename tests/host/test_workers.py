"""More than one process that answers requests."""

import os
import signal
import time

from tests.host.conftest import Start

APP = """
import os
import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request

app = func.FunctionApp()

@app.route("process")
async def process(req: Request) -> JSONResponse:
    return JSONResponse(os.getpid())
"""
SECONDS = 20


def test_workers_share_the_port_and_end_with_the_host(start: Start) -> None:
    """FUNCTIONS_WORKER_PROCESS_COUNT: each process answers requests; none outlives the host, however that ends."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        host = start(APP, "--workers", "2").wait_until_up()
        pids: set[int] = set()
        deadline = time.monotonic() + SECONDS
        while len(pids) < 2 and time.monotonic() < deadline:
            pids.add(host.get("/api/process"))
        assert len(pids) == 2
        assert host.process.pid in pids
        host.end(number)
        host.eventually(lambda pids=pids: not any(map(runs, pids)))


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
