"""What Azurite takes for itself: the least that the service can take for work that needs the same requests."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator

from bench.measure import Step, Work
from bench.servers import Server, Service
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from shared.storage.wire import Wire

AT_ONCE = 8
HALF_MIB, FOUR_MIB = os.urandom(1 << 19), os.urandom(4 << 20)

type Action = Callable[[Wire], Awaitable[None]]


def works(rounds: int, *, large: bool) -> Iterator[Work]:
    yield Work("Azurite alone: put 512 KB", _steps(_put), 100, rounds=rounds, peer=False)
    yield Work("Azurite alone: put and get 512 KB", _steps(_put_and_get), 100, rounds=rounds, peer=False)
    if large:
        yield Work("Azurite alone: 300 MiB in blocks", _steps(_put_blocks), rounds=2, peer=False)


def _steps(action: Action) -> Callable[[Server, int], list[Step]]:
    def steps(server: Server, _: int) -> list[Step]:
        assert isinstance(server, Service)
        return [lambda: asyncio.run(_run(server.storage, action))]

    return steps


async def _run(account: StorageAccount, action: Action) -> None:
    storage = await Storage.open(account)
    await action(storage.wire)
    await storage.close()


async def _put(wire: Wire) -> None:
    await _together(100, lambda number: wire.put_blob(f"bench/{uuid.uuid4().hex}", HALF_MIB, {}))


async def _put_and_get(wire: Wire) -> None:
    async def both(number: int) -> None:
        name = f"bench/{uuid.uuid4().hex}"
        await wire.put_blob(name, HALF_MIB, {})
        async for _ in wire.read_blob(name):
            pass

    await _together(100, both)


async def _put_blocks(wire: Wire) -> None:
    name = f"bench/{uuid.uuid4().hex}"
    blocks = [base64.b64encode(f"{number:06d}".encode()).decode() for number in range(75)]
    await _together(75, lambda number: wire.put_block(name, blocks[number], FOUR_MIB))
    await wire.put_block_list(name, blocks, {})


async def _together(count: int, action: Callable[[int], Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await action(number)

    await asyncio.gather(*map(one, range(count)))
