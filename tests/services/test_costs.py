"""What operations cost in storage transactions and bytes: figures that neither noise nor the emulator blurs."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import uuid
from dataclasses import replace

from pydicom.uid import generate_uid

from shared.services import bulk_data, bulk_update, delete, retrieve
from shared.services.bulk_update import LOCK, StudyUpdate
from shared.services.stored_file import read_file
from shared.storage import keys
from shared.storage.operations import OperationRow
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.services import counted, store_files

CHANGES = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]},
    "00100020": {"vr": "LO", "Value": ["new id"]},
}


async def test_bulk_update_of_500_instances_of_512_kb(storage: Storage) -> None:
    """Under 1 MB written and under 60 transactions in all; every file is untouched and reads as changed."""
    study, series = generate_uid(), generate_uid()
    for start in range(0, 500, 100):
        numbers = range(start, start + 100)
        result = await store_files(
            storage, (builders.instance(study, series, rows=512, columns=1024, InstanceNumber=n) for n in numbers)
        )
        assert len(result.stored) == 100
    operation = uuid.uuid4().hex
    with counted(storage) as spent:
        await storage.operations.create(OperationRow(operation, "update"))
        assert await storage.operations.acquire(LOCK, operation)
        assert await bulk_update.begin(storage, operation)
        updated = await bulk_update.update_study(storage, StudyUpdate(operation, 0, DEFAULT, study, CHANGES))
        await bulk_update.record(storage, operation, 1, 1, study, updated)
        await bulk_update.end(storage, operation)
    assert updated == 500
    assert spent.transactions < 60
    assert spent.bytes_sent < 1_000_000
    found = await retrieve.find(storage, DEFAULT, study)
    original = await retrieve.find(storage, DEFAULT, study, original=True)
    row = await anext(retrieve.rows(storage, found, metadata=False))
    new = b"".join([chunk async for chunk in read_file(storage, row, found.changes(row))])
    old = b"".join([chunk async for chunk in read_file(storage, row, original.changes(row))])
    assert new[-512 * 1024 :] == old[-512 * 1024 :]
    assert b"New^Name" in new
    assert b"New^Name" not in old


async def test_store_into_an_existing_series(storage: Storage) -> None:
    """Besides the blob: the intent, the rows, the UID's lookup, the feed, the end of the intent. The study's head is known
    from the store before.
    """
    study, series = generate_uid(), generate_uid()
    await store_files(storage, [builders.instance(study, series)])
    with counted(storage) as spent:
        await store_files(storage, [builders.instance(study, series)])
    assert spent.transactions == 6


async def test_replacement(storage: Storage) -> None:
    """D-19: besides those of a store, a look at the row, at the work in flight, which may have to be told of first, and at the
    list of extended query tags; the old UID's lookup row and the old file; the outbox, and the head again after it. Of the
    same bytes, both files are read.
    """
    study, series, sop = generate_uid(), generate_uid(), generate_uid()
    files = [builders.instance(study, series, sop, rows=rows) for rows in (4, 8)]
    await store_files(storage, files[:1])
    with counted(storage) as spent:
        await store_files(storage, files[1:], replacing=True)
    assert spent.transactions == 14
    with counted(storage) as spent:
        await store_files(storage, files[1:], replacing=True)
    assert spent.transactions == 8


async def test_deletes_in_a_study_of_1000_instances(storage: Storage) -> None:
    """DEL-1: one instance costs the same in a study of any size. All of them: a lookup row each, and little else."""
    study, series = generate_uid(), generate_uid()
    sops = [generate_uid() for _ in range(1000)]
    await store_files(storage, [builders.instance(study, series, sop, rows=0) for sop in sops])
    with counted(storage) as spent:
        await delete.delete(storage, DEFAULT, study, series, sops[0])
    assert spent.transactions == 15
    with counted(storage) as spent:
        await delete.delete(storage, DEFAULT, study, series, sops[-1])
    assert spent.transactions == 16
    with counted(storage) as spent:
        await delete.delete(storage, DEFAULT, study)
    assert spent.transactions < 998 + 34 + 70


async def test_request_of_ten(storage: Storage) -> None:
    """UIDs that count: the files are one blob, and one transaction or two list the UIDs."""
    study, series = generate_uid(), generate_uid()[:50]
    numbers = iter(range(201, 300))
    await store_files(storage, [builders.instance(study, series, f"{series}.{next(numbers)}")])
    with counted(storage) as spent:
        await store_files(storage, [builders.instance(study, series, f"{series}.{next(numbers)}") for _ in range(10)])
    assert spent.transactions == 6
    with counted(storage) as spent:
        found = await retrieve.find(storage, DEFAULT, study)
        rows = retrieve.rows(storage, found, metadata=False)
        async for _, chunks in retrieve.files(storage, found, rows):
            assert [chunk async for chunk in chunks]
    assert spent.transactions == 4


async def test_hundred_requests_into_a_new_study(storage: Storage) -> None:
    """Those that wait are committed together: what is left for each is its intent, its blob, and its UID's lookup row."""
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, rows=0) for _ in range(100)]
    with counted(storage) as spent:
        results = await asyncio.gather(*(store_files(storage, [file]) for file in files))
    assert all(len(result.stored) == 1 for result in results)
    assert spent.transactions < 6 * 100


async def test_versions_grow(storage: Storage) -> None:
    """STOW-133, STOW-106: from instance to instance, and when one is stored again after it was deleted."""
    study = generate_uid()
    key = keys.study_partition(DEFAULT, study)
    versions = []
    for file in [builders.instance(study, rows=0) for _ in range(3)] * 2:
        await store_files(storage, [file])
        [row] = [row async for row in storage.instances.every_row(key)]
        versions.append(row.version)
        await delete.delete(storage, DEFAULT, study)
    assert versions == sorted(set(versions))


async def test_metadata_of_a_study_is_read_in_pages(storage: Storage) -> None:
    """One query for the head and one for up to 1,000 instances."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, rows=0) for _ in range(30)])
    with counted(storage) as spent:
        found = await retrieve.find(storage, DEFAULT, study)
        assert len([chunk async for chunk in retrieve.metadata(storage, found)]) == 31
    assert spent.transactions == 2


async def test_retrieve_of_an_instance(storage: Storage) -> None:
    """The head of the study and the row side by side, and one read of the blob."""
    study = generate_uid()
    result = await store_files(storage, [builders.instance(study)])
    row = result.files[0].row
    assert row is not None
    with counted(storage) as spent:
        found = await retrieve.find(storage, DEFAULT, study, row.series, row.sop_instance)
        assert found.row
        assert b"".join([chunk async for chunk in read_file(storage, found.row, found.changes(found.row))])
    assert spent.transactions == 3


async def test_metadata_that_is_too_long_for_a_row(storage: Storage) -> None:
    """It goes into a blob of its own, and the index of bulk data with it (D-29)."""
    noise = random.Random(1)
    texts = [base64.b64encode(noise.randbytes(9000)).decode() for _ in range(120)]
    content = [builders.item(TextValue=text, ValueType="TEXT") for text in texts]
    private = [(0x00091001, "OB", b"ab"), (0x00091002, "OB", b"cdef")]
    result = await store_files(storage, [builders.instance(rows=0, ContentSequence=content, elements=private)])
    study, row = result.files[0].study, result.files[0].row
    assert row is not None
    assert row.metadata_blob
    assert not replace(row, packed_metadata=b"", bulk_data=bytes(720_000)).fits()
    found = await retrieve.find(storage, DEFAULT, study, row.series, row.sop_instance)
    assert found.row is not None
    assert found.row.bulk_data == b""
    [item] = json.loads(b"".join([chunk async for chunk in retrieve.metadata(storage, found)]))
    assert [entry["0040A160"]["Value"] for entry in item["0040A730"]["Value"]] == [[text] for text in texts]
    assert "00091002" not in item
    [item] = json.loads(b"".join([chunk async for chunk in retrieve.metadata(storage, found, "study")]))
    base = f"study/series/{row.series}/instances/{row.sop_instance}/bulkdata"
    assert item["00091002"] == {"vr": "OB", "BulkDataURI": f"{base}/00091002"}
    _, value = await bulk_data.find_value(storage, found.row, "00091002")
    assert [chunk async for chunk in bulk_data.read_value(storage, found.row, value, 1, 2)] == [b"de"]


async def test_bulk_value(storage: Storage) -> None:
    """The head of the study and the row side by side, and one read of just the bytes."""
    pixels = builders.frame_pixels(1, 1000 * 1000)
    result = await store_files(storage, [builders.instance(rows=1000, columns=1000)])
    row = result.files[0].row
    assert row is not None
    with counted(storage) as spent:
        found = await retrieve.find(storage, DEFAULT, result.files[0].study, row.series, row.sop_instance)
        assert found.row is not None
        _, value = await bulk_data.find_value(storage, found.row, "7FE00010")
        chunks = [chunk async for chunk in bulk_data.read_value(storage, found.row, value, 500_000, 1000)]
    assert b"".join(chunks) == pixels[500_000:501_000]
    assert spent.transactions == 3
    assert spent.bytes_received < 10_000
