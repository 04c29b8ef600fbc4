"""The index of extended query tags against a naive filter, with writers of two hosts and re-indexes in between."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.comparable import comparable
from shared.dicom.searchable import Level, fold, words
from shared.errors import BadRequest, Conflict
from shared.services import bulk_update, delete, fsck, operations, query_tags, reindex, upkeep
from shared.services.bulk_update import StudyUpdate
from shared.services.commit import commit
from shared.services.files import write_files
from shared.services.query import Query
from shared.services.receive import receive
from shared.services.study_check import check_study
from shared.services.tag_list import change
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.lookups import table_of
from shared.storage.operations import FAILED, REINDEX
from shared.storage.partitions import DEFAULT
from shared.storage.query_tags import ADDING, DELETING, READY, TagError, TagList
from shared.storage.storage import Storage
from shared.storage.wire import Operation, StorageError, TransactionFailed
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.query_tags import add_tags, found, register, remove_tags, run
from tests.support.services import chunks, counted, store_files
from tests.support.storage_proxy import StorageProxy

PRIVATE, CREATOR = 0x00091010, "TEST CREATOR"

# keyword or tag -> (VR, level, values that an instance may have)
TAGS: dict[str, tuple[str, Level, list[str]]] = {
    "PatientSex": ("CS", Level.STUDY, ["M", "F", "O"]),
    "PatientWeight": ("DS", Level.SERIES, ["70", "70.0", "82.5"]),
    "OtherPatientNames": ("PN", Level.INSTANCE, ["Doe^John", "Dupont^Rene", "Doe^Jane"]),
    "BodyPartExamined": ("CS", Level.SERIES, ["HEAD", "CHEST"]),
    "AcquisitionDateTime": ("DT", Level.INSTANCE, ["20240131101112.5", "202401311011", "2023"]),
    "SeriesDate": ("DA", Level.STUDY, ["20240101", "20240201", "20250101"]),
    "00091010": ("IS", Level.INSTANCE, ["3", "03", "-7"]),
}
UPDATES: dict[str, list[dict[str, Any]]] = {
    "PatientSex": [{"vr": "CS", "Value": ["M"]}, {"vr": "CS"}],
    "PatientWeight": [{"vr": "DS", "Value": [82.5]}, {"vr": "DS"}],
    "OtherPatientNames": [{"vr": "PN", "Value": [{"Alphabetic": "Dupont^Marie"}]}, {"vr": "PN"}],
}
PATHS = {"PatientSex": "00100040", "PatientWeight": "00101030", "OtherPatientNames": "00101001"}
UPDATED = {"PatientSex": "M", "PatientWeight": "82.5", "OtherPatientNames": "Dupont^Marie"}


@pytest.fixture(scope="module")
def azurite(own_azurite: Azurite) -> Azurite:
    """An emulator of their own for these tests: each re-index goes through all that is stored."""
    return own_azurite


@pytest.fixture
async def storage(storage: Storage) -> AsyncIterator[Storage]:
    """Without tags before and after."""
    yield storage
    await remove_tags(storage)


@pytest.fixture
async def other_host(account: StorageAccount) -> AsyncIterator[Storage]:
    """A connection that shares nothing in memory with the first, so that it does not know of new tags."""
    opened = await Storage.open(account)
    await store_files(opened, [builders.instance()])
    yield opened
    await opened.close()


@dataclass
class Model:
    """What is stored, as plain values: (study, series, instance) -> values, oldest first."""

    instances: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)

    def value(self, identity: tuple[str, ...], name: str) -> str | None:
        """The value of the newest instance below a study, series or instance that has one (EQT-63)."""
        below = [values for known, values in self.instances.items() if known[: len(identity)] == identity]
        return next((values[name] for values in reversed(below) if values.get(name)), None)

    def matching(self, level: Level, filters: list[tuple[str, str]], fuzzy: bool) -> set[tuple[str, ...]]:
        every = {identity[:level] for identity in self.instances}
        return {
            identity
            for identity in every
            if all(
                matches(name, self.value(identity[: TAGS[name][1]], name), wanted, fuzzy) for name, wanted in filters
            )
        }


def matches(name: str, value: str | None, wanted: str, fuzzy: bool) -> bool:
    vr = TAGS[name][0]
    if value is None:
        return False
    if vr == "PN" and fuzzy:
        starts = words(wanted)
        return any(
            all(word.startswith(start) for word, start in zip(words(value)[n:], starts, strict=False))
            for n in range(len(words(value)) - len(starts) + 1)
        )
    if wanted.endswith("*"):
        return fold(value, vr).startswith(fold(wanted[:-1], vr))
    if vr in ("DA", "DT") and "-" in wanted:
        first, last = (comparable(part, vr) for part in wanted.split("-"))
        return (first or "") <= (comparable(value, vr) or "") <= (last or "~")
    return fold(value, vr) == fold(wanted, vr)


@dataclass
class World:
    hosts: list[Storage]
    random: random.Random
    partition: str = field(default_factory=lambda: f"p{uuid.uuid4().hex}")
    model: Model = field(default_factory=Model)
    studies: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(3)])
    series: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(2)])

    @property
    def host(self) -> Storage:
        return self.random.choice(self.hosts)

    async def change(self, study: str) -> None:
        """One random change of a study."""
        stored = [identity for identity in self.model.instances if identity[0] == study]
        weights = [4, 3, 3, 2] if stored else [1, 0, 0, 0]
        kind = self.random.choices(["store", "replace", "delete", "update"], weights)[0]
        if kind == "store":
            await self.store(study, [self.new(study) for _ in range(self.random.choice([1, 1, 3]))])
        elif kind == "replace":
            targets = self.random.sample(stored, self.random.randint(1, min(2, len(stored))))
            await self.store(study, [*targets, *([self.new(study)] if self.random.random() < 0.3 else [])])
        elif kind == "delete":
            await self.delete(self.random.choice(stored)[: self.random.choice([1, 2, 3, 3, 3])])
        else:
            await self.update(study)

    def new(self, study: str) -> tuple[str, str, str]:
        return study, self.random.choice(self.series), generate_uid()

    async def store(self, study: str, identities: list[tuple[str, str, str]]) -> None:
        """Those that are there are replaced (D-19)."""
        files: list[bytes] = []
        for identity in identities:
            chosen = {n: self.random.choice(v) for n, (_, _, v) in TAGS.items() if self.random.random() < 0.6}
            keywords: dict[str, Any] = {"PatientSex": None} | {n: v for n, v in chosen.items() if not n.startswith("0")}
            private = [(PRIVATE & 0xFFFF0000 | 0x10, "LO", CREATOR)]
            if number := chosen.get("00091010"):
                private.append((PRIVATE, "IS", number))
            keywords["StudyID"] = uuid.uuid4().hex[:16]  # no two files are the same
            files.append(builders.instance(*identity, rows=0, elements=private, **keywords))
            self.model.instances.pop(identity, None)
            self.model.instances[identity] = chosen
        assert len((await store_files(self.host, files, self.partition, replacing=True)).stored) == len(files)

    async def delete(self, identity: tuple[str, ...]) -> None:
        await delete.delete(self.host, self.partition, *identity)
        for known in [known for known in self.model.instances if known[: len(identity)] == identity]:
            del self.model.instances[known]

    async def update(self, study: str) -> None:
        chosen = {name: self.random.choice(UPDATES[name]) for name in UPDATES if self.random.random() < 0.6}
        if not chosen:
            return
        changes = {PATHS[name]: element for name, element in sorted(chosen.items())}
        update = StudyUpdate(uuid.uuid4().hex, 0, self.partition, study, changes)
        assert await bulk_update.update_study(self.host, update)
        for identity, values in self.model.instances.items():
            if identity[0] == study:
                values |= {name: UPDATED[name] if "Value" in element else "" for name, element in chosen.items()}

    async def check(self) -> None:
        """Random queries, of one and of several tags, on all levels, on all hosts; and no row is missing."""
        for study in self.studies:
            assert await check_study(self.host, keys.study_partition(self.partition, study)) == []
        for _ in range(12):
            level = self.random.choice(list(Level))
            names = [name for name, (_, own, _) in TAGS.items() if own <= level]
            filters = [(name, self.wanted(name)) for name in self.random.sample(names, self.random.choice([1, 1, 2]))]
            fuzzy = self.random.random() < 0.5 and not any(value.endswith("*") for _, value in filters)
            parameters = [*filters, ("fuzzymatching", str(fuzzy)), ("limit", "200")]
            results = await found(self.host, self.partition, Query(level), parameters)
            uids = ("0020000D", "0020000E", "00080018")[:level]
            identities = [tuple(item[uid]["Value"][0] for uid in uids) for item in results]
            assert len(identities) == len(set(identities))
            assert set(identities) == self.model.matching(level, filters, fuzzy), (level, filters, fuzzy)

    async def check_rows(self) -> None:
        """DEL-10, D-19: the tables of the tags name nothing that is deleted or replaced."""
        named: set[tuple[int, tuple[str, ...]]] = set()
        for tag in await query_tags.read(self.host):
            async for _, place, row in self.host.lookups.every(table_of(tag.attribute)):
                if place.startswith(self.partition):
                    named.add(keys.parse_lookup_row(row))
        identities = [identity for _, identity in named]
        assert len(identities) == len(set(identities))
        assert set(identities) <= {known[:level] for known in self.model.instances for level in Level}

    def wanted(self, name: str) -> str:
        vr, _, values = TAGS[name]
        value = self.random.choice(values)
        match vr:
            case "PN":
                return self.random.choice(["Doe", "jo", "Dupont^Marie", value, "Dup*"])
            case "DA" | "DT":
                return self.random.choice([value, f"{value[:4]}0101-", "-20240131", "20240101-20241231"])
            case "CS":
                return self.random.choice([value, value.lower(), f"{value[0]}*"])
        return value


def entries() -> tuple[list[tuple[str, str]], tuple[str, str, str]]:
    public = [(name, level.name.lower()) for name, (_, level, _) in TAGS.items() if not name.startswith("0")]
    return public, ("00091010", "instance", "IS")


async def add_all(storage: Storage) -> None:
    public, private = entries()
    await add_tags(storage, *public)
    await add_tags(storage, private, creator=CREATOR)


@pytest.mark.parametrize("seed", range(4))
async def test_searches_equal_a_naive_filter(storage: Storage, other_host: Storage, seed: int) -> None:
    """EQT-50 to EQT-65, EQT-81, EQT-110, D-18, D-19, D-44, D-64: whatever is done before or after the tags."""
    world = World([storage, other_host], random.Random(seed))
    await storage.partitions.ensure(world.partition)
    for _ in range(6):
        await world.change(world.random.choice(world.studies))
    await add_all(storage)
    await world.check()
    for _ in range(3):
        for _ in range(4):
            await world.change(world.random.choice(world.studies))
        await world.check()
        await world.check_rows()
    await query_tags.delete(storage, "00100040")
    await add_tags(storage, ("PatientSex", "study"))
    await world.check()


@pytest.mark.parametrize("seed", range(3))
async def test_reindex_while_everything_changes(storage: Storage, other_host: Storage, seed: int) -> None:
    """EQT-72, EQT-81, D-18: writers of another host, who do not know the tags yet, are not missed."""
    world = World([other_host], random.Random(seed))
    await storage.partitions.ensure(world.partition)
    for _ in range(6):
        await world.change(world.random.choice(world.studies))
    public, private = entries()

    async def keep_changing(study: str) -> None:
        for _ in range(6):
            await world.change(study)

    async def add() -> None:
        await add_tags(storage, private, creator=CREATOR)
        operation = await register(storage, *public)
        await asyncio.sleep(world.random.random() / 10)
        await run(storage, operation)

    await asyncio.gather(add(), *(keep_changing(study) for study in world.studies))
    world.hosts.append(storage)
    for _ in range(3):
        await world.check()


async def test_store_that_began_before_the_tag(storage: Storage, other_host: Storage) -> None:
    """D-18: committed without the tag, it indexes its study when it learns of the tag from the change feed."""
    file = builders.instance(PatientSex="F")
    study = Uids.of(file).study
    used = await other_host.query_tags.known(0)
    assert used.tags == []
    operation = await register(storage, ("PatientSex", "study"))
    assert await reindex.begin(storage, operation) is not None
    await store_files(other_host, [file])
    await reindex.end(storage, operation)  # the re-index itself has not come by
    results = await found(storage, DEFAULT, Query(Level.STUDY), [("PatientSex", "f"), ("limit", "200")])
    assert study in [item["0020000D"]["Value"][0] for item in results]


async def test_store_that_died_before_it_learnt_of_the_tag(storage: Storage) -> None:
    """D-18: upkeep finishes it for the tags that there are by then."""
    file = builders.instance(PatientSex="F", SliceThickness="2.5")
    request = new_request_id()
    received = await receive(storage.wire, chunks(file), request=request, number=0, study=None, max_bytes=1 << 20)
    await write_files(storage.wire, [received])
    key = keys.study_partition(DEFAULT, received.study)
    intent = Intent(request, STORE, {key})
    await storage.intents.write(intent)
    await commit(storage, key, [received], replacing=False)
    operation = await register(storage, ("PatientSex", "study"), ("SliceThickness", "instance"))
    await reindex.begin(storage, operation)
    await reindex.end(storage, operation)
    await upkeep.resolve(storage, intent)
    for query, parameters in (
        (Query(Level.STUDY), [("PatientSex", "F"), ("StudyDate", "20240131"), ("limit", "200")]),
        (Query(Level.INSTANCE), [("SliceThickness", "2.50"), ("limit", "200")]),
    ):
        results = await found(storage, DEFAULT, query, parameters)
        assert received.study in [item["0020000D"]["Value"][0] for item in results]


async def test_deleted_tags_leave_the_rows(storage: Storage) -> None:
    """EQT-105, EQT-107: the table goes; a tag at the same path starts from nothing, and rows forget the old one."""
    file = builders.instance(PatientSex="F")
    study = Uids.of(file).study
    key = keys.study_partition(DEFAULT, study)
    await store_files(storage, [file])
    await add_tags(storage, ("PatientSex", "study"))
    head = await storage.instances.head(key)
    assert head.study is not None
    [first] = head.study.tags
    await query_tags.delete(storage, "00100040")
    await store_files(storage, [builders.instance(study, PatientSex="M", PatientName="Other")])
    await add_tags(storage, ("PatientSex", "series"))
    head = await storage.instances.head(key)
    assert head.study is not None
    assert head.study.tags == {}
    assert all(first not in row.tags and len(row.tags) == 1 for row in head.series.values())


async def test_delete_of_a_tag_that_stops_anywhere(storage: Storage, behind: Storage, proxy: StorageProxy) -> None:
    """EQT-74, EQT-105: once it has begun, the tag is neither searched by nor indexed, and upkeep completes it."""
    states: list[list[str]] = []
    while len(states) < 20 and states[-1:] != [[]]:
        await add_tags(storage, ("PatientSex", "study"))
        proxy.reset()
        proxy.fail(len(states) + 1, 403)
        with suppress(StorageError, TransactionFailed):
            await query_tags.delete(behind, "00100040")
        states.append([tag.status for tag in await query_tags.read(storage)])
        if states[-1] == [DELETING]:
            with pytest.raises(BadRequest):
                await found(storage, DEFAULT, Query(Level.STUDY), [("PatientSex", "F")])
            file = builders.instance(PatientSex="F")
            await store_files(storage, [file])
            head = await storage.instances.head(keys.study_partition(DEFAULT, Uids.of(file).study))
            assert head.study is not None
            assert head.study.tags == {}
        await query_tags.finish_deletes(storage)
        await remove_tags(storage)
    assert states[0] == [READY]
    assert states[-1] == []
    assert [DELETING] in states


async def test_more_series_than_a_transaction_holds(storage: Storage) -> None:
    """EQT-61, D-64: a bulk update and a re-index change any number of series."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, rows=0, PatientWeight="70") for _ in range(130)])
    await add_tags(storage, ("PatientWeight", "series"))
    for weight in (70, 90):
        query = [("PatientWeight", str(weight)), ("StudyInstanceUID", study), ("limit", "200")]
        assert len(await found(storage, DEFAULT, Query(Level.SERIES), query)) == 130
        changes = {"00101030": {"vr": "DS", "Value": [90]}}
        await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, changes))


async def test_tags_in_parallel_requests(storage: Storage, other_host: Storage) -> None:
    """EQT-25, EQT-42: of several requests one wins, and its tags are all there."""
    paths = ["PatientAge", "PatientSize", "Occupation", "EthnicGroup"]
    results = await asyncio.gather(
        *(register((storage, other_host)[n % 2], (path, "study")) for n, path in enumerate(paths)),
        return_exceptions=True,
    )
    [operation] = [item for item in results if isinstance(item, str)]
    assert len(await query_tags.read(storage)) == 1
    await run(storage, operation)


async def test_missing_metadata_ends_the_reindex(storage: Storage) -> None:
    """EQT-86: the operation fails, its tags stay as they are, and can be deleted and added again."""

    async def status(_: str) -> str:
        return "Failed"  # as an activity that has been tried as often as it may be leaves its orchestration

    file = builders.instance(PatientSex="F")
    await store_files(storage, [file])
    uids = Uids.of(file)
    key = keys.study_partition(DEFAULT, uids.study)
    row = await storage.instances.get(key, uids.series, uids.instance)
    assert row is not None
    lost = replace(row, packed_metadata=b"", metadata_blob="abc/d/e.json")
    await storage.instances.commit([Operation("update", lost.entity(key))])
    operation = await register(storage, ("PatientSex", "study"))
    with pytest.raises(ExceptionGroup):
        await run(storage, operation)
    assert (await operations.find(storage, operation, status)).status == FAILED
    assert await storage.operations.lock_holder(REINDEX) is None
    assert [tag.status for tag in await query_tags.read(storage)] == [ADDING]
    with pytest.raises(Conflict):
        await register(storage, ("PatientSex", "study"))
    await storage.instances.commit([Operation("upsert", row.entity(key))])
    await query_tags.delete(storage, "00100040")
    await add_tags(storage, ("PatientSex", "study"))
    query = [("PatientSex", "F"), ("StudyInstanceUID", uids.study)]
    assert len(await found(storage, DEFAULT, Query(Level.STUDY), query)) == 1


async def test_what_tags_cost(storage: Storage) -> None:
    """Stores read no list of tags (6 requests, as without tags); a page by a tag needs its list and its own table."""
    study, series = generate_uid(), generate_uid()
    await add_tags(storage, ("PatientSex", "study"), ("BodyPartExamined", "series"), ("SliceThickness", "instance"))
    await store_files(storage, [builders.instance(study, series, PatientSex="F")])
    with counted(storage) as spent:
        await store_files(storage, [builders.instance(study, series, PatientSex="F")])
    assert spent.transactions == 6
    with counted(storage) as spent:
        assert await found(storage, DEFAULT, Query(Level.STUDY), [("PatientSex", "F"), ("StudyDate", "20240101-")])
    assert spent.transactions == 3
    with counted(storage) as spent:
        assert await found(storage, DEFAULT, Query(Level.SERIES), [("PatientSex", "F"), ("Modality", "OT")])
    assert spent.transactions == 3


async def test_errors_are_counted_and_paged(storage: Storage, other_host: Storage) -> None:
    """EQT-82, EQT-90, EQT-91: each once, whoever records or removes it; one read tells how many there are."""
    await add_tags(storage, ("PatientSex", "study"))
    [tag] = await query_tags.read(storage)
    errors = [TagError(DEFAULT, "1.2", "1.3", f"1.4.{number}", "wrong") for number in range(20)]
    hosts = (storage.query_tags, other_host.query_tags)
    await asyncio.gather(*(host.add_error(tag.attribute, error) for error in errors for host in hosts))
    await asyncio.gather(*(host.remove_errors(tag.attribute, [*errors[:5], errors[0]]) for host in hosts))
    with counted(storage) as spent:
        assert await storage.query_tags.count_errors(tag.attribute) == 15
        page = await storage.query_tags.errors(tag.attribute, 3, 4)
    assert spent.transactions == 2
    rest = await storage.query_tags.errors(tag.attribute, 0, 100)
    assert {error.sop_instance for error in rest} == {error.sop_instance for error in errors[5:]}
    assert page == rest[3:7]
    assert [error.created for error in rest] == sorted(error.created for error in rest)
    await storage.query_tags.delete_table(tag.attribute)
    await storage.query_tags.add_error(tag.attribute, errors[0])
    await storage.query_tags.remove_errors(tag.attribute, errors)


async def test_fsck_checks_and_mends_tags(storage: Storage) -> None:
    """Rows that are missing or stray in the table of a tag, and values that no instance has, are found and mended."""
    await remove_tags(storage)
    study = generate_uid()
    await store_files(storage, [builders.instance(study, PatientSex="F", SliceThickness="2.5")])
    await add_tags(storage, ("PatientSex", "study"), ("SliceThickness", "instance"), ("PatientAge", "study"))
    await query_tags.delete(storage, "00101010")  # values of a tag that is gone are no violation
    key, age = keys.study_partition(DEFAULT, study), f"{DEFAULT}|={study}"
    assert await check_study(storage, key) == []
    sex, thickness = [table_of(tag.attribute) for tag in await query_tags.read(storage)]
    [row] = [row async for row in storage.lookups.every(thickness) if study in row[2]]
    stray = [(table, age, row_key) for table, row_key in ((thickness, row[2]), (sex, row[2].rsplit("|", 2)[0]))]
    for damage in (storage.lookups.remove([row]), storage.lookups.write(dict.fromkeys(stray, "{}"))):
        await damage
        found = [finding async for finding in fsck.check(storage, repair=True) if study in finding.violation.where]
        assert found
        assert all(finding.repaired for finding in found)
        assert [finding async for finding in fsck.check(storage) if study in finding.violation.where] == []
    head = await storage.instances.head(key)
    assert head.study is not None
    [(tag, value)] = head.study.tags.items()
    wrong = {tag: value._replace(element={"vr": "CS", "Value": ["M"]})}
    await storage.instances.commit([Operation("update", replace(head.study, tags=wrong).entity(key))])
    assert [violation.what for violation in await check_study(storage, key)]
    assert all([finding.repaired async for finding in fsck.check(storage, repair=True)])
    assert await check_study(storage, key) == []


async def test_list_is_changed_once_and_only_if_that_makes_a_difference(behind: Storage, proxy: StorageProxy) -> None:
    """EQT-42: an answer that gets lost is overcome; a write that the service refuses for good is not tried for ever."""

    def grow(tags: TagList) -> None:
        tags.version = version + 1

    version = (await behind.query_tags.read()).version
    proxy.reset()
    proxy.answer(2, 413)
    with pytest.raises(TransactionFailed):
        await change(behind, grow)
    assert len(proxy.log) == 2
    proxy.reset()
    proxy.lose_answer(2)
    assert (await change(behind, grow)).version == version + 1
    proxy.reset()
    assert (await change(behind, grow)).version == version + 1
    assert len(proxy.log) == 1
