"""Calls of codecs in other processes: a code stream that makes one crash, hang or swell ends that process, not this one.

`multiprocessing` is not used for it: its children import the main module again, which is the host's, and those of a
process pool outlive a host that is killed.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from shared.errors import NotAcceptable
from shared.services import codec_process
from shared.services.codec_process import LENGTH

# What is decoded or encoded at once, in this process.
MAX_PROCESSES: Final = max(2, min(4, os.process_cpu_count() or 1))

_CONTROL_GROUPS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container finds what memory it may use, by version 2 and by version 1 of control groups."""


def instance_memory(limits: Iterable[str | Path] = _CONTROL_GROUPS) -> int:
    """The memory that this instance has, in bytes: all of the machine's, or what its control group may use."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in limits:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            found.append(int(Path(limit).read_text()))
    return min(found)


MAX_MEMORY_BYTES: Final = min(4 << 30, instance_memory() * 3 // 4 // MAX_PROCESSES)
"""What each process may take. Together they leave a quarter to the service: out of memory, the instance would end whole."""

_PIPE_BYTES: Final = 1 << 20


class CodecFailed(NotAcceptable):
    """The function raised an exception, or took its process with it."""


async def run[**P, R](function: Callable[P, R], *arguments: P.args, **_: P.kwargs) -> R:
    """Calls a function of a module in a codec process, when one of them is free, and returns what it does.

    Arguments and result are pickled. Processes are started when they are needed, and end with the event loop. To cancel
    a call ends its process. Raises CodecFailed.
    """
    return await _pool().call(pickle.dumps((function, arguments)))  # type: ignore[no-any-return]


class _Pool:
    """The codec processes of one event loop."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_PROCESSES)
        self._idle: list[Process] = []
        self._started: set[Process] = set()

    async def call(self, request: bytes) -> Any:
        async with self._free:
            process = await self._take()
            try:
                returned, result = pickle.loads(await _exchange(process, request))
            except (asyncio.IncompleteReadError, OSError) as error:
                await self._end(process)
                raise CodecFailed("The pixel data cannot be processed.") from error
            except BaseException:
                await self._end(process)
                raise
            self._idle.append(process)
        if not returned:
            raise CodecFailed("The pixel data cannot be processed.")
        return result

    async def close(self) -> None:
        for process in list(self._started):
            await self._end(process)

    async def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            self._started.discard(process)
        process = await _start()
        self._started.add(process)
        return process

    async def _end(self, process: Process) -> None:
        self._started.discard(process)
        if process.returncode is None:
            process.kill()
        # Also when the caller is cancelled: a process that nobody waits for is a warning when Python ends.
        await asyncio.shield(process.wait())


async def _start() -> Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        codec_process.__name__,
        str(MAX_MEMORY_BYTES),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=_PIPE_BYTES,
        env=environment,
        start_new_session=True,  # the service decides when they end, not a Ctrl-C at its terminal
    )


async def _exchange(process: Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(LENGTH.pack(len(request)))
    process.stdin.write(request)
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    return await process.stdout.readexactly(length)


_pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
_holders: set[asyncio.Task[None]] = set()


def _pool() -> _Pool:
    """The pool of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        _pools[loop] = _Pool()
        holder = loop.create_task(_hold(loop))
        _holders.add(holder)
        holder.add_done_callback(_holders.discard)
    return _pools[loop]


async def _hold(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the processes when the event loop ends and cancels this task: a function app has no other shutdown."""
    try:
        await asyncio.Event().wait()
    finally:
        await _pools.pop(loop).close()
