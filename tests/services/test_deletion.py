"""Deletes of studies and series: at one instant for every reader, whatever is still to be cleared away (DEL-15)."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from pydicom.uid import generate_uid

from shared.dicom.searchable import Level
from shared.errors import NotFound
from shared.services import bulk_update, change_feed, clearance, retrieve, upkeep
from shared.services import delete as deletion
from shared.services.bulk_update import StudyUpdate
from shared.services.change_feed import Window
from shared.services.clearance import clear
from shared.services.delete import delete
from shared.services.query import Query, parse
from shared.services.races import StudyChanged, steadily
from shared.services.search import search
from shared.services.store import StoreResult
from shared.services.study_check import check_study
from shared.settings import Settings
from shared.storage import keys
from shared.storage.change_feed import CREATE, DELETE, UPDATE
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import check_history, content, counted, extents, feed, found, is_gone, store_files

SERIES = 3
INSTANCES = 300


async def filled(storage: Storage, study: str, instances: int, **attributes: str) -> list[str]:
    """A study of three series, the first of them with most of the instances; returns their UIDs."""
    series = [generate_uid() for _ in range(SERIES)]
    files = [builders.instance(study, series[max(n % 10 - 7, 0)], rows=0, **attributes) for n in range(instances)]
    assert len((await store_files(storage, files)).stored) == instances
    return series


async def searched(storage: Storage, level: Level, **filters: str) -> list[dict[str, dict[str, object]]]:
    query = parse(Query(level), list(filters.items()))
    return [json.loads(result) for result in await search(storage, DEFAULT, query, "")]


async def test_readers_see_all_or_nothing(storage: Storage, other_host: Storage) -> None:
    """DEL-15: a reader of another host finds 300 instances until it finds none, in whatever way it looks."""
    study, patient = generate_uid(), uuid.uuid4().hex
    await filled(storage, study, INSTANCES, PatientID=patient)
    entries = await storage.change_feed.read(*await storage.change_feed.bounds(None, None))
    start = next(entry.sequence for entry in entries if entry.change.study == study)

    async def instances() -> int:
        found = await searched(other_host, Level.INSTANCE, StudyInstanceUID=study, limit="200", offset="101")
        return len(found) + 101 if found else 0

    async def of_patient() -> int:
        return len(await searched(other_host, Level.SERIES, PatientID=patient)) * INSTANCES // SERIES

    async def counted() -> int:
        results = await searched(other_host, Level.STUDY, PatientID=patient, includefield="00201208")
        return sum(int(str(value)) for result in results for value in result["00201208"]["Value"])  # type: ignore[attr-defined]

    async def metadata() -> int:
        resource = await retrieve.find(other_host, DEFAULT, study)
        return len([chunk async for chunk in retrieve.metadata(other_host, resource)]) - 1

    async def files() -> int:
        resource = await retrieve.find(other_host, DEFAULT, study)
        return len([row async for row in retrieve.rows(other_host, resource, metadata=False)])

    async def states() -> int:
        window = Window(offset=start - 1, limit=INSTANCES)
        page = await change_feed.page(other_host, window, metadata=False)
        return sum(entry.state == change_feed.CURRENT for entry in page)

    async def loop(read: Callable[[], Awaitable[int]]) -> list[int]:
        seen = [await read()]
        begun.release()
        while seen[-1]:
            try:
                seen.append(await steadily(read))
            except NotFound:
                seen.append(0)
            except StudyChanged:
                continue
        return seen

    begun = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(loop(read)) for read in (instances, of_patient, counted, metadata, files, states)]
        for _ in readers:
            await begun.acquire()
        await delete(storage, DEFAULT, study)
    for reader in readers:
        assert set(reader.result()) == {INSTANCES, 0}
    assert await is_gone(storage, study)
    changes = await feed(storage, study)
    check_history(changes, [])
    assert Counter(change.action for change in changes) == {CREATE: INSTANCES, DELETE: INSTANCES}


async def test_series_goes_at_once(storage: Storage) -> None:
    """The others stay as they are; what the study says comes from its newest remaining instance (D-44)."""
    study = generate_uid()
    before = await extents(storage)
    series = await filled(storage, study, 30, StudyDescription="stays")
    newest = generate_uid()
    await store_files(storage, [builders.instance(study, newest, StudyDescription="goes", Modality="CT")])
    await delete(storage, DEFAULT, study, newest)
    [result] = await searched(
        storage, Level.STUDY, StudyInstanceUID=study, includefield="00081030,00080061,00201206,00201208"
    )
    assert result["00081030"]["Value"] == ["stays"]
    assert result["00080061"]["Value"] == ["OT"]
    assert (result["00201206"]["Value"], result["00201208"]["Value"]) == ([3], [30])
    await delete(storage, DEFAULT, study, series[0])
    with pytest.raises(NotFound):
        await delete(storage, DEFAULT, study, series[0])
    left = await content(storage, study)
    assert len(left) == 6
    assert len(await extents(storage)) == len(before) + 6
    key = keys.study_partition(DEFAULT, study)
    assert len([row async for row in storage.instances.every_row(key)]) == 6
    head = await storage.instances.head(key)
    assert not head.removed
    check_history(await feed(storage, study), left)
    await delete(storage, DEFAULT, study, series[1])
    await delete(storage, DEFAULT, study, series[2])
    assert await is_gone(storage, study)
    assert await extents(storage) == before


async def test_instance_by_instance(storage: Storage) -> None:
    """DEL-9: the last instance takes its series along, the last series its study; the newest one tells (D-44)."""
    study, series = generate_uid(), [generate_uid() for _ in range(2)]
    sops = [generate_uid() for _ in range(4)]
    for number, sop in enumerate(sops):
        await store_files(storage, [builders.instance(study, series[number // 2], sop, StudyID=str(number))])
    for number in (3, 0, 2, 1):
        await delete(storage, DEFAULT, study, series[number // 2], sops[number])
        with pytest.raises(NotFound):
            await delete(storage, DEFAULT, study, series[number // 2], sops[number])
        results = await searched(storage, Level.STUDY, StudyInstanceUID=study, includefield="00200010,00201206")
        newest = {3: ["2"], 0: ["2"], 2: ["1"], 1: None}[number]
        assert [result["00200010"]["Value"] for result in results] == ([newest] if newest else [])
        left = await content(storage, study)
        check_history(await feed(storage, study), left)
    assert await is_gone(storage, study)


async def test_store_into_what_is_being_cleared(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """DEL-12, STOW-106: it works at once, and the clearance takes nothing of it: row, file, index or feed entry."""
    study = generate_uid()
    before = await extents(storage)
    series = [generate_uid() for _ in range(2)]
    sops = [generate_uid() for _ in range(8)]
    old = [builders.instance(study, series[n % 2], sop, PatientID="old") for n, sop in enumerate(sops)]
    await store_files(storage, old)
    await bulk_update.update_study(
        storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, {"00100020": {"vr": "LO", "Value": ["updated"]}})
    )
    monkeypatch.setattr(deletion, "clear", left_undone)
    await delete(storage, DEFAULT, study)
    monkeypatch.undo()
    assert await content(storage, study) == {}
    assert len(await extents(storage)) == len(before) + 8
    key = keys.study_partition(DEFAULT, study)
    floor = (await storage.instances.head(key)).study
    patient = uuid.uuid4().hex
    new = [builders.instance(study, series[0], sop, PatientID=patient) for sop in sops[:4:2]]
    assert len((await store_files(storage, new[:1])).stored) == 1
    assert len((await store_files(storage, new[1:], replacing=True)).stored) == 1
    expected = dict(zip(sops[:4:2], new, strict=True))
    assert await content(storage, study) == expected
    assert await found(storage, Level.INSTANCE, StudyInstanceUID=study) == 2
    head = await storage.instances.head(key)
    assert head.study is not None
    assert floor is not None
    assert head.study.created > floor.version
    await upkeep.upkeep(storage, Settings())
    assert await content(storage, study) == expected
    assert await content(storage, study, original=True) == expected
    assert len(await extents(storage)) == len(before) + 2
    assert len([row async for row in storage.instances.every_row(key)]) == 2
    assert (await storage.instances.head(key)).change_sets == []
    for sop in sops:
        assert await found(storage, Level.INSTANCE, SOPInstanceUID=sop) == (sop in expected)
    assert await found(storage, Level.STUDY, PatientID=patient) == 1
    changes = await feed(storage, study)
    check_history(changes, expected)
    assert Counter(change.action for change in changes) == {CREATE: 10, UPDATE: 8, DELETE: 8}
    await delete(storage, DEFAULT, study)
    assert await is_gone(storage, study)
    assert await extents(storage) == before


async def left_undone(*_: object, **__: object) -> bool:
    return False


@pytest.mark.parametrize("who", ["its request, once answered", "upkeep", "both"])
async def test_more_than_a_request_clears_away(storage: Storage, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """D-50: the request goes on when it has been answered, and upkeep when it next comes by, however short ago that was."""
    monkeypatch.setattr(deletion, "_CLEARED_PER_REQUEST", 90)
    study = generate_uid()
    before = await extents(storage)
    await filled(storage, study, 250)
    rest = await delete(storage, DEFAULT, study)
    assert rest is not None
    assert len(await extents(storage)) == len(before) + 160
    assert await content(storage, study) == {}
    of_request = deletion.clear_rest(storage, rest)
    match who:
        case "upkeep":
            of_request.close()
            await upkeep.upkeep(storage, Settings())
        case "both":
            await asyncio.gather(of_request, upkeep.upkeep(storage, Settings()))
        case _:
            await of_request
    assert not await storage.intents.of_study(keys.study_partition(DEFAULT, study))
    assert await is_gone(storage, study)
    assert await extents(storage) == before
    check_history(await feed(storage, study), [])


async def test_stores_and_deletes_of_two_hosts(storage: Storage, other_host: Storage) -> None:
    """DEL-12: no store is refused for what is deleted already, and what is there at the end is whole."""
    study, series = generate_uid(), [generate_uid() for _ in range(2)]
    sops = [generate_uid() for _ in range(4)]
    before = await extents(storage)
    hosts = (storage, other_host)

    async def send(number: int) -> StoreResult:
        await asyncio.sleep(0.05 * number)
        files = [builders.instance(study, series[n // 2], sop) for n, sop in enumerate(sops)]
        return await store_files(hosts[number % 2], files)

    async def remove(number: int, *below: str) -> None:
        await asyncio.sleep(0.04 * number)
        with suppress(NotFound):
            await delete(hosts[number % 2], DEFAULT, study, *below)

    targets: list[tuple[str, ...]] = [(), (series[0],), (series[1], sops[3]), ()]
    await asyncio.gather(
        *(send(number) for number in range(8)), *(remove(number, *targets[number % 4]) for number in range(1, 9))
    )
    left = await content(storage, study)
    check_history(await feed(storage, study), left)
    assert len(await extents(storage)) == len(before) + len(left)
    for sop in sops:
        assert await found(storage, Level.INSTANCE, SOPInstanceUID=sop) == (sop in left)
    assert not await storage.intents.of_study(keys.study_partition(DEFAULT, study))
    await asyncio.gather(*(send(0) for _ in range(2)))
    await asyncio.gather(remove(0), remove(1))
    assert await is_gone(storage, study)
    assert await extents(storage) == before


@pytest.mark.parametrize("cleared", [True, False])
async def test_update_from_before_a_delete(
    storage: Storage, other_host: Storage, monkeypatch: pytest.MonkeyPatch, cleared: bool
) -> None:
    """D-65, DEL-12: it changes nothing that is stored afterwards, not even by a host whose clock is years behind."""
    file = builders.instance()
    uids = Uids.of(file)
    await store_files(storage, [file])
    changes = {"00100020": {"vr": "LO", "Value": ["updated"]}}
    assert await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, uids.study, changes)) == 1
    with monkeypatch.context() as patched:
        if not cleared:
            patched.setattr(deletion, "clear", left_undone)
        await delete(storage, DEFAULT, uids.study)
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: 10**18)
        assert len((await store_files(other_host, [file])).stored) == 1
    assert await content(storage, uids.study) == {uids.instance: file}
    await upkeep.upkeep(storage, Settings())
    assert await content(storage, uids.study) == {uids.instance: file}
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, UPDATE, DELETE, CREATE]
    assert await check_study(storage, keys.study_partition(DEFAULT, uids.study)) == []


async def test_clearance_that_comes_too_late(
    storage: Storage, other_host: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEL-12: the study is gone and stored again by a host whose clock is behind, below the floor that another still knows."""
    file = builders.instance()
    uids = Uids.of(file)
    key = keys.study_partition(DEFAULT, uids.study)
    await store_files(storage, [file])
    with monkeypatch.context() as patched:
        patched.setattr(deletion, "clear", left_undone)
        await delete(storage, DEFAULT, uids.study)
    head = await storage.instances.head(key)
    assert await clear(other_host, key, "first", None)
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: 10**18)
        await store_files(other_host, [file])
    rows = [row async for row in storage.instances.every_row(key)]
    assert not any(head.holds(row) for row in rows)
    await clearance._remove(storage, key, head, "late", rows, [])
    assert await content(storage, uids.study) == {uids.instance: file}
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, DELETE, CREATE]


async def test_series_costs_no_reads_of_others(storage: Storage) -> None:
    """DEL-15: the instant comes before any row is read; the cost grows with what is deleted alone."""
    study = generate_uid()
    series = await filled(storage, study, INSTANCES)
    with counted(storage) as spent:
        await delete(storage, DEFAULT, study, series[2])
    assert spent.transactions < 2 * INSTANCES // 10 + 50


async def test_clearance_twice_at_once(storage: Storage, other_host: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """DEL-11: the request and upkeep do not get in each other's way; one Delete entry for each instance."""
    study = generate_uid()
    before = await extents(storage)
    await filled(storage, study, 200)
    monkeypatch.setattr(deletion, "clear", left_undone)
    await delete(storage, DEFAULT, study)
    key = keys.study_partition(DEFAULT, study)
    assert await asyncio.gather(
        *(clear(host, key, host_name, None) for host_name, host in zip("ab", (storage, other_host), strict=True))
    )
    await upkeep.upkeep(storage, Settings())
    assert await is_gone(storage, study)
    assert await extents(storage) == before
    check_history(await feed(storage, study), [])
