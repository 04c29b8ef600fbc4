"""The process is killed at each of its storage requests in turn: what it has begun is then finished or undone.

At odd requests it dies before the storage sees the request, at even ones when it has been done and nobody hears of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from shared.dicom.searchable import Level
from shared.services import bulk_update, delete, fsck, upkeep
from shared.services.bulk_update import StudyUpdate
from shared.services.tag_index import index_study
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.lookups import table_of
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.wire import StorageError
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.host import ROOT
from tests.support.query_tags import add_tags, register, remove_tags
from tests.support.services import check_history, content, extents, feed, found, is_gone, store_files
from tests.support.storage_proxy import Cut, Exchange, StorageProxy

DESCRIPTION = {"00081030": {"vr": "LO", "Value": ["changed"]}}
CHANGES = {"00100020": {"vr": "LO", "Value": ["changed"]}, "00081030": {"vr": "LO"}}


@pytest.fixture
async def indexed(storage: Storage) -> AsyncIterator[None]:
    """Extended query tags, the index of which `assert_sound` holds against what is stored."""
    await add_tags(storage, ("PatientAge", "study"), ("SliceThickness", "instance"))
    yield
    await remove_tags(storage)


async def run(proxy: StorageProxy, number: int, *action: Any) -> bool:
    """Runs an action in a process of its own that dies at its `number`-th request; whether it got to its end before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.crash.actor",
        cwd=ROOT,
        env={**os.environ, "AzureWebJobsStorage": proxy.connection_string},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"

    async def kill(_: Exchange) -> None:
        process.kill()
        await process.wait()
        raise Cut

    proxy.reset()
    (proxy.before if number % 2 else proxy.after)(number, kill)
    process.stdin.write(json.dumps(action).encode() + b"\n")
    output, _ = await process.communicate()
    return output == b"done\n"


async def resolve(storage: Storage, study: str) -> None:
    """What upkeep does about a study as soon as it takes its requests for dead."""
    for intent in await storage.intents.open():
        if keys.study_partition(DEFAULT, study) in intent.studies:
            await upkeep.resolve(storage, intent)
    assert not [i for i in await storage.intents.open() if keys.study_partition(DEFAULT, study) in i.studies]


async def stored(storage: Storage, study: str) -> set[str]:
    """The instances of a study, each of which has a file that can be read; nothing is left to do, and all is told of."""
    files = await content(storage, study)
    assert all(files.values())
    assert not (await storage.instances.head(keys.study_partition(DEFAULT, study))).outbox
    check_history(await feed(storage, study), files)
    return set(files)


async def assert_sound(storage: Storage) -> None:
    """No rule of the whole account is broken, whatever was killed."""
    assert [finding.violation async for finding in fsck.check(storage)] == []


async def test_store(storage: Storage, proxy: StorageProxy, tmp_path: Path) -> None:
    """A study with one instance gets that again and two more, which change what it is found by; a new study gets two.

    Of what fails, or is refused (STOW-100), no file is left (DEL-16): the others stay in the bundle.
    """
    number, ended = 0, False
    while not ended:
        number += 1
        old, new, other = (uuid.uuid4().hex for _ in range(3))
        first = builders.instance(PatientID=old)
        study, series, _ = (uids := Uids.of(first)).study, uids.series, uids.instance
        await store_files(storage, [first])
        fresh = generate_uid()
        files = [first, *(builders.instance(study, series, PatientID=new) for _ in range(2))]
        files += [builders.instance(fresh, PatientID=other) for _ in range(2)]
        paths = [tmp_path / f"{number}-{n}.dcm" for n in range(5)]
        for path, file in zip(paths, files, strict=True):
            path.write_bytes(file)
        before = await extents(storage)
        ended = await run(proxy, number, "store", [str(path) for path in paths])
        for each in (study, fresh):
            await resolve(storage, each)
        instances = await stored(storage, study) | await stored(storage, fresh)
        expected = {Uids.of(file).instance for file in files[1:]}
        added = instances - {uids.instance}
        assert added <= expected
        assert not ended or added == expected
        assert len(await extents(storage)) == len(before) + len(added), f"request {number}"
        created = [change.sop_instance for each in (study, fresh) for change in await feed(storage, each)]
        assert sorted(created) == sorted(instances), f"request {number}"
        for uid in expected:
            assert await found(storage, Level.INSTANCE, SOPInstanceUID=uid) == (uid in added), f"request {number}"
        changed = any(Uids.of(file).instance in added for file in files[1:3])
        assert await found(storage, Level.STUDY, PatientID=old) == (not changed), f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=new) == changed, f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=other) == bool(await stored(storage, fresh))
    assert number > 20
    await assert_sound(storage)


@pytest.mark.usefixtures("indexed")
async def test_replacement(storage: Storage, proxy: StorageProxy, tmp_path: Path) -> None:
    """D-19, DEL-10: of an instance that exists and a new one both are stored, or neither; the old file stays until then."""
    number, ended = 0, False
    while not ended:
        number += 1
        old, new = (uuid.uuid4().hex for _ in range(2))
        first = builders.instance(PatientID=old, PatientAge="030Y", SliceThickness="1")
        uids = Uids.of(first)
        await store_files(storage, [first])
        files = {
            uids.instance: builders.instance(uids.study, uids.series, uids.instance, PatientID=new, SliceThickness="2"),
            (added := generate_uid()): builders.instance(uids.study, uids.series, added, PatientID=new),
        }
        paths = [tmp_path / f"{number}-{n}.dcm" for n in range(2)]
        for path, file in zip(paths, files.values(), strict=True):
            path.write_bytes(file)
        before = await extents(storage)
        ended = await run(proxy, number, "replace", [str(path) for path in paths])
        await resolve(storage, uids.study)
        instances = await stored(storage, uids.study)
        replaced = added in instances
        assert replaced or not ended
        assert await content(storage, uids.study) == (files if replaced else {uids.instance: first}), (
            f"request {number}"
        )
        assert len(await extents(storage)) == len(before) + replaced, f"request {number}"
        for uid in files:
            assert await found(storage, Level.INSTANCE, SOPInstanceUID=uid) == (uid in instances), f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=old) == (not replaced), f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=new) == replaced, f"request {number}"
    assert number > 12
    await assert_sound(storage)


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize(("instances", "step"), [(2, 1), (110, 31)])
async def test_delete(storage: Storage, proxy: StorageProxy, instances: int, step: int) -> None:
    """DEL-10, DEL-11, DEL-13 to DEL-15: at whatever request it dies, all is there or nothing; then it goes for good, with
    its files, change sets and index rows, and one Delete entry for each instance.
    """
    number, ended = 1 - step, False
    while not ended:
        number += step
        before = await extents(storage)
        study, patient = generate_uid(), uuid.uuid4().hex
        series = [generate_uid() for _ in range(3)]
        values = {"PatientID": patient, "PatientAge": "030Y", "SliceThickness": "1"}
        files = [builders.instance(study, series[n % 3], rows=0, **values) for n in range(instances)]
        await store_files(storage, files)
        await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, DESCRIPTION))
        ended = await run(proxy, number, "delete", study)
        seen = len(await content(storage, study))
        assert seen in (0, instances), f"request {number}"
        await resolve(storage, study)
        left = await stored(storage, study)
        assert len(left) == seen
        assert not ended or not left
        assert len(await extents(storage)) == len(before) + len(left), f"request {number}"
        actions = [change.action for change in await feed(storage, study)]
        told = ["Create"] * instances + ["Update"] * instances + ["Delete"] * (instances - len(left))
        assert actions == told, f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=patient) == bool(left), f"request {number}"
        assert await is_gone(storage, study) == (not left), f"request {number}"
    assert number > 10
    await assert_sound(storage)


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize("bundled", [True, False])
async def test_delete_of_an_instance(storage: Storage, proxy: StorageProxy, bundled: bool) -> None:
    """DEL-9, DEL-10, D-44: what its study says changes with it. Its file is removed from among others, or with its blob."""
    number, ended = 0, False
    while not ended:
        number += 1
        study, series, sop = (generate_uid() for _ in range(3))
        stays, goes = (uuid.uuid4().hex for _ in range(2))
        files = [builders.instance(study, series, PatientID=stays) for _ in range(2)]
        values = {"PatientID": goes, "PatientAge": "030Y", "SliceThickness": "1"}
        files.append(builders.instance(study, series, sop, **values))
        for together in [files] if bundled else [files[:2], files[2:]]:
            await store_files(storage, together)
        before = await extents(storage)
        ended = await run(proxy, number, "delete", study, series, sop)
        await resolve(storage, study)
        left = await stored(storage, study)
        assert len(left) == (3 if sop in left else 2)
        assert not ended or sop not in left
        assert len(await extents(storage)) == len(before) + len(left) - 3, f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=goes) == (sop in left), f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=stays) == (sop not in left), f"request {number}"
    assert number > 10
    await assert_sound(storage)


@pytest.mark.parametrize("action", ["store", "replace", "delete", "delete instance"])
async def test_answer_that_gets_lost(storage: Storage, proxy: StorageProxy, action: str) -> None:
    """STOW-133: the request, sent again, meets its own traces: nothing is done twice, nothing taken for another's work."""
    account = StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string})
    behind = await Storage.open(account)
    number = 0
    while True:
        number += 1
        first = builders.instance()
        uids = Uids.of(first)
        files = {uids.instance: first}
        files |= {(sop := generate_uid()): builders.instance(uids.study, uids.series, sop) for _ in range(2)}
        before = await extents(storage)
        await store_files(storage, list(files.values())[: 2 if action == "store" else 3])
        proxy.reset()
        proxy.lose_answer(number)
        match action:
            case "store":
                assert len((await store_files(behind, files.values())).stored) == 1
            case "replace":
                files[uids.instance] = builders.instance(uids.study, uids.series, uids.instance, rows=8)
                assert len((await store_files(behind, files.values(), replacing=True)).stored) == 3
            case "delete":
                await delete.delete(behind, DEFAULT, uids.study)
                files = {}
            case _:
                await delete.delete(behind, DEFAULT, uids.study, uids.series, uids.instance)
                del files[uids.instance]
        assert await content(storage, uids.study) == files, f"request {number}"
        assert await stored(storage, uids.study) == set(files), f"request {number}"
        assert len(await extents(storage)) == len(before) + len(files), f"request {number}"
        assert not await storage.intents.of_study(keys.study_partition(DEFAULT, uids.study)), f"request {number}"
        assert files or await is_gone(storage, uids.study), f"request {number}"
        if number > len(proxy.log):
            break
    await behind.close()
    await assert_sound(storage)


async def test_bulk_update(storage: Storage, proxy: StorageProxy) -> None:
    """UPD-51, UPD-54, UPD-55, UPD-71 to UPD-73, UPD-86, D-65: no file is written, at any time, and none is left over.

    The activity is run again, as the orchestration would: the study has changed once, and the feed says so once."""
    number, ended = 0, False
    while not ended:
        number += 1
        study, patient, changed = generate_uid(), uuid.uuid4().hex, uuid.uuid4().hex
        await store_files(storage, [builders.instance(study, PatientID=patient) for _ in range(3)])
        before = await extents(storage)
        changes = CHANGES | {"00100020": {"vr": "LO", "Value": [changed]}}
        operation = uuid.uuid4().hex
        ended = await run(proxy, number, "update", operation, study, changes)
        update = StudyUpdate(operation, 0, DEFAULT, study, changes)
        assert await bulk_update.update_study(storage, update) == 3
        await resolve(storage, study)
        assert len(await stored(storage, study)) == 3
        assert await extents(storage) == before
        actions = [change.action for change in await feed(storage, study)]
        assert actions == ["Create"] * 3 + ["Update"] * 3, f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=patient) == 0, f"request {number}"
        assert await found(storage, Level.STUDY, PatientID=changed) == 1, f"request {number}"
    assert number > 10
    await assert_sound(storage)


async def test_index_of_tags(storage: Storage, proxy: StorageProxy) -> None:
    """EQT-81, D-64: run again, the index of a study is what its instances say, and nothing is left of what it was."""
    number, ended = 0, False
    await register(storage, ("PatientAge", "study"), ("PatientSex", "series"), ("PatientWeight", "instance"))
    tags = await storage.query_tags.read()
    while not ended:
        number += 1
        study, series = generate_uid(), generate_uid()
        key = keys.study_partition(DEFAULT, study)
        old = [
            builders.instance(study, series, PatientAge="030Y", PatientSex="M", PatientWeight="70") for _ in range(2)
        ]
        await store_files(storage, old)
        changes = {"00101010": {"vr": "AS", "Value": ["040Y"]}, "00100040": {"vr": "CS"}}
        await bulk_update._apply(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, changes))
        ended = await run(proxy, number, "index", study)
        await index_study(storage, key, tags, tags.indexed)
        rows: dict[str, list[str]] = {}
        for attribute in tags.indexed:
            entities = storage.wire.entities(table_of(attribute), "")
            places = [entity.partition_key async for entity in entities if study in entity.row_key]
            rows[attribute.keyword] = ["all" if keys.is_all_partition(key) else key.split("=")[1] for key in places]
        of_study_and_series = ["all", "all", "040y", "040y"]
        assert rows == {"PatientAge": of_study_and_series, "PatientSex": [], "PatientWeight": ["70.0", "70.0"]}, number
        assert not (await storage.instances.head(key)).outbox
    assert number > 8
    await remove_tags(storage)


async def test_storage_that_fails_for_a_while(storage: Storage, proxy: StorageProxy) -> None:
    """A 503 of the storage at any request of a store is overcome."""
    account = StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string})
    behind = await Storage.open(account)
    try:
        for number in range(1, 12):
            file = builders.instance()
            proxy.reset()
            proxy.answer(number, 503)
            result = await store_files(behind, [file])
            assert len(result.stored) == 1
            assert len(await feed(storage, Uids.of(file).study)) == 1
    except StorageError as error:
        pytest.fail(f"request {number}: {error}")
    finally:
        await behind.close()
