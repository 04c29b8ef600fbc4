"""Calls of the services in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from shared.services.store import StoreResult, store
from shared.settings import Settings
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


async def store_files(storage: Storage, files: Iterable[bytes]) -> StoreResult:
    async def parts() -> AsyncIterator[AsyncIterator[bytes]]:
        for file in files:
            yield chunks(file)

    return await store(storage, Settings(), parts(), DEFAULT, None)
