"""Stores with replacement, and what they collide with (D-19)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from shared.dicom.searchable import Level
from shared.errors import NotFound
from shared.services import bulk_update, upkeep
from shared.services.bulk_update import StudyUpdate
from shared.services.commit import commit
from shared.services.delete import delete
from shared.services.files import write_files
from shared.services.metadata import latest_metadata
from shared.services.publish import publish_all
from shared.services.query import Query, parse
from shared.services.races import StudyChanged
from shared.services.receive import receive
from shared.services.search import search
from shared.storage import keys
from shared.storage.change_feed import CREATE, DELETE, UPDATE
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import check_history, chunks, content, extents, feed, found, store_files


async def update(storage: Storage, study: str, patient: str) -> int | None:
    changes = {"00100020": {"vr": "LO", "Value": [patient]}}
    return await bulk_update.update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, changes))


async def commit_only(storage: Storage, key: str, request: str, file: bytes) -> None:
    """What a request has done that dies after its commit."""
    received = await receive(storage.wire, chunks(file), request=request, number=0, study=None, max_bytes=1 << 30)
    await write_files(storage.wire, [received])
    await commit(storage, key, [received], replacing=True)


async def test_instance_gives_way(storage: Storage) -> None:
    """D-19, CF-51: its file goes, its counts stay, and a search finds the new values only; the feed says Update."""
    patients = [uuid.uuid4().hex for _ in range(2)]
    first = builders.instance(PatientID=patients[0], AccessionNumber="A")
    uids = Uids.of(first)
    before = await extents(storage)
    await store_files(storage, [first])
    new = builders.instance(uids.study, uids.series, uids.instance, PatientID=patients[1], AccessionNumber=None)
    result = await store_files(storage, [new], replacing=True)
    assert len(result.stored) == 1
    assert await content(storage, uids.study) == {uids.instance: new}
    assert len(await extents(storage)) == len(before) + 1
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, UPDATE]
    assert [await found(storage, Level.STUDY, PatientID=patient) for patient in patients] == [0, 1]
    assert await found(storage, Level.INSTANCE, SOPInstanceUID=uids.instance) == 1
    head = await storage.instances.head(keys.study_partition(DEFAULT, uids.study))
    assert head.study is not None
    assert "00080050" not in head.study.summary, "a value that no instance has"


async def test_values_come_from_the_newest(storage: Storage) -> None:
    """D-44: as after a delete, the study and the series say what their newest instance says, the other series as before."""
    study, (series, other) = generate_uid(), (generate_uid() for _ in range(2))
    sop = generate_uid()
    await store_files(storage, [builders.instance(study, other, AccessionNumber="A", ManufacturerModelName="other")])
    old = builders.instance(
        study, series, sop, AccessionNumber="B", StudyDescription="old", ManufacturerModelName="old"
    )
    await store_files(storage, [old])
    new = builders.instance(
        study, series, sop, AccessionNumber=None, StudyDescription="new", ManufacturerModelName=None
    )
    await store_files(storage, [new], replacing=True)
    head = await storage.instances.head(keys.study_partition(DEFAULT, study))
    assert head.study is not None
    assert head.study.instances == 2
    assert head.study.summary["00081030"]["Value"] == ["new"]
    assert "00080050" not in head.study.summary
    assert "00081090" not in head.series[series].summary
    assert head.series[other].summary["00081090"]["Value"] == ["other"]


async def test_same_bytes(storage: Storage) -> None:
    """D-19: nothing happens: no entry in the feed, no other version, no other file. More of the request is stored."""
    study = generate_uid()
    files = [builders.instance(study, rows=64, columns=64) for _ in range(3)]
    await store_files(storage, files[:2])
    key = keys.study_partition(DEFAULT, study)
    rows = {row.sop_instance: row async for row in storage.instances.every_row(key)}
    before = await extents(storage)
    result = await store_files(storage, files, replacing=True)
    assert [item.failure for item in result.files] == [None] * 3
    assert [change.action for change in await feed(storage, study)] == [CREATE] * 3
    after = {row.sop_instance: row async for row in storage.instances.every_row(key)}
    assert rows.items() <= after.items()
    assert len(await extents(storage)) == len(before) + 1


async def test_same_length(storage: Storage) -> None:
    """D-19: one bit that differs is another file."""
    file = builders.instance(rows=600, columns=600)
    await store_files(storage, [file])
    other = file[:-9] + bytes([file[-9] ^ 1]) + file[-8:]
    await store_files(storage, [other], replacing=True)
    assert list((await content(storage, Uids.of(file).study)).values()) == [other]


async def test_updated_instance_is_not_its_original(storage: Storage) -> None:
    """D-19, D-65: its original, sent again, replaces it: the update does not cover the new version."""
    patient = uuid.uuid4().hex
    file = builders.instance(PatientID=patient)
    uids = Uids.of(file)
    await store_files(storage, [file])
    assert await update(storage, uids.study, "changed") == 1
    assert await content(storage, uids.study) != {uids.instance: file}
    await store_files(storage, [file], replacing=True)
    assert await content(storage, uids.study) == {uids.instance: file}
    assert await content(storage, uids.study, original=True) == {uids.instance: file}
    assert await found(storage, Level.STUDY, PatientID=patient) == 1
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, UPDATE, UPDATE]
    check_history(await feed(storage, uids.study), [uids.instance])


async def test_search_without_filters(storage: Storage) -> None:
    """QIDO-6: the replaced instance is the newest, and there once."""
    study, series = generate_uid(), generate_uid()
    sops = [generate_uid() for _ in range(2)]
    await store_files(storage, [builders.instance(study, series, sop) for sop in sops])
    await store_files(storage, [builders.instance(study, series, sops[0], rows=8)], replacing=True)
    assert await update(storage, study, "changed") == 2
    results = await search(storage, DEFAULT, parse(Query(Level.INSTANCE), [("limit", "2")]), "")
    assert [json.loads(result)["00080018"]["Value"] for result in results] == [[sop] for sop in sops]


async def test_feed_is_in_order_when_the_first_store_is_slow(storage: Storage) -> None:
    """D-51: whoever replaces or deletes what a request has not told of yet tells of it first; the request does not again."""
    files = [builders.instance()]
    uids = Uids.of(files[0])
    key = keys.study_partition(DEFAULT, uids.study)
    request = new_request_id()
    intent = Intent(request, STORE, {key})
    await storage.intents.write(intent)
    await commit_only(storage, key, request, files[0])
    files.append(builders.instance(uids.study, uids.series, uids.instance, rows=8))
    await store_files(storage, files[1:], replacing=True)
    await delete(storage, DEFAULT, uids.study)
    await upkeep.resolve(storage, intent)
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, UPDATE, DELETE]
    check_history(await feed(storage, uids.study), [])


@pytest.mark.parametrize("others", [[], ["post"], ["delete"], ["update"], ["post", "delete", "update"]])
async def test_two_hosts(storage: Storage, other_host: Storage, others: list[str]) -> None:
    """D-19, D-51: each instance ends as one of the requests left it, the feed tells one history, no file is left over."""
    study, series = generate_uid(), generate_uid()
    sops = [generate_uid() for _ in range(2)]
    before = await extents(storage)

    def files(number: int) -> list[bytes]:
        return [builders.instance(study, series, sop, StudyID=str(number)) for sop in sops]

    sent = {0: files(0)}
    await store_files(storage, sent[0])

    async def send(number: int, *, replacing: bool) -> int:
        sent[number] = files(number)
        return len((await store_files((storage, other_host)[number % 2], sent[number], replacing=replacing)).stored)

    async def other(kind: str) -> int:
        match kind:
            case "post":
                return await send(99, replacing=False)
            case "delete":
                await delete(other_host, DEFAULT, study)
            case "update":
                await update(other_host, study, "changed")
        return 0

    puts = [send(number, replacing=True) for number in range(1, 7)]
    stored = await asyncio.gather(*puts, *(other(kind) for kind in others))
    originals = await content(storage, study, original=True)
    possible = {sop: {pair[index] for pair in sent.values()} for index, sop in enumerate(sops)}
    assert all(originals[sop] in possible[sop] for sop in sops)
    assert len(await extents(storage)) == len(before) + 2
    changes = await feed(storage, study)
    check_history(changes, sops)
    versions = Counter(change.version for change in changes if change.action != DELETE)
    stores = [version for version, count in versions.items() if count == 1]  # an update gives both the same
    assert len(stores) == 2 + sum(stored)
    assert await found(storage, Level.INSTANCE, SOPInstanceUID=sops[0]) == 1


async def test_metadata_of_an_instance_that_was_replaced(storage: Storage) -> None:
    """WADO-80: who has its row in hand, and finds that its metadata is gone, begins again."""
    file = builders.instance()
    uids = Uids.of(file)
    await store_files(storage, [file])
    row = await storage.instances.get(keys.study_partition(DEFAULT, uids.study), uids.series, uids.instance)
    assert row is not None
    with pytest.raises(StudyChanged):
        await latest_metadata(storage, replace(row, metadata_blob=keys.blob_name(new_request_id(), 0)), {})


async def test_put_of_nothing_there(storage: Storage) -> None:
    """It is stored as by POST, and the same instance twice in one request is refused as there (STOW-102)."""
    file = builders.instance()
    uids = Uids.of(file)
    again = builders.instance(uids.study, uids.series, uids.instance, rows=8)
    result = await store_files(storage, [file, again], replacing=True)
    assert [item.failure for item in result.files] == [None, 0xB00E]
    assert await content(storage, uids.study) == {uids.instance: file}
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE]
    await delete(storage, DEFAULT, uids.study)
    with pytest.raises(NotFound):
        await delete(storage, DEFAULT, uids.study)


async def test_feed_is_in_order_when_a_store_comes_in_between(storage: Storage) -> None:
    """D-51: whoever tells of others with an older head in hand leaves out what was stored after it."""
    file = builders.instance()
    uids = Uids.of(file)
    key = keys.study_partition(DEFAULT, uids.study)
    await store_files(storage, [file])
    head = await storage.instances.head(key)
    request = new_request_id()
    intent = Intent(request, STORE, {key})
    await storage.intents.write(intent)
    await commit_only(storage, key, request, builders.instance(uids.study, uids.series, uids.instance, rows=8))
    await publish_all(storage, key, head)
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE]
    await upkeep.resolve(storage, intent)
    assert [change.action for change in await feed(storage, uids.study)] == [CREATE, UPDATE]
