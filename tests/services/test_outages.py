"""Storage that is out of order for a while: a store is repeated until it works, or is refused and leaves nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable

import pytest
from pydicom.uid import generate_uid

from shared.dicom.searchable import Level
from shared.services import delete, upkeep
from shared.services.query import Query, parse
from shared.services.search import search
from shared.storage import keys, pipeline
from shared.storage.account import StorageAccount
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import StorageError
from tests import builders
from tests.support.services import extents, is_gone, store_files
from tests.support.storage_proxy import StorageProxy

NO_ANSWER = 0
OUTAGES = (500, 503, 429, NO_ANSWER)


@pytest.fixture
async def behind(proxy: StorageProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Storage]:
    """Storage behind the proxy, less patient than it is in earnest."""
    monkeypatch.setattr(pipeline, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(pipeline, "READ_SECONDS", 0.2)
    opened = await Storage.open(StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string}))
    yield opened
    proxy.reset()
    await opened.close()


async def resolve(storage: Storage, study: str) -> None:
    for intent in await storage.intents.open():
        if keys.study_partition(DEFAULT, study) in intent.studies:
            await upkeep.resolve(storage, intent)


async def created(storage: Storage, study: str) -> list[str]:
    first, past = await storage.change_feed.bounds(None, None)
    entries = [entry.change for entry in await storage.change_feed.read(first, past)]
    return sorted(change.sop_instance for change in entries if change.study == study)


async def found(storage: Storage, study: str) -> list[str]:
    query = parse(Query(Level.INSTANCE), [("StudyInstanceUID", study)])
    return sorted(json.loads(item)["00080018"]["Value"][0] for item in await search(storage, DEFAULT, query, ""))


@pytest.mark.parametrize("status", OUTAGES)
async def test_short_outage(storage: Storage, behind: Storage, proxy: StorageProxy, status: int) -> None:
    """STOW-133, STOW-134: whichever three requests fail in a row, an instance is stored once."""
    for number in range(1, 9, 1 if status == 503 else 3):
        study = generate_uid()
        proxy.reset()
        proxy.fail(number, status, length=2 if status == NO_ANSWER else 3)
        result = await store_files(behind, [builders.instance(study)])
        [stored] = result.stored
        assert await created(storage, study) == await found(storage, study) == [stored.sop_instance]


@pytest.mark.parametrize(("status", "step"), [(500, 5), (503, 1), (429, 5), (NO_ANSWER, 7)])
async def test_long_outage(storage: Storage, behind: Storage, proxy: StorageProxy, status: int, step: int) -> None:
    """D-16: wherever it begins, the store fails, and after upkeep its instances are there whole or not at all."""
    number, failed = 1, True
    while failed:
        before = await extents(storage)
        study = generate_uid()
        proxy.reset()
        proxy.fail(number, status)
        error = await outcome(store_files(behind, [builders.instance(study) for _ in range(2)]))
        failed = error is not None
        assert not failed or isinstance(error, StorageError), error
        proxy.reset()
        await resolve(storage, study)
        instances = await found(storage, study)
        assert len(instances) in ((0, 2) if failed else (2,)), f"request {number}"
        assert await created(storage, study) == instances, f"request {number}"
        assert len(await extents(storage) - before) == len(instances), f"request {number}"
        number += step
    assert number > 10


@pytest.mark.parametrize(("status", "step"), [(503, 4), (NO_ANSWER, 9)])
async def test_long_outage_at_a_delete(
    storage: Storage, behind: Storage, proxy: StorageProxy, status: int, step: int
) -> None:
    """DEL-15, D-50: wherever it begins, all is there or nothing; the files of what is deleted are gone after upkeep."""
    number, failed = 1, True
    while failed:
        before = await extents(storage)
        study = generate_uid()
        await store_files(storage, [builders.instance(study, rows=0) for _ in range(3)])
        proxy.reset()
        proxy.fail(number, status)
        error = await outcome(delete.delete(behind, DEFAULT, study))
        failed = error is not None
        assert not failed or isinstance(error, StorageError | ExceptionGroup), error
        proxy.reset()
        left = len(await found(storage, study))
        assert left in ((0, 3) if failed else (0,)), f"request {number}"
        await resolve(storage, study)
        assert len(await found(storage, study)) == left
        assert len(await extents(storage)) == len(before) + left, f"request {number}"
        assert await is_gone(storage, study) == (not left), f"request {number}"
        number += step
    assert number > 8


async def outcome(call: Awaitable[object]) -> BaseException | None:
    [result] = await asyncio.gather(call, return_exceptions=True)
    return result if isinstance(result, BaseException) else None
