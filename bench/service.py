"""What the operations of the service cost: time, CPU, storage transactions and bytes, each per item.

Runs the services in this process against an Azurite of its own. Time depends on the machine and on the emulator; CPU,
transactions and bytes are the service's own.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.services import bulk_update, change_feed, delete, retrieve
from shared.services import frames as stored_frames
from shared.services.bulk_update import StudyUpdate
from shared.services.change_feed import Window
from shared.services.query import Query, parse
from shared.services.search import search
from shared.storage.account import StorageAccount
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import store_files

INSTANCES = 200
NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}


def main() -> None:
    asyncio.run(run())


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        azurite = Azurite.start(Path(folder))
        try:
            account = StorageAccount.from_environment({"AzureWebJobsStorage": azurite.connection_string})
            storage = await Storage.open(account)
            await measure_all(storage)
            await storage.close()
        finally:
            azurite.stop()


async def measure_all(storage: Storage) -> None:
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, rows=512, columns=1024, InstanceNumber=n) for n in range(INSTANCES)]
    print(f"{'':44}{'ms':>9}{'CPU ms':>9}{'requests':>10}{'KB sent':>10}{'KB got':>10}")

    async def one_by_one() -> None:
        for file in files[:50]:
            await store_files(storage, [file])

    async def store_rest() -> None:
        await store_files(storage, files[50:])

    async def read() -> None:
        found = await retrieve.find(storage, DEFAULT, study)
        async for _, stream in retrieve.files(storage, found, retrieve.rows(storage, found, metadata=False)):
            async for _ in stream:
                pass

    async def metadata() -> None:
        found = await retrieve.find(storage, DEFAULT, study)
        async for _ in retrieve.metadata(storage, found):
            pass

    async def frames() -> None:
        for file in files[:50]:
            found = await retrieve.find(storage, DEFAULT, study, series, Uids.of(file).instance)
            assert found.row
            index = stored_frames.frame_index(found.row)
            async for _ in stored_frames.read_frame(storage, found.row, index, 1):
                pass

    async def searches() -> None:
        for _ in range(50):
            query = parse(Query(Level.STUDY), [("PatientID", "4711")])
            assert await search(storage, DEFAULT, query, "")

    async def update() -> None:
        update = StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, NAME)
        assert await bulk_update.update_study(storage, update) == INSTANCES

    async def feed() -> None:
        for _ in range(20):
            await change_feed.page(storage, Window(), metadata=False)

    await measure(storage, "store 512 KB, one a request", 50, one_by_one)
    await measure(storage, f"store 512 KB, {INSTANCES - 50} a request", INSTANCES - 50, store_rest)
    await measure(storage, "retrieve 512 KB, a study a request", INSTANCES, read)
    await measure(storage, "frame of 512 KB", 50, frames)
    await measure(storage, "metadata, a study a request", INSTANCES, metadata)
    await measure(storage, "search by PatientID", 50, searches)
    await measure(storage, f"bulk update of {INSTANCES} instances", 1, update)
    await measure(storage, "retrieve updated, a study a request", INSTANCES, read)
    await measure(storage, "change feed, a page of 100", 20, feed)
    await measure(storage, "delete, a study a request", INSTANCES, lambda: delete.delete(storage, DEFAULT, study))


async def measure(storage: Storage, what: str, items: int, action: Callable[[], Awaitable[None]]) -> None:
    counters = storage.wire.counters
    before = (counters.transactions, counters.bytes_sent, counters.bytes_received)
    started, cpu = time.perf_counter(), time.process_time()
    await action()
    spent = [
        (time.perf_counter() - started) * 1000,
        (time.process_time() - cpu) * 1000,
        counters.transactions - before[0],
        (counters.bytes_sent - before[1]) / 1024,
        (counters.bytes_received - before[2]) / 1024,
    ]
    each = [value / items for value in spent]
    print(f"{what:44}{each[0]:9.2f}{each[1]:9.2f}{each[2]:10.2f}{each[3]:10.1f}{each[4]:10.1f}", flush=True)


if __name__ == "__main__":
    main()
