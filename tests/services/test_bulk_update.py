"""Bulk updates below HTTP: storage that fails, races, clocks that differ, the lock (D-65, D-70, UPD-17, UPD-85 to UPD-89)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from shared.services import bulk_update, delete, operations, upkeep
from shared.services.bulk_update import LOCK, StudyUpdate
from shared.services.operations import OperationActive
from shared.services.study_check import check_study
from shared.storage import keys
from shared.storage.change_feed import CREATE
from shared.storage.intents import UPDATE as UPDATE_INTENT
from shared.storage.intents import Intent
from shared.storage.operations import CANCELED, FAILED, NOT_STARTED, RUNNING, SUCCEEDED, UPDATE
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import StorageError
from tests import builders
from tests.support.services import feed, store_files
from tests.support.storage_proxy import StorageProxy

CHANGES = {"00100020": {"vr": "LO", "Value": ["changed"]}, "00081030": {"vr": "LO"}}


async def actions(storage: Storage, study: str) -> Counter[str]:
    entries = await storage.change_feed.read(*await storage.change_feed.bounds(None, None))
    return Counter(entry.change.action for entry in entries if entry.change.study == study)


@pytest.mark.parametrize("fault", ["lost", 500, 503, 412, 403])
async def test_faults_of_the_storage(storage: Storage, behind: Storage, proxy: StorageProxy, fault: str | int) -> None:
    """D-70, UPD-85: at any request of the activity. It overcomes them or fails, and can then be run again."""
    number, ended = 0, False
    while not ended:
        number += 1
        study = generate_uid()
        await store_files(storage, [builders.instance(study, rows=0) for _ in range(2)])
        update = StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, CHANGES)
        proxy.reset()
        proxy.disturb(number, fault)
        try:
            updated = await bulk_update.update_study(behind, update)
        except (StorageError, ExceptionGroup):
            assert fault in (412, 403)
            updated = await bulk_update.update_study(storage, update)
        ended = len(proxy.log) < number
        assert updated == 2
        assert await actions(storage, study) == {"Create": 2, "Update": 2}
        assert await check_study(storage, keys.study_partition(DEFAULT, study)) == []
    assert number > 10


async def test_stores_and_deletes_during_an_update(storage: Storage, other_host: Storage) -> None:
    """UPD-52: instances that come meanwhile are changed or not, by their version; none is lost, and none comes back."""
    study, series = generate_uid(), generate_uid()
    key = keys.study_partition(DEFAULT, study)
    files = [builders.instance(study, series, rows=0) for _ in range(20)]
    first = await store_files(storage, files[:12])

    async def remove(sop: str) -> None:
        await delete.delete(other_host, DEFAULT, study, series, sop)

    gone = [item.sop_instance for item in first.stored[:4]]
    await asyncio.gather(
        bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, CHANGES)),
        *(store_files(other_host, [file]) for file in files[12:]),
        *(remove(sop) for sop in gone),
    )
    head = await storage.instances.head(key)
    rows = [row async for row in storage.instances.every_row(key)]
    assert len(rows) == 16
    assert not {row.sop_instance for row in rows} & set(gone)
    [cover] = [row.cover for row in head.change_sets]
    assert all((head.changes_to(row.version) == CHANGES) == (row.version <= cover) for row in rows)
    assert all(row.version <= cover for row in rows if row.sop_instance in {i.sop_instance for i in first.stored})
    assert await check_study(storage, key) == []


async def test_clocks_that_differ(storage: Storage, other_host: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """UPD-52, D-65: a host whose clock is years behind stores after an update; its instances are not changed."""
    study = generate_uid()
    key = keys.study_partition(DEFAULT, study)
    await store_files(storage, [builders.instance(study, rows=0)])
    await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, CHANGES))
    with monkeypatch.context() as patched:
        patched.setattr("shared.services.head_changes.time.time_ns", lambda: 10**18)
        await store_files(other_host, [builders.instance(study, rows=0)])
        head = await storage.instances.head(key)
        changed = [bool(head.changes_to(r.version)) async for r in storage.instances.every_row(key)]
        assert sorted(changed) == [False, True]
        again = StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, {"00100020": {"vr": "LO", "Value": ["again"]}})
        assert await bulk_update.update_study(other_host, again) == 2
    head = await storage.instances.head(key)
    rows = [row async for row in storage.instances.every_row(key)]
    assert {head.changes_to(row.version)["00100020"]["Value"][0] for row in rows} == {"again"}
    assert len({head.current_version(row.version) for row in rows}) == 1


async def test_update_that_died_is_told_of(storage: Storage) -> None:
    """CF-42, D-70, UPD-88: also when the next update, which is merged with it, comes before upkeep does."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, rows=0) for _ in range(2)])
    died = StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, CHANGES)
    intent = Intent(died.writer, UPDATE_INTENT, {died.key}, [died.operation, died.index])
    await storage.intents.write(intent)
    assert await bulk_update._apply(storage, died)
    assert await bulk_update.update_study(storage, replace(died, operation=uuid.uuid4().hex)) == 2
    await upkeep.resolve(storage, intent)
    changes = await feed(storage, study)
    assert [change.action for change in changes] == [CREATE] * 2 + ["Update"] * 4
    assert len({change.version for change in changes}) == 4


# The lock


class Orchestrations:
    """Stands in for the Durable Functions extension that the hosts share: runtime statuses by instance."""

    def __init__(self) -> None:
        self.statuses: dict[str, str] = {}

    async def status(self, instance: str) -> str | None:
        return self.statuses.get(instance)

    async def start(self, instance: str) -> None:
        self.statuses[instance] = "Running"

    async def forget(self, instance: str) -> None:
        self.statuses.pop(instance, None)


async def free(storage: Storage) -> bool:
    return await storage.operations.lock_holder(LOCK) is None


async def test_race_for_the_lock(storage: Storage, other_host: Storage) -> None:
    """UPD-17: fifty requests on two hosts; one gets it, the others are told its id."""
    durable = Orchestrations()
    requests = (
        operations.start((storage, other_host)[n % 2], UPDATE, durable.status, durable.start) for n in range(50)
    )
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    [winner] = [outcome for outcome in outcomes if isinstance(outcome, str)]
    losers = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    assert {error.operation_id for error in losers if isinstance(error, OperationActive)} == {winner}
    assert list(durable.statuses) == [winner]
    await bulk_update.end(storage, winner)
    assert await free(storage)


@pytest.mark.parametrize("failed", [0, 1])
async def test_lock_is_released_at_the_end(storage: Storage, failed: int, caplog: pytest.LogCaptureFixture) -> None:
    """UPD-30 to UPD-33, UPD-35: whether studies failed or not; an alert looks for the one that did."""
    durable = Orchestrations()
    operation = await operations.start(storage, UPDATE, durable.status, durable.start)
    row = await operations.find(storage, operation, durable.status)
    assert (row.status, row.percent, row.results.study_processed) == (NOT_STARTED, 0, 0)
    assert await bulk_update.begin(storage, operation)
    await bulk_update.record(storage, operation, 2, 1, "1.2", 3)
    row = await operations.find(storage, operation, durable.status)
    assert (row.status, row.percent, row.results.study_processed) == (RUNNING, 50, 1)
    await bulk_update.record(storage, operation, 2, 2, "1.3", None if failed else 4)
    await bulk_update.record(storage, operation, 2, 2, "1.3", None if failed else 4)  # a repeat
    row = await operations.find(storage, operation, durable.status)
    assert (row.percent, row.results.study_processed, row.results.study_failed) == (100, 2, failed)
    await bulk_update.end(storage, operation)
    assert (await operations.find(storage, operation, durable.status)).status == (FAILED if failed else SUCCEEDED)
    event, *warnings = caplog.messages
    assert json.loads(event)["status"] == (400 if failed else 200)
    assert warnings == [f"Operation failed: {operation}"] * failed
    assert await free(storage)


@pytest.mark.parametrize(
    ("status", "ended"), [("Terminated", CANCELED), ("Canceled", CANCELED), ("Failed", FAILED), (None, CANCELED)]
)
@pytest.mark.parametrize("who", ["upkeep", "next update"])
async def test_lock_never_survives_its_operation(
    storage: Storage, status: str | None, ended: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    """UPD-34, OPS-19: an orchestration that was terminated, broke down or was purged; nobody needs to ask for it."""
    durable = Orchestrations()
    operation = await operations.start(storage, UPDATE, durable.status, durable.start)
    assert await bulk_update.begin(storage, operation)
    await durable.forget(operation)
    if status:
        durable.statuses[operation] = status
    if who == "upkeep":
        await operations.tend(storage, durable.status, durable.forget)
        assert await free(storage)
    following = await operations.start(storage, UPDATE, durable.status, durable.start)
    assert (await operations.find(storage, operation, durable.status)).status == ended
    assert caplog.messages == [f"Operation failed: {operation}"] * (ended == FAILED)
    assert not await bulk_update.begin(storage, operation)
    await bulk_update.end(storage, following)


@pytest.mark.parametrize("removed", [False, True])
async def test_lock_that_a_crash_left(storage: Storage, removed: bool) -> None:
    """Between the end of the operation, or its removal, and the release."""
    durable = Orchestrations()
    operation = await operations.start(storage, UPDATE, durable.status, durable.start)
    row = await storage.operations.get(operation)
    assert row is not None
    row.status = SUCCEEDED
    await storage.operations.save(row)
    if removed:
        await storage.operations.remove(operation)
    await operations.tend(storage, durable.status, durable.forget)
    assert await free(storage)


async def test_request_that_dies_before_it_starts_its_orchestration(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is respected as long as the start may still come, and taken over afterwards; the start then does nothing."""
    durable = Orchestrations()

    async def die(_: str) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await operations.start(storage, UPDATE, durable.status, die)
    with pytest.raises(OperationActive) as active:
        await operations.start(storage, UPDATE, durable.status, durable.start)
    monkeypatch.setattr(operations, "_START_SECONDS", 0)
    following = await operations.start(storage, UPDATE, durable.status, durable.start)
    assert not await bulk_update.begin(storage, active.value.operation_id)
    assert await bulk_update.begin(storage, following)
    await bulk_update.end(storage, following)
