"""What Azurite and a bare client take: the least that the service can take for work that needs the same requests."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from bench.measure import Step, Work
from bench.servers import Server, Service
from shared.dicom.searchable import STUDY_ATTRIBUTES, Level
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.intents import Intents
from shared.storage.lookup_tables import Lookups
from shared.storage.lookups import Range, table_of
from shared.storage.partitions import DEFAULT
from shared.storage.wire import Wire

AT_ONCE = 8
FILES = 105
FILES_OF_A_BUNDLE = 15
SEARCHES = 20
HALF_MIB, FOUR_MIB, BUNDLE = os.urandom(1 << 19), os.urandom(4 << 20), os.urandom(FILES_OF_A_BUNDLE << 19)

type Action = Callable[[Wire], Awaitable[None]]


def works(rounds: int, *, large: bool) -> Iterator[Work]:
    for what, data, count in (
        ("512 KB", HALF_MIB, FILES),
        (f"512 KB, {FILES_OF_A_BUNDLE} in a blob", BUNDLE, FILES // FILES_OF_A_BUNDLE),
    ):
        yield _work(f"put {what}", partial(_put, count, data), FILES, rounds)
        yield _work(f"put and get {what}", partial(_put_and_get, count, data), FILES, rounds)
    if large:
        yield _work("300 MiB in blocks", _put_blocks, 1, 2)


def search(name: str, patient: str, most: int, rounds: int) -> Work:
    """The two requests of a search by PatientID, of which `most` studies are the answer."""
    [attribute] = [attribute for attribute in STUDY_ATTRIBUTES if attribute.keyword == "PatientID"]
    rows = Range(table_of(attribute), Level.STUDY, keys.value_partition(DEFAULT, patient.lower()))

    async def ask(wire: Wire) -> None:
        for _ in range(SEARCHES):
            await Intents(wire).studies()
            hits, _ = await anext(Lookups(wire).pages(rows, wanted=most))
            assert len(hits) == most

    return _work(name, ask, SEARCHES, rounds)


def _work(name: str, action: Action, items: int, rounds: int) -> Work:
    def steps(server: Server, _: int) -> list[Step]:
        assert isinstance(server, Service)
        return [lambda: asyncio.run(_run(server.storage, action))]

    return Work(f"Azurite alone: {name}", steps, items, rounds=rounds, peer=False)


async def _run(account: StorageAccount, action: Action) -> None:
    wire = Wire.open(account)
    await action(wire)
    await wire.close()


async def _put(count: int, data: bytes, wire: Wire) -> None:
    await _together(count, lambda _: wire.put_blob(f"bench/{uuid.uuid4().hex}", data, {}))


async def _put_and_get(count: int, data: bytes, wire: Wire) -> None:
    async def both(_: int) -> None:
        name = f"bench/{uuid.uuid4().hex}"
        await wire.put_blob(name, data, {})
        async for _ in wire.read_blob(name):
            pass

    await _together(count, both)


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
