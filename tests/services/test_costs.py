"""What operations cost in storage transactions and bytes: figures that neither noise nor the emulator blurs."""

from __future__ import annotations

import base64
import json
import random
import uuid

from pydicom.uid import generate_uid

from shared.services import bulk_update, retrieve
from shared.services.bulk_update import LOCK, StudyUpdate
from shared.services.stored_file import read_file
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
    """Besides the blob: the intent, the study's head, the rows, the UID's lookup, the feed, the end of the intent."""
    study, series = generate_uid(), generate_uid()
    await store_files(storage, [builders.instance(study, series)])
    with counted(storage) as spent:
        await store_files(storage, [builders.instance(study, series)])
    assert spent.transactions == 7


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
    """It goes into a blob of its own."""
    noise = random.Random(1)
    texts = [base64.b64encode(noise.randbytes(9000)).decode() for _ in range(120)]
    content = [builders.item(TextValue=text, ValueType="TEXT") for text in texts]
    result = await store_files(storage, [builders.instance(rows=0, ContentSequence=content)])
    row = result.files[0].row
    assert row is not None
    assert row.metadata_blob
    found = await retrieve.find(storage, DEFAULT, result.files[0].study)
    [item] = json.loads(b"".join([chunk async for chunk in retrieve.metadata(storage, found)]))
    assert [entry["0040A160"]["Value"] for entry in item["0040A730"]["Value"]] == [[text] for text in texts]
