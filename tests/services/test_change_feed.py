"""The change feed's order, states and costs, below HTTP (CF-10 to CF-57, D-51, D-53, D-55)."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import uuid
from collections import defaultdict

import pytest
from pydicom.uid import generate_uid

from shared.services import bulk_update, change_feed, delete
from shared.services.bulk_update import StudyUpdate
from shared.services.change_feed import FeedEntry, Window
from shared.storage.account import StorageAccount
from shared.storage.change_feed import CREATE, Change
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed
from tests import builders
from tests.support.host import ROOT
from tests.support.services import store_files
from tests.support.storage_proxy import StorageProxy

CHANGES = {"00100020": {"vr": "LO", "Value": ["changed"]}}


async def past_all(storage: Storage) -> int:
    return (await storage.change_feed.bounds(None, None))[1]


def change(study: str, number: int = 1) -> Change:
    return Change(DEFAULT, study, "1.2", f"1.2.{number}", CREATE, number)


async def present() -> bool:
    return False


@pytest.mark.parametrize("seed", range(4))
async def test_states_after_any_history(storage: Storage, seed: int) -> None:
    """CF-50 to CF-57, D-53: only the entry of an instance's last version is current, and shows metadata."""
    chance = random.Random(seed)
    study, series = generate_uid(), generate_uid()
    files = {sop: builders.instance(study, series, sop, rows=0) for sop in (generate_uid(), generate_uid())}
    offset = await past_all(storage) - 1
    actions: dict[str, list[str]] = defaultdict(list)
    there: set[str] = set()
    for _ in range(12):
        sop = chance.choice(list(files))
        match chance.choice(["store", "update", "delete", "delete"]) if there else "store":
            case "store":
                stored = await store_files(storage, [files[sop]])
                assert bool(stored.stored) == (sop not in there)
                actions[sop] += [] if sop in there else ["Create"]
                there.add(sop)
            case "update":
                await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, CHANGES))
                for each in there:
                    actions[each].append("Update")
            case "delete" if sop in there:
                await delete.delete(storage, DEFAULT, study, series, sop)
                actions[sop].append("Delete")
                there.remove(sop)
    page = await change_feed.page(storage, Window(offset=offset, limit=200), metadata=True)
    for sop, history in actions.items():
        expected = [
            (action, ("Current" if last else "Replaced") if sop in there else "Deleted", last and sop in there)
            for action, last in zip(history, [False] * (len(history) - 1) + [True], strict=True)
        ]
        found = [item for item in page if item.entry.change.sop_instance == sop]
        assert [(i.entry.change.action, i.state, i.metadata is not None) for i in found] == expected
        if sop in there and history[-1] == "Update":
            assert b'"changed"' in (found[-1].metadata or b"")


async def test_page_of_one_study_takes_few_requests(storage: Storage) -> None:
    """Metadata of 200 entries: the head row, the entries, the study's head, its rows."""
    study, offset = generate_uid(), await past_all(storage) - 1
    for _ in range(2):
        await store_files(storage, [builders.instance(study, rows=0) for _ in range(100)])
    before = storage.wire.counters.transactions
    page = await change_feed.page(storage, Window(offset=offset, limit=200), metadata=True)
    assert len([item for item in page if item.metadata]) == 200
    assert storage.wire.counters.transactions - before == 4


async def test_page_of_many_studies_reads_each_once(storage: Storage) -> None:
    """One request for each small study, sixteen studies at a time; a few instances of a large one are read by their keys,
    and its head again after them.
    """
    offset = await past_all(storage) - 1
    large, series = generate_uid(), generate_uid()
    await store_files(storage, [builders.instance(large, series, rows=0) for _ in range(12)])
    await store_files(storage, [builders.instance(rows=0) for _ in range(20)])
    before = storage.wire.counters.transactions
    page = await change_feed.page(storage, Window(offset=offset + 10, limit=200), metadata=True)
    assert len([item for item in page if item.metadata]) == 22
    assert storage.wire.counters.transactions - before == 2 + 20 + 1 + 2 + 1


async def test_feed_under_load(storage: Storage, account: StorageAccount) -> None:
    """D-51: a reader that polls while eight processes write misses nothing, sees nothing twice and no time go back."""
    runs, appends, first = [uuid.uuid4().hex for _ in range(8)], 60, await past_all(storage)
    environment = {
        **os.environ,
        "AzureWebJobsStorage": f"AccountName={account.name};AccountKey={account.key};"
        f"BlobEndpoint={account.blob_endpoint};TableEndpoint={account.table_endpoint}",
    }
    command = [sys.executable, "-m", "tests.support.feed_writer"]
    writers = [
        await asyncio.create_subprocess_exec(
            *command, run, str(appends), cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        for run in runs
    ]
    ended = asyncio.gather(*(writer.wait() for writer in writers))
    seen: list[FeedEntry] = []
    while True:
        over = ended.done()
        page = await change_feed.page(storage, Window(offset=first - 1 + len(seen), limit=200), metadata=False)
        seen += page
        if over and not page:
            break
    assert await ended == [0] * 8
    assert [item.entry.sequence for item in seen] == list(range(first, first + len(seen)))
    times = [item.entry.timestamp for item in seen]
    assert times == sorted(times)
    for run in runs:
        mine = sorted(item.entry.change.version for item in seen if item.entry.change.study == run)
        assert mine == list(range(1, appends + 1))


async def test_cancelled_append_leaves_the_others_alone(storage: Storage) -> None:
    """Appends of one process share a transaction; one that nobody waits for any more is no error of the rest."""
    study = generate_uid()
    appends = [asyncio.create_task(storage.change_feed.append(f"{study}-{n}", [change(study, n)])) for n in range(10)]
    await asyncio.sleep(0)
    appends[0].cancel()
    appends[5].cancel()
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [0, 5]


async def test_append_that_storage_refuses(storage: Storage) -> None:
    """It fails instead of being tried for ever, and the next one works."""
    with pytest.raises(TransactionFailed):
        await storage.change_feed.append(uuid.uuid4().hex, [change("1" * 70_000)])
    await storage.change_feed.append(uuid.uuid4().hex, [change(generate_uid())])


@pytest.mark.parametrize("fault", ["lost", 500, 503, 412])
async def test_faults_during_appends(storage: Storage, behind: Storage, proxy: StorageProxy, fault: str | int) -> None:
    """A storage error or a lost answer at any request is overcome: no change is missing, none is there twice."""
    study, first = generate_uid(), await past_all(storage)
    for number in range(1, 5):
        behind.change_feed._head = None
        proxy.reset()
        proxy.disturb(number, fault)
        try:
            await behind.change_feed.append(f"{study}-{number}", [change(study, number)])
        except Exception as error:
            assert fault == 412, error  # noqa: PT017 - no answer of the table service
            await behind.change_feed.append(f"{study}-{number}", [change(study, number)])
    entries = await storage.change_feed.read(first, await past_all(storage))
    assert [e.change.version for e in entries if e.change.study == study] == [1, 2, 3, 4]
    assert [e.sequence for e in entries] == list(range(first, first + len(entries)))


async def test_waiting_ends_with_the_first_new_entry(storage: Storage, other_host: Storage) -> None:
    """D-55: from whichever host it comes, also in a window of times, and behind an offset."""
    for times in ((None, None), (1, 2**60)):
        window = Window(*times, offset=await past_all(storage) - 1)
        waiting = asyncio.create_task(change_feed.next_page(storage, window, 60, present, metadata=False))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        study = generate_uid()
        await other_host.change_feed.append(study, [change(study)])
        async with asyncio.timeout(30):
            [item] = await waiting
        assert item.entry.change.study == study


async def test_waiting_ends_after_its_time(storage: Storage) -> None:
    """D-55: with an empty page, and after one point read for each pause."""
    window = Window(offset=await past_all(storage) - 1)
    before = storage.wire.counters.transactions
    started = asyncio.get_running_loop().time()
    assert await change_feed.next_page(storage, window, 2, present, metadata=False) == []
    assert asyncio.get_running_loop().time() - started >= 2
    assert storage.wire.counters.transactions - before <= 8


async def test_waiting_ends_when_nobody_waits(storage: Storage) -> None:
    """D-55: a client that goes away ends it."""
    window = Window(offset=await past_all(storage) - 1)

    async def gone() -> bool:
        return True

    async with asyncio.timeout(30):
        assert await change_feed.next_page(storage, window, 60, gone, metadata=False) == []


async def test_clock_that_goes_back(storage: Storage, other_host: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-51: a host whose clock is behind writes entries that are later all the same."""
    study, first = generate_uid(), await past_all(storage)
    await storage.change_feed.append(f"{study}-1", [change(study, 1)])
    with monkeypatch.context() as patched:
        patched.setattr("shared.storage.change_feed.time.time_ns", lambda: 10**18)
        await other_host.change_feed.append(f"{study}-2", [change(study, 2)])
    entries = await storage.change_feed.read(first, await past_all(storage))
    mine = [entry for entry in entries if entry.change.study == study]
    assert mine[0].timestamp < mine[1].timestamp
    window = Window(start=mine[1].timestamp, end=mine[1].timestamp + 1)
    assert [i.entry for i in await change_feed.page(storage, window, metadata=False)] == [mine[1]]
