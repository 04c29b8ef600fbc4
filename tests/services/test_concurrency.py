"""Many writers at once, in one process and as if on several hosts."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from typing import Any

import pytest
from pydicom.uid import generate_uid

from shared.dicom.searchable import Level
from shared.errors import Unavailable
from shared.services import bulk_update, delete, turns, upkeep
from shared.services.bulk_update import StudyUpdate
from shared.services.commit import commit
from shared.services.files import write_files
from shared.services.query import Query, parse
from shared.services.receive import Received, receive
from shared.services.search import search
from shared.services.settle import settle
from shared.services.store import ALREADY_EXISTS, StoreResult
from shared.services.turns import commit_in_turn
from shared.storage import keys
from shared.storage.change_feed import CREATE, Change
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import BlobNotFound, StorageError
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import chunks, content, counted, feed, store_files


def change(study: str, number: int) -> Change:
    return Change(DEFAULT, study, "1.2", f"1.2.{number}", CREATE, number)


async def test_feed_orders_writers_of_two_hosts(storage: Storage, other_host: Storage) -> None:
    """D-51: no gap, no entry twice, and a repeat with the same writer changes nothing."""
    study, run = generate_uid(), uuid.uuid4().hex
    feeds = (storage.change_feed, other_host.change_feed)
    writers = [(feeds[n % 2], f"{run}-{n}", [change(study, n * 10 + k) for k in range(n % 3 + 1)]) for n in range(60)]
    await asyncio.gather(*(feed.append(writer, changes) for feed, writer, changes in writers))
    await asyncio.gather(*(feeds[0].append(writer, changes) for _, writer, changes in writers[:10]))
    first, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(first, past)
    assert [entry.sequence for entry in entries] == list(range(1, past))
    assert [entry.timestamp for entry in entries] == sorted(entry.timestamp for entry in entries)
    mine = Counter(entry.change.version for entry in entries if entry.change.study == study)
    assert mine == Counter(item.version for _, _, changes in writers for item in changes)


async def test_hundred_requests_into_one_new_study(storage: Storage, other_host: Storage) -> None:
    """All are stored and the counts are right, whichever host they come through, and without storms of retries."""
    study, series = generate_uid(), [generate_uid(), generate_uid()]
    files = [builders.instance(study, series[n % 2], rows=0) for n in range(100)]
    with counted(storage) as spent, counted(other_host) as spent_there:
        results = await asyncio.gather(*(store_files((storage, other_host)[n % 2], [f]) for n, f in enumerate(files)))
    assert spent.transactions + spent_there.transactions < 8 * 100
    assert all(len(result.stored) == 1 for result in results)
    head = await storage.instances.head(keys.study_partition(DEFAULT, study))
    assert head.study is not None
    assert (head.study.instances, head.study.series) == (100, 2)
    assert [row.instances for row in head.series.values()] == [50, 50]
    query = parse(Query(Level.STUDY), [("StudyInstanceUID", study), ("PatientID", "patient-4711")])
    assert len(await search(storage, DEFAULT, query, "")) == 1


async def test_same_instance_from_eight_clients(storage: Storage, other_host: Storage) -> None:
    """STOW-100: one is stored, the others are told that it exists; one entry in the feed, one blob."""
    file = builders.instance()
    results = await asyncio.gather(*(store_files((storage, other_host)[n % 2], [file]) for n in range(8)))
    outcomes = Counter(result.files[0].failure for result in results)
    assert outcomes == {None: 1, ALREADY_EXISTS: 7}
    stored = next(result.files[0] for result in results if result.stored)
    first, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(first, past)
    assert [e.change.sop_instance for e in entries].count(stored.sop_instance) == 1
    for result in results:
        row = result.files[0].row
        assert row is not None
        found = [chunk async for chunk in storage.wire.read_blob(row.blob)] if result.stored else None
        if found is None:
            with pytest.raises(BlobNotFound):
                [chunk async for chunk in storage.wire.read_blob(row.blob)]
        else:
            assert b"".join(found) == file


@pytest.mark.parametrize("change", ["store", "delete a series", "delete the study", "update", "store and delete"])
async def test_another_host_has_changed_the_study(storage: Storage, other_host: Storage, change: str) -> None:
    """What this host has last written of it is out of date then; a store builds on what holds."""
    study, first = generate_uid(), generate_uid()
    files = [builders.instance(study, first if n < 2 else generate_uid(), rows=0) for n in range(5)]
    await store_files(storage, files[:3])
    there = [Uids.of(file).instance for file in files]
    match change:
        case "store":
            await store_files(other_host, files[3:4])
        case "delete a series":
            await delete.delete(other_host, DEFAULT, study, first)
            there = [there[2], there[4]]
        case "delete the study":
            await delete.delete(other_host, DEFAULT, study)
            there = there[4:]
        case "update":
            changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New"}]}}
            await bulk_update.update_study(other_host, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, changes))
        case _:
            await store_files(other_host, files[3:4])
            await delete.delete(other_host, DEFAULT, study)
            there = there[4:]
    there = [sop for sop in there if change in ("store", "store and delete") or sop != Uids.of(files[3]).instance]
    result = await store_files(storage, files[4:])
    assert len(result.stored) == 1
    stored = await content(storage, study)
    assert set(stored) == set(there)
    changed = [sop for sop, file in stored.items() if b"New" in file]
    assert sorted(changed) == (sorted(there[:3]) if change == "update" else [])
    head = await storage.instances.head(keys.study_partition(DEFAULT, study))
    assert head.study
    assert (head.study.instances, head.study.series) == (len(there), len(head.series))


async def test_requests_that_wait_for_each_other(storage: Storage) -> None:
    """One that goes away in its turn, one that upkeep has given up, and one whose instance exists harm no other."""
    there = builders.instance(rows=0)
    study = Uids.of(there).study
    key = keys.study_partition(DEFAULT, study)
    await store_files(storage, [there])
    given_up = new_request_id()
    late = await received_by(storage, given_up, builders.instance(study, rows=0))
    await upkeep.resolve(storage, Intent(given_up, STORE, {key}))
    files = [builders.instance(study, rows=0) for _ in range(4)]
    async with storage.instances.lock(key):
        leaving, *others = [asyncio.create_task(store_files(storage, [file])) for file in files]
        await asyncio.sleep(0.5)
        refused = asyncio.create_task(commit_in_turn(storage, key, [late], replacing=False))
        again = asyncio.create_task(store_files(storage, [there, builders.instance(study, rows=0)]))
        await asyncio.sleep(0.5)
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    with pytest.raises(Unavailable):
        await refused
    results = [*await asyncio.gather(*others), await again]
    assert [item.failure for result in results for item in result.files] == [None, None, None, ALREADY_EXISTS, None]
    for intent in await storage.intents.open():
        if key in intent.studies:
            await upkeep.resolve(storage, intent)
    stored = {item.sop_instance for result in results for item in result.stored} | {Uids.of(there).instance}
    assert stored <= set(await content(storage, study)) <= stored | {Uids.of(files[0]).instance}


@pytest.mark.parametrize("fate", ["the first dies", "another leaves"])
async def test_commit_whose_requests_do_not_live_to_see_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    """Those that it was for, and those that wait behind it, are stored and told so: none is taken for another's work."""
    study = generate_uid()
    files = [builders.instance(study, rows=0) for _ in range(4)]
    late: list[asyncio.Task[StoreResult]] = []

    async def disturbed(*arguments: Any) -> None:
        if not late:
            late.extend(asyncio.create_task(store_files(storage, [file])) for file in files[2:])
            await asyncio.sleep(0.5)
            if fate == "the first dies":
                raise StorageError(500, "InternalError")
            tasks[1].cancel()
            await asyncio.sleep(0)
        await settle(*arguments)

    monkeypatch.setattr(turns, "settle", disturbed)
    async with storage.instances.lock(keys.study_partition(DEFAULT, study)):
        tasks = []
        for file in files[:2]:
            tasks.append(asyncio.create_task(store_files(storage, [file])))
            await asyncio.sleep(0.5)
    outcomes = [*await asyncio.gather(*tasks, return_exceptions=True), *await asyncio.gather(*late)]
    stored = [isinstance(outcome, StoreResult) and len(outcome.stored) == 1 for outcome in outcomes]
    assert stored == ([False, True, True, True] if fate == "the first dies" else [True, False, True, True])
    for intent in await storage.intents.open():
        if keys.study_partition(DEFAULT, study) in intent.studies:
            await upkeep.resolve(storage, intent)
    assert await content(storage, study) == {Uids.of(file).instance: file for file in files}


async def received_by(storage: Storage, request: str, file: bytes) -> Received:
    received = await receive(storage.wire, chunks(file), request=request, number=0, study=None, max_bytes=1 << 30)
    await write_files(storage.wire, [received])
    return received


async def test_request_that_upkeep_has_undone_cannot_commit(storage: Storage) -> None:
    """A request that is slow, not dead, loses against the fence: its instance is gone without a trace."""
    request = new_request_id()
    received = await received_by(storage, request, builders.instance())
    key = keys.study_partition(DEFAULT, received.study)
    await upkeep.resolve(storage, Intent(request, STORE, {key}))
    with pytest.raises(Unavailable):
        await commit(storage, key, [received], replacing=False)
    assert received.row is not None
    with pytest.raises(BlobNotFound):
        [chunk async for chunk in storage.wire.read_blob(received.row.blob)]
    assert not (await storage.instances.head(key)).exists
    assert len((await store_files(storage, [builders.instance(received.study)])).stored) == 1


async def test_request_that_died_after_its_commit_is_finished(storage: Storage) -> None:
    """Its instance gets its lookup rows and exactly one feed entry, however often upkeep comes by."""
    request = new_request_id()
    patient = uuid.uuid4().hex
    received = await received_by(storage, request, builders.instance(PatientID=patient))
    key = keys.study_partition(DEFAULT, received.study)
    intent = Intent(request, STORE, {key})
    await storage.intents.write(intent)
    await commit(storage, key, [received], replacing=False)
    await asyncio.gather(upkeep.resolve(storage, intent), upkeep.resolve(storage, intent))
    await upkeep.resolve(storage, intent)
    assert len(await search(storage, DEFAULT, parse(Query(Level.STUDY), [("PatientID", patient)]), "")) == 1
    query = parse(Query(Level.INSTANCE), [("SOPInstanceUID", received.sop_instance)])
    assert len(await search(storage, DEFAULT, query, "")) == 1
    first, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(first, past)
    assert [entry.change.sop_instance for entry in entries].count(received.sop_instance) == 1
    assert request not in [item.id for item in await storage.intents.open()]


async def test_studies_of_a_request_do_not_wait_for_each_other(storage: Storage) -> None:
    """CF-40: the feed tells of each, although one is held up by another writer."""
    files = [builders.instance() for _ in range(3)]
    studies = [Uids.of(file).study for file in files]
    locks = [storage.instances.lock(keys.study_partition(DEFAULT, study)) for study in studies]
    async with locks[0]:
        storing = asyncio.create_task(store_files(storage, files))
        await asyncio.wait([storing], timeout=0.5)
    await storing
    assert [len(await feed(storage, study)) for study in studies] == [1, 1, 1]


async def test_search_reads_studies_in_flight_from_their_own_rows(storage: Storage) -> None:
    """Lookup rows that a crash left behind never show a wrong result."""
    old, new, study = uuid.uuid4().hex, uuid.uuid4().hex, generate_uid()
    await store_files(storage, [builders.instance(study, PatientID=old)])
    request = new_request_id()
    key = keys.study_partition(DEFAULT, study)
    await storage.intents.write(Intent(request, STORE, {key}))
    received = await received_by(storage, request, builders.instance(study, PatientID=new))
    await commit(storage, key, [received], replacing=False)

    async def assert_gone() -> None:
        for level, value in itertools.product(Level, (old, f"{old[:-3]}*", f"*{old[3:]}*")):
            assert await search(storage, DEFAULT, parse(Query(level), [("PatientID", value)]), "") == []

    await assert_gone()
    await upkeep.resolve(storage, Intent(request, STORE, {key}))
    await assert_gone()
    for level, count in ((Level.STUDY, 1), (Level.SERIES, 2), (Level.INSTANCE, 2)):
        assert len(await search(storage, DEFAULT, parse(Query(level), [("PatientID", new)]), "")) == count


async def test_partition_is_created_once(storage: Storage, other_host: Storage) -> None:
    """PART-16."""
    name = f"p{uuid.uuid4().hex}"
    await asyncio.gather(*((storage, other_host)[n % 2].partitions.ensure(name) for n in range(10)))
    found = await storage.partitions.all()
    assert [partition.name for partition in found].count(name) == 1
    assert len({partition.key for partition in found}) == len(found)


async def test_refused_files_are_not_held(storage: Storage) -> None:
    """D-16: memory does not grow with what a request sends."""
    result = await store_files(storage, [builders.instance(PatientID=None) for _ in range(3)])
    assert [item.data for item in result.failed] == [None] * 3
