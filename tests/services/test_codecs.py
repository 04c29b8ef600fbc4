"""Calls of codecs: whatever they do to their process, the service goes on."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.services import codecs
from shared.services.codecs import CodecFailed
from tests.support.host import ROOT


async def test_a_call_returns_what_the_function_does() -> None:
    assert await codecs.run(math.sqrt, 4.0) == 2.0
    assert len(await codecs.run(bytes, 5_000_000)) == 5_000_000
    assert await codecs.run(os.getpid) != os.getpid()


async def test_a_call_that_fails_is_the_failure_of_its_request_only() -> None:
    """An exception, a crash of the process, an end of it, and a claim of more memory than there is (WADO-54)."""
    for function, arguments in ((math.sqrt, (-1.0,)), (os.abort, ()), (os._exit, (0,)), (bytes, (8 << 30,))):
        with pytest.raises(CodecFailed):
            await codecs.run(function, *arguments)  # type: ignore[operator]
        assert await codecs.run(math.sqrt, 4.0) == 2.0


async def test_all_processes_together_fit_into_the_instance() -> None:
    """Else the system would end the instance, with every request that it serves (WADO-54)."""
    assert await codecs.run(resource.getrlimit, resource.RLIMIT_AS) == (codecs.MAX_MEMORY_BYTES,) * 2
    assert codecs.instance_memory() > codecs.MAX_MEMORY_BYTES * codecs.MAX_PROCESSES
    with pytest.raises(CodecFailed):
        await codecs.run(bytes, codecs.MAX_MEMORY_BYTES)


@pytest.mark.parametrize(("limit", "memory"), [("104857600\n", 100 << 20), ("max\n", None), (f"{1 << 62}\n", None)])
def test_memory_of_an_instance(tmp_path: Path, limit: str, memory: int | None) -> None:
    """What its control group may use, if that is less than the machine has."""
    (tmp_path / "memory.max").write_text(limit)
    machine = codecs.instance_memory([])
    assert codecs.instance_memory([tmp_path / "missing", tmp_path / "memory.max"]) == (memory or machine)


async def test_a_process_that_dies_between_calls_is_replaced() -> None:
    os.kill(await codecs.run(os.getpid), signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert await codecs.run(math.sqrt, 4.0) == 2.0


async def test_calls_run_side_by_side_up_to_a_bound() -> None:
    """And processes are used again."""
    calls = [codecs.run(_pid_after_a_while) for _ in range(4 * codecs.MAX_PROCESSES)]
    assert 1 < len(set(await asyncio.gather(*calls))) <= codecs.MAX_PROCESSES


async def test_a_cancelled_call_ends_its_process() -> None:
    pids = [await codecs.run(os.getpid)]
    call = asyncio.create_task(codecs.run(time.sleep, 60.0))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not _is_alive(pids[0])
    assert await codecs.run(math.sqrt, 4.0) == 2.0


def test_processes_end_with_the_event_loop() -> None:
    """In the midst of a call too."""

    async def use() -> int:
        pid = await codecs.run(os.getpid)
        call = asyncio.create_task(codecs.run(time.sleep, 60.0))
        await asyncio.sleep(0.2)
        assert not call.done()
        return pid

    assert not _is_alive(asyncio.run(use()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_do_not_outlive_a_service_that_is_killed(number: signal.Signals) -> None:
    program = (
        "import asyncio, os\nfrom shared.services import codecs\n"
        "async def main():\n"
        "    print(await codecs.run(os.getpid), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=-1, stderr=-3) as service:
        assert service.stdout is not None
        pid = int(service.stdout.readline())
        assert _is_alive(pid)
        service.send_signal(number)
    deadline = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(pid)


def _pid_after_a_while() -> int:
    time.sleep(0.1)
    return os.getpid()


def _is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
