"""The check of a whole account: it finds each thing that can be wrong, and mends what it can (shared/services/fsck.py)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from os import environ

import pytest
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.services import bulk_update, delete, fsck, health
from shared.services.bulk_update import LOCK, StudyUpdate
from shared.services.commit import commit
from shared.services.files import remove_files, write_files
from shared.services.query import Query, parse
from shared.services.receive import receive
from shared.services.search import search
from shared.storage import change_feed, intents, keys
from shared.storage.account import StorageAccount
from shared.storage.bundles import FILES
from shared.storage.change_feed import CREATE, Change, Entry
from shared.storage.instance_row import InstanceRow
from shared.storage.instances import TABLE
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.lookups import instance_key, rows_of
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.study_head import ChangeSetRow, Outbox, StudyHead
from shared.storage.wire import Entity, Operation
from tests import builders
from tests.support.host import ROOT
from tests.support.services import chunks, store_files

NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Secret^Name"}]}}
WEEKS_AGO = time.time_ns() // 1000 - 15 * 24 * 3600 * 1_000_000

type Undo = Callable[[], Awaitable[object]] | None


@pytest.fixture(scope="module")
def azurite(own_azurite: Azurite) -> Azurite:
    """An account of its own, as all of it is checked."""
    return own_azurite


@dataclass
class Study:
    storage: Storage
    uid: str
    patient: str

    @property
    def key(self) -> str:
        return keys.study_partition(DEFAULT, self.uid)

    async def head(self) -> StudyHead:
        return await self.storage.instances.head(self.key)

    async def rows(self) -> list[InstanceRow]:
        return [row async for row in self.storage.instances.every_row(self.key)]

    async def write(self, kind: str, table: str, *entities: Entity) -> None:
        for entity in entities:
            await self.storage.wire.transact(table, [Operation(kind, entity)])  # type: ignore[arg-type]


@pytest.fixture
async def study(storage: Storage) -> AsyncIterator[Study]:
    """Three instances in two series; two of them are updated."""
    patient, uid, series = uuid.uuid4().hex, generate_uid(), generate_uid()
    await store_files(storage, [builders.instance(uid, series, PatientID=patient) for _ in range(2)])
    assert await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, uid, NAME)) == 2
    await store_files(storage, [builders.instance(uid, PatientID=patient)])
    yield Study(storage, uid, patient)
    await delete.delete(storage, DEFAULT, uid)


async def found(storage: Storage, *, repair: bool = False) -> list[tuple[str, bool]]:
    findings = [finding async for finding in fsck.check(storage, repair=repair)]
    assert "Secret" not in str(findings)
    return [(finding.violation.what, finding.repaired) for finding in findings]


async def entries(storage: Storage) -> list[Entry]:
    return await storage.change_feed.read(*await storage.change_feed.bounds(None, None))


async def test_sound_account(storage: Storage, study: Study) -> None:
    """Whatever was stored, updated and deleted; also what is under way."""
    gone = Study(storage, generate_uid(), uuid.uuid4().hex)
    await store_files(storage, [builders.instance(gone.uid) for _ in range(2)])
    await delete.delete(storage, DEFAULT, gone.uid)
    row = (await study.rows())[0]
    await delete.delete(storage, DEFAULT, study.uid, row.series, row.sop_instance)
    request = new_request_id()
    await storage.intents.write(Intent(request, STORE, {study.key}))
    await storage.wire.put_blob(keys.blob_name(request, 0), b"arriving", {})
    assert await found(storage) == []
    await storage.wire.delete_blob(keys.blob_name(request, 0))
    await storage.intents.done(Intent(request, STORE, set()))


async def miscounted_study(study: Study) -> Undo:
    row = (await study.head()).study
    assert row is not None
    await study.write("update", TABLE, replace(row, instances=7).entity(study.key))


async def wrong_newest_of_a_series(study: Study) -> Undo:
    row = next(iter((await study.head()).series.values()))
    await study.write("update", TABLE, replace(row, newest="1.2.3").entity(study.key))


async def wrong_version_of_a_series(study: Study) -> Undo:
    row = next(iter((await study.head()).series.values()))
    await study.write("update", TABLE, replace(row, version=row.version + 1).entity(study.key))


async def series_without_instances(study: Study) -> Undo:
    row = replace(next(iter((await study.head()).series.values())), series=generate_uid(), etag="")
    await study.write("insert", TABLE, row.entity(study.key))


async def row_of_a_deleted_instance(study: Study) -> Undo:
    head, row = await study.head(), (await study.rows())[0]
    assert head.study is not None
    await study.write("update", TABLE, replace(head.study, floor=1).entity(study.key))
    deleted = replace(row, sop_instance=generate_uid(), version=1, blob=keys.blob_name(new_request_id(), 0))
    await study.write("insert", TABLE, deleted.entity(study.key))


async def row_of_a_deleted_series(study: Study) -> Undo:
    row = next(iter((await study.head()).series.values()))
    deleted = replace(row, series=generate_uid(), instances=0, floor=row.version, etag="")
    await study.write("insert", TABLE, deleted.entity(study.key))


async def change_set_of_a_deleted_study(study: Study) -> Undo:
    row = (await study.head()).study
    assert row is not None
    await study.write("update", TABLE, replace(row, floor=1).entity(study.key))
    await study.write("insert", TABLE, ChangeSetRow(1, 2, "x", NAME).entity(study.key))


async def row_of_a_deleted_study(study: Study) -> Undo:
    row = (await study.head()).study
    assert row is not None
    none = replace(row, instances=0, series=0, floor=row.version, etag="")
    await study.write("insert", TABLE, none.entity(keys.study_partition(DEFAULT, generate_uid())))


async def change_set_of_no_study(study: Study) -> Undo:
    await study.write("insert", TABLE, ChangeSetRow(1, 2, "x", NAME).entity(f"{DEFAULT}|{generate_uid()}"))


async def forgotten_outbox(study: Study) -> Undo:
    await study.write("upsert", TABLE, Outbox(new_request_id()).entity(study.key))


async def old_fence(study: Study) -> Undo:
    fence = keys.fence_row(f"{WEEKS_AGO:014x}{'0' * 12}")
    await study.write("insert", TABLE, Entity(study.key, fence, {}))


async def missing_lookup(study: Study) -> Undo:
    await study.storage.lookups.remove([next(iter(rows_of(study.key, await study.head())))])


async def wrong_lookup(study: Study) -> Undo:
    await study.storage.lookups.write({next(iter(rows_of(study.key, await study.head()))): "{}"})


async def missing_lookup_of_an_instance(study: Study) -> Undo:
    await study.storage.lookups.remove([instance_key(study.key, (await study.rows())[0])])


async def stray_lookup(study: Study) -> Undo:
    table, _, row = next(iter(rows_of(study.key, await study.head())))
    await study.storage.lookups.write({(table, f"{DEFAULT}|=elsewhere", row): "{}"})


async def stray_lookup_of_an_instance(study: Study) -> Undo:
    table, partition, row = instance_key(study.key, (await study.rows())[0])
    await study.storage.lookups.write({(table, partition, row + "1"): "{}"})


async def orphan(study: Study) -> Undo:
    names = {"study": study.uid, "series": "1", "instance": "2"}
    await study.storage.wire.put_blob(keys.blob_name(new_request_id(), 0), b"orphan", names)


async def orphan_in_a_bundle(study: Study) -> Undo:
    row = next(row for row in await study.rows() if row.files > 1)
    bundle = await study.storage.wire.get_bundle(row.blob)
    assert bundle
    files = f"{bundle.metadata[FILES]} {len(bundle.data)}+6/1/2"
    metadata = {**bundle.metadata, FILES: files}
    assert await study.storage.wire.replace_bundle(row.blob, bundle.data + b"orphan", metadata, bundle.etag)


async def missing_time(study: Study) -> Undo:
    _, past = await study.storage.change_feed.bounds(None, None)
    [entry] = await study.storage.change_feed.read(past - 1, past)
    [time] = await study.storage.change_feed.times(entry.timestamp, entry.timestamp)
    await study.write("delete", change_feed.TABLE, Entity("feed", f"t{time:020d}", {}, "*"))


async def silent_intent(study: Study) -> Undo:
    intent = Intent(new_request_id(), STORE, {study.key})
    entity = intents._entity(intent)
    entity.properties["touched"] = WEEKS_AGO
    await study.write("upsert", intents.TABLE, entity)


async def held_lock(study: Study) -> Undo:
    assert await study.storage.operations.acquire(LOCK, uuid.uuid4().hex)


async def alone(study: Study) -> InstanceRow:
    """The row of an instance whose file is the only one in its blob."""
    return next(row for row in await study.rows() if row.files == 1)


async def missing_file(study: Study) -> Undo:
    row = await alone(study)
    content = b"".join([chunk async for chunk in study.storage.wire.read_blob(row.blob)])
    await study.storage.wire.delete_blob(row.blob)
    names = {"study": study.uid, "series": row.series, "instance": row.sop_instance}
    return lambda: study.storage.wire.put_blob(row.blob, content, names)


async def missing_file_of_a_bundle(study: Study) -> Undo:
    row = next(row for row in await study.rows() if row.files > 1)
    bundle = await study.storage.wire.get_bundle(row.blob)
    assert bundle
    await remove_files(study.storage.wire, row.extents)

    async def undo() -> None:
        rest = await study.storage.wire.get_bundle(row.blob)
        assert rest
        assert await study.storage.wire.replace_bundle(row.blob, bundle.data, bundle.metadata, rest.etag)

    return undo


async def short_file(study: Study) -> Undo:
    restore = await missing_file(study)
    row = await alone(study)
    names = {"study": study.uid, "series": row.series, "instance": row.sop_instance}
    await study.storage.wire.put_blob(row.blob, b"short", names)

    async def undo() -> None:
        await study.storage.wire.delete_blob(row.blob)
        assert restore
        await restore()

    return undo


async def missing_metadata(study: Study) -> Undo:
    row = (await study.rows())[0]
    await study.write("upsert", TABLE, replace(row, metadata_blob="abc/d/e.json").entity(study.key))
    return lambda: study.write("upsert", TABLE, row.entity(study.key))


async def gap_in_the_feed(study: Study) -> Undo:
    _, past = await study.storage.change_feed.bounds(None, None)
    await study.storage.change_feed.append(uuid.uuid4().hex, [Change(DEFAULT, "1.2", "1.3", "1.4", CREATE, 1)])
    entity = await study.storage.wire.get_entity(change_feed.TABLE, "feed", f"e{past:019d}")
    assert entity is not None
    await study.write("delete", change_feed.TABLE, entity)
    return lambda: study.write("upsert", change_feed.TABLE, entity)


async def feed_beyond_its_head(study: Study) -> Undo:
    head = await study.storage.wire.get_entity(change_feed.TABLE, "feed", "head")
    assert head is not None
    short = Entity("feed", "head", head.properties | {"next": int(head.properties["next"]) - 1})
    await study.write("upsert", change_feed.TABLE, short)
    return lambda: study.write("upsert", change_feed.TABLE, head)


REPAIRED = [
    (miscounted_study, "count wrongly"),
    (wrong_newest_of_a_series, "count wrongly"),
    (series_without_instances, "count wrongly"),
    (wrong_version_of_a_series, "count wrongly"),
    (row_of_a_deleted_instance, "1 rows of what was deleted"),
    (row_of_a_deleted_series, "1 rows of what was deleted"),
    (row_of_a_deleted_study, "1 rows of what was deleted"),
    (change_set_of_a_deleted_study, "1 rows of what was deleted"),
    (change_set_of_no_study, "change sets without a study"),
    (forgotten_outbox, "1 outbox rows"),
    (old_fence, "1 fences"),
    (missing_lookup, "1 lookup rows are missing or wrong in lookupstudies"),
    (wrong_lookup, "1 lookup rows are missing or wrong in lookupstudies"),
    (missing_lookup_of_an_instance, "1 lookup rows are missing or wrong in lookupSOPInstanceUID"),
    (stray_lookup, "a stray row in lookupstudies"),
    (stray_lookup_of_an_instance, "a stray row in lookupSOPInstanceUID"),
    (orphan, "belongs to no instance"),
    (orphan_in_a_bundle, "a file in the blob"),
    (missing_time, "the time index lacks"),
    (silent_intent, "has been silent"),
    (held_lock, "although it is over"),
]
NOT_REPAIRED = [
    (missing_file, "is missing"),
    (missing_file_of_a_bundle, "is missing"),
    (short_file, "has 5 bytes instead of"),
    (missing_metadata, "is missing"),
    (gap_in_the_feed, "are missing"),
    (feed_beyond_its_head, "says that the feed ends"),
]


@pytest.mark.parametrize(("damage", "what"), REPAIRED)
async def test_damage_that_can_be_repaired(
    storage: Storage, study: Study, damage: Callable[[Study], Awaitable[Undo]], what: str
) -> None:
    await damage(study)
    report = await found(storage)
    assert any(what in text for text, _ in report), report
    repaired = await found(storage, repair=True)
    assert all(done for _, done in repaired), repaired
    assert await found(storage) == []
    assert len(await search(storage, DEFAULT, parse(Query(Level.STUDY), [("PatientID", study.patient)]), "")) == 1
    assert len(await study.rows()) == 3


@pytest.mark.parametrize(("damage", "what"), NOT_REPAIRED)
async def test_damage_that_cannot_be_repaired(
    storage: Storage, study: Study, damage: Callable[[Study], Awaitable[Undo]], what: str
) -> None:
    undo = await damage(study)
    report = await found(storage, repair=True)
    assert any(what in text and not done for text, done in report), report
    assert undo
    await undo()
    assert [text for text, done in await found(storage, repair=True) if not done] == []
    assert await found(storage) == []


async def test_entries_that_the_feed_lacks_are_appended(storage: Storage, study: Study) -> None:
    """CF-40: an instance that was committed, and nothing after that."""
    request = new_request_id()
    received = await receive(
        storage.wire,
        chunks(builders.instance(study.uid, PatientID=study.patient)),
        request=request,
        number=0,
        study=None,
        max_bytes=1 << 30,
    )
    await write_files(storage.wire, [received])
    await commit(storage, study.key, [received], replacing=False)
    report = await found(storage, repair=True)
    assert ("1 entries of the change feed are missing", True) in report
    assert all(done for _, done in report), report
    assert await found(storage) == []
    [entry] = [item for item in await entries(storage) if item.change.sop_instance == received.sop_instance]
    assert entry.change.action == "Create"


async def test_check_beside_writers(account: StorageAccount, storage: Storage) -> None:
    """What is under way is no violation."""
    other = await Storage.open(account)

    async def write() -> None:
        for _ in range(4):
            study = generate_uid()
            await store_files(other, [builders.instance(study, PatientID=uuid.uuid4().hex) for _ in range(3)])
            await bulk_update.update_study(other, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, NAME))
            await delete.delete(other, DEFAULT, study)

    writers = [asyncio.create_task(write()) for _ in range(2)]
    while not all(writer.done() for writer in writers):
        assert await found(storage, repair=True) == []
    await asyncio.gather(*writers)
    assert await found(storage) == []
    await other.close()


async def test_sample_shows_in_the_health_check(
    storage: Storage, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HC-5: violations degrade the health, and tell nothing of patients."""
    monkeypatch.setattr(fsck, "SAMPLE_ENTRIES", 10**6)
    monkeypatch.setattr("random.randrange", lambda *_: 1)
    await fsck.check_sample(storage)
    assert {check.status for check in await health.checks(storage)} == {"Healthy"}
    await missing_lookup(study)
    await fsck.check_sample(storage)
    degraded = (await health.checks(storage))[0]
    assert (degraded.status, degraded.description) == (
        "Degraded",
        "1 violations in the last sample: run dev.py fsck.",
    )
    assert all(done for _, done in await found(storage, repair=True))
    await fsck.check_sample(storage)
    assert {check.status for check in await health.checks(storage)} == {"Healthy"}


async def test_command(storage: Storage, study: Study, azurite: Azurite) -> None:
    """`dev.py fsck`: a line for each violation, and an exit code that says whether some are left."""

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "fsck.py", *arguments]
        environment = {**environ, "AzureWebJobsStorage": azurite.connection_string}
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    assert await asyncio.to_thread(run) == (0, "No violations.\n")
    await missing_lookup(study)
    line = f"{study.key}: 1 lookup rows are missing or wrong in lookupstudies"
    assert await asyncio.to_thread(run) == (1, f"{line}\n1 violations, 0 of them repaired.\n")
    assert await asyncio.to_thread(run, "--repair") == (0, f"{line}  repaired\n1 violations, 1 of them repaired.\n")
