"""Calls of the services in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from shared.services.store import StoreResult, store
from shared.settings import Settings
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import Counters


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


async def store_files(storage: Storage, files: Iterable[bytes], partition: str = DEFAULT) -> StoreResult:
    async def parts() -> AsyncIterator[AsyncIterator[bytes]]:
        for file in files:
            yield chunks(file)

    return await store(storage, Settings(), parts(), partition, None)


@contextmanager
def counted(storage: Storage) -> Iterator[Counters]:
    """What was sent and received inside the block."""
    counters, spent = storage.wire.counters, Counters()
    before = (counters.transactions, counters.bytes_sent, counters.bytes_received)
    yield spent
    spent.transactions = counters.transactions - before[0]
    spent.bytes_sent = counters.bytes_sent - before[1]
    spent.bytes_received = counters.bytes_received - before[2]
