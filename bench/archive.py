"""The archive that the benchmark searches: studies of one small instance each, the same in all servers but for their UIDs.

A patient has 100 studies, all on one day, so that a page has 100 results at any size.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import batched

from bench.servers import Server, Service, post
from shared.services.head_changes import head_operations, with_added
from shared.services.publish import publish_stored
from shared.services.receive import receive
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.instance_row import InstanceRow
from shared.storage.intents import new_request_id
from shared.storage.lookups import LookupKey, instance_key, rows_of
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from shared.storage.wire import Operation
from tests import builders
from tests.support.dicomweb import multipart
from tests.support.services import chunks

EMPTY_PARTITION = "empty"
"""Of the service: a search in it reads the same tables and finds nothing."""

_STUDIES_OF_A_PATIENT = 100
_SIDE = 60
_CLIENTS = 8
_FILES_OF_A_REQUEST = 50
_STUDIES_OF_A_BATCH = 900
_BATCHES_AT_ONCE = 2
_COMMITS_AT_ONCE = 16


def fill(server: Server, first: int, end: int) -> None:
    """Adds the studies from the `first`-th on, and says how long that took."""
    started = time.perf_counter()
    if isinstance(server, Service):
        asyncio.run(load(server.storage, first, end))
    else:
        store(server, first, end)
    seconds = time.perf_counter() - started
    print(f"{server.name} has {end - first:,} more studies after {seconds:,.0f} seconds", file=sys.stderr)


def store(server: Server, first: int, end: int) -> None:
    """Adds the studies by requests of 50."""
    with ThreadPoolExecutor(_CLIENTS) as clients:
        numbers = batched(range(first, end), _FILES_OF_A_REQUEST, strict=False)
        list(clients.map(lambda some: post(server, *multipart(map(_file, some))), numbers))


def day(number: int) -> str:
    """The StudyDate of a study."""
    return f"{date(2000, 1, 1) + timedelta(days=number // _STUDIES_OF_A_PATIENT):%Y%m%d}"


def _file(number: int) -> bytes:
    patient = number // _STUDIES_OF_A_PATIENT
    return builders.instance(
        rows=_SIDE,
        columns=_SIDE,
        PatientID=f"P{patient:05}",
        PatientName=f"Doe{patient:05}^Jo",
        StudyDate=day(number),
        Modality="MR" if number % 2 else "CT",
    )


async def load(account: StorageAccount, first: int, end: int) -> None:
    """Writes the rows that stores of the studies would have left, many in a transaction, but not the files: no search reads
    them, and the emulator takes the longer for a blob the more it has.
    """
    storage = await Storage.open(account)
    await storage.partitions.ensure(EMPTY_PARTITION)
    parts = batched(range(first, end), _STUDIES_OF_A_BATCH, strict=False)

    async def load_parts() -> None:
        for numbers in parts:
            await _load_batch(storage, [_file(number) for number in numbers])

    await asyncio.gather(*(load_parts() for _ in range(_BATCHES_AT_ONCE)))
    await storage.close()


async def _load_batch(storage: Storage, files: Sequence[bytes]) -> None:
    gate = asyncio.Semaphore(_COMMITS_AT_ONCE)
    lookups: dict[LookupKey, str] = {}

    async def commit(file: bytes) -> tuple[str, list[InstanceRow]]:
        name = new_request_id()
        received = await receive(storage.wire, chunks(file), request=name, number=0, study=None, max_bytes=1 << 20)
        key = keys.study_partition(DEFAULT, received.study)
        head, rows = with_added(StudyHead(), [received], [])
        lookups.update(rows_of(key, head) | {instance_key(key, row): "{}" for row in rows})
        inserts = [Operation("insert", row.entity(key)) for row in rows]
        async with gate:
            await storage.instances.commit(head_operations(key, StudyHead(), head) + inserts)
        return key, rows

    committed = await asyncio.gather(*map(commit, files))
    await storage.lookups.write(lookups)
    await asyncio.gather(*(publish_stored(storage, key, rows) for key, rows in committed))
