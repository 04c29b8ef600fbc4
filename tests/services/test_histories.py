"""Random histories of a tiny world, held against a model: what is retrieved, found and told is what was done.

Stores, replacements, deletes of all levels and bulk updates of a study with two series of two instances.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.errors import NotFound
from shared.services import bulk_update, change_feed
from shared.services.bulk_update import StudyUpdate
from shared.services.change_feed import Window
from shared.services.delete import delete
from shared.services.store import ALREADY_EXISTS
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.change_feed import CREATE, DELETE, UPDATE
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.services import check_history, content, extents, feed, found, is_gone, store_files

type Step = tuple[str, int, str]
"""What is done, to which of the instances (or to its series), with which PatientID."""

PATIENTS = ("p1", "p2")
STEPS = st.tuples(
    st.sampled_from(["post", "post", "put", "put", "delete study", "delete series", "delete instance", "update"]),
    st.integers(0, 3),
    st.sampled_from(PATIENTS),
)


@dataclass
class Stored:
    """An instance that is there: what was stored, and what an update has made of its PatientID."""

    file: bytes
    patient: str
    updated: bool = False


@dataclass
class World:
    """`stored` has the instances in the order in which they were stored, the newest last."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    study: str = field(default_factory=generate_uid)
    series: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(2)])
    sops: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(4)])
    stored: dict[str, Stored] = field(default_factory=dict)
    patient: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)

    def file(self, index: int, patient: str) -> bytes:
        return builders.instance(self.study, self.series[index // 2], self.sops[index], rows=0, PatientID=patient)


async def do(storage: Storage, world: World, step: Step) -> Counter[tuple[str, str]]:
    """Does a step in storage and in the model; returns what the feed is to tell of it."""
    action, index, name = step
    patient = f"{world.run}{name}"
    sop, known = world.sops[index], world.stored.get(world.sops[index])
    match action:
        case "post" | "put":
            file = world.file(index, patient)
            result = await store_files(storage, [file], replacing=action == "put")
            if action == "post" and known:
                assert result.files[0].failure == ALREADY_EXISTS
                return Counter()
            assert result.files[0].failure is None
            if known and known.file == file and not known.updated:
                return Counter()
            world.stored.pop(sop, None)
            world.stored[sop] = Stored(file, patient)
            world.patient = patient
            return Counter([(UPDATE if known else CREATE, sop)])
        case "update":
            changes = {"00100020": {"vr": "LO", "Value": [patient]}}
            update = StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, world.study, changes)
            assert await bulk_update.update_study(storage, update) == (len(world.stored) or None)
            for each in world.stored.values():
                each.patient, each.updated, world.patient = patient, True, patient
            return Counter((UPDATE, each) for each in world.stored)
    below = {
        "delete study": [],
        "delete series": [world.series[index // 2]],
        "delete instance": [world.series[index // 2], sop],
    }[action]
    members = [world.sops, world.sops[index // 2 * 2 : index // 2 * 2 + 2], [sop]][len(below)]
    gone = [each for each in members if each in world.stored]
    try:
        await delete(storage, DEFAULT, world.study, *below)
        assert gone
    except NotFound:
        assert not gone
    for each in gone:
        del world.stored[each]
    if gone and world.stored:
        world.patient = list(world.stored.values())[-1].patient
    return Counter((DELETE, each) for each in gone)


async def check(storage: Storage, world: World) -> None:
    files = await content(storage, world.study)
    assert await content(storage, world.study, original=True) == {
        sop: stored.file for sop, stored in world.stored.items()
    }
    assert set(files) == set(world.stored)
    for sop, stored in world.stored.items():
        assert (files[sop] == stored.file) == (not stored.updated)
        assert stored.patient.encode() in files[sop]
    for index, sop in enumerate(world.sops):
        expected = sop in world.stored
        assert await found(storage, Level.INSTANCE, SOPInstanceUID=sop) == expected
        if index % 2:
            there = {*world.sops[index - 1 : index + 1]} & {*world.stored}
            assert await found(storage, Level.SERIES, SeriesInstanceUID=world.series[index // 2]) == bool(there)
    for name in PATIENTS:
        patient = f"{world.run}{name}"
        assert await found(storage, Level.STUDY, PatientID=patient) == (bool(world.stored) and world.patient == patient)
    changes = await feed(storage, world.study)
    assert [(change.action, change.sop_instance) for change in changes] == world.told
    check_history(changes, world.stored)
    first, past = await storage.change_feed.bounds(None, None)
    entries = await storage.change_feed.read(first, past)
    offset = next((entry.sequence - 1 for entry in entries if entry.change.study == world.study), 0)
    page = await change_feed.page(storage, Window(offset=offset, limit=200), metadata=False)
    for number, (item, (_, sop)) in enumerate(zip(page, world.told, strict=True)):
        newest = all(sop != later for _, later in world.told[number + 1 :])
        there = change_feed.CURRENT if newest else change_feed.REPLACED
        assert item.state == (there if sop in world.stored else change_feed.DELETED)
    if not world.stored:
        assert await is_gone(storage, world.study)


async def play(storage: Storage, steps: list[Step]) -> None:
    before = await extents(storage)
    world = World()
    for step in [("post", 0, "p1"), *steps]:
        told = await do(storage, world, step)
        changes = await feed(storage, world.study)
        new = [(change.action, change.sop_instance) for change in changes[len(world.told) :]]
        assert Counter(new) == told
        world.told += new
        await check(storage, world)
        assert len(await extents(storage)) == len(before) + len(world.stored)
        assert not await storage.intents.of_study(keys.study_partition(DEFAULT, world.study))


def test_random_histories(own_azurite: Azurite) -> None:
    """D-19, D-44, DEL-3, DEL-5, DEL-9, DEL-11, CF-40 to CF-55, UPD-50: one after the other."""
    account = StorageAccount.from_environment({"AzureWebJobsStorage": own_azurite.connection_string})
    with asyncio.Runner() as runner:
        storage = runner.run(Storage.open(account))

        @settings(max_examples=25, deadline=None)
        @given(st.lists(STEPS, min_size=6, max_size=10))
        def histories(steps: list[Step]) -> None:
            runner.run(play(storage, steps))

        histories()
        runner.run(storage.close())
