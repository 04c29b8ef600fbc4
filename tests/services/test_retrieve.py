"""Studies as a reader sees them while other requests change them (D-24, D-30, WADO-44)."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from shared.services import delete, retrieve
from shared.services.races import StudyChanged, steadily
from shared.storage.instances import Metadata
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.services import counted, store_files


async def read(storage: Storage, resource: retrieve.Resource) -> list[tuple[str, int]]:
    return [(row.series, row.number) async for row in retrieve.rows(storage, resource, metadata=False)]


@pytest.mark.parametrize("at_once", [3, 1000])
async def test_series_by_series(storage: Storage, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """D-24: a large study comes in the same order as a small one, but does not wait for its last row."""
    monkeypatch.setattr(retrieve, "_ROWS_AT_ONCE", at_once)
    study = generate_uid()
    numbers = {"1.2.9": 1, "1.2.3": 2, "1.2.1": 3}
    wanted = [(series, number) for series in numbers for number in (1, 2, 3)]
    await store_files(
        storage,
        [
            builders.instance(study, series, rows=0, SeriesNumber=numbers[series], InstanceNumber=number)
            for series, number in reversed(wanted)
        ],
    )
    found = await retrieve.find(storage, DEFAULT, study)
    assert await read(storage, found) == wanted
    with counted(storage) as spent:
        assert await anext(retrieve.rows(storage, found, metadata=True))
    assert spent.transactions == 1


async def test_batches_of_a_large_series(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-24 in each, so that the first instance of 5,000 does not wait for the row of the last; all are there."""
    monkeypatch.setattr(retrieve, "_ROWS_AT_ONCE", 2)
    study = generate_uid()
    sop = sorted(generate_uid() for _ in range(5))  # in the order of their keys
    numbers = dict(zip(sop, (5, 3, 4, 1, 2), strict=True))
    await store_files(
        storage, [builders.instance(study, "1.2.3", uid, rows=0, InstanceNumber=numbers[uid]) for uid in sop]
    )
    found = await retrieve.find(storage, DEFAULT, study)
    assert [number for _, number in await read(storage, found)] == [3, 5, 1, 4, 2]
    await delete.delete(storage, DEFAULT, study, "1.2.3", sop[4])
    with pytest.raises(StudyChanged):
        await read(storage, found)


@pytest.mark.parametrize("wanted", [False, True, "only"])
@pytest.mark.parametrize("series", [None, "1.2.3"])
async def test_instances_beside_the_head(storage: Storage, wanted: Metadata, series: str | None) -> None:
    """The first byte takes two trips to storage: one for head and instances at a time, one for the first file."""
    study = generate_uid()
    stored = [builders.instance(study, name, rows=0, InstanceNumber=n) for name in ("1.2.3", "1.2.4") for n in (2, 1)]
    await store_files(storage, stored)
    found = await retrieve.find(storage, DEFAULT, study, series, wanted=wanted)
    with counted(storage) as spent:
        rows = [row async for row in retrieve.rows(storage, found, metadata=wanted)]
    assert spent.transactions == 0
    assert [row.number for row in rows] == [1, 2] if series else [1, 2, 1, 2]
    assert all(bool(row.packed_metadata) == bool(wanted) for row in rows)
    described = [row async for row in retrieve.rows(storage, found, metadata=True)]
    assert all(row.packed_metadata and row.blob for row in described)


@pytest.mark.parametrize("base", ["", "study"])
async def test_metadata_of_any_length(storage: Storage, base: str) -> None:
    """WADO-4, D-29: in one property of the row, in as many as it may have, or in a blob."""
    study, noise = generate_uid(), random.Random(1)
    texts = [[base64.b64encode(noise.randbytes(9000)).decode() for _ in range(count)] for count in (1, 75, 120)]
    files = [
        builders.instance(
            study, "1.2.3", rows=0, InstanceNumber=number, EncapsulatedDocument=bytes(2),
            ContentSequence=[builders.item(TextValue=text, ValueType="TEXT") for text in content],
        )
        for number, content in enumerate(texts)
    ]  # fmt: skip
    await store_files(storage, files)
    found = await retrieve.find(storage, DEFAULT, study, wanted=True if base else "only")
    rows = [row async for row in retrieve.rows(storage, found, metadata=True)]
    assert [bool(row.metadata_blob) for row in rows] == [False, False, True]
    assert len(rows[1].packed_metadata) > 11 * 60_000
    read = json.loads(b"".join([chunk async for chunk in retrieve.metadata(storage, found, base)]))
    assert [[item["0040A160"]["Value"][0] for item in each["0040A730"]["Value"]] for each in read] == texts
    assert [("00420011" in each) for each in read] == [bool(base)] * 3


async def test_instances_that_do_not_agree_with_the_head(storage: Storage) -> None:
    """They were read before or behind it, and it is not the same study any more, although their number is the same."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, "1.2.3", rows=0, InstanceNumber=n) for n in (1, 2)])
    before = await retrieve.find(storage, DEFAULT, study, wanted=False)
    last = before.beside[-1]
    await delete.delete(storage, DEFAULT, study, last.series, last.sop_instance)
    await store_files(storage, [builders.instance(study, "1.2.3", rows=0, InstanceNumber=3)])
    now = await retrieve.find(storage, DEFAULT, study, wanted=False)
    wanted = [("1.2.3", 3 - last.number), ("1.2.3", 3)]
    assert await read(storage, replace(now, beside=before.beside)) == wanted
    assert await read(storage, now) == wanted
    with pytest.raises(StudyChanged):
        await read(storage, replace(before, beside=now.beside))


async def test_instance_that_is_gone(storage: Storage) -> None:
    """It is never left out silently: the reader begins anew, or breaks off."""
    study = generate_uid()
    files = [builders.instance(study, rows=0) for _ in range(3)]
    stored = (await store_files(storage, files)).stored
    found = await retrieve.find(storage, DEFAULT, study)
    row = stored[0].row
    assert row
    await delete.delete(storage, DEFAULT, study, row.series, row.sop_instance)
    with pytest.raises(StudyChanged):
        await read(storage, found)

    async def again() -> int:
        return len(await read(storage, await retrieve.find(storage, DEFAULT, study)))

    assert await steadily(again) == 2


async def test_instance_that_is_new(storage: Storage) -> None:
    """It is not in what a reader has begun: its answer is the study of one moment, as its entity tag says."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, "1.2.3", rows=0, InstanceNumber=1)])
    found = await retrieve.find(storage, DEFAULT, study)
    await store_files(storage, [builders.instance(study, "1.2.3", rows=0, InstanceNumber=2)])
    await store_files(storage, [builders.instance(study, "1.2.4", rows=0, InstanceNumber=3)])
    assert await read(storage, found) == [("1.2.3", 1)]
    now = await retrieve.find(storage, DEFAULT, study)
    assert now.etag() != found.etag()
    assert await read(storage, now) == [("1.2.3", 1), ("1.2.3", 2), ("1.2.4", 3)]


async def test_file_that_is_gone(storage: Storage) -> None:
    """WADO-44: the rest of an answer that has begun is not sent, rather than a part in place of the whole."""
    study = generate_uid()
    stored = (await store_files(storage, [builders.instance(study, rows=0) for _ in range(2)])).stored
    found = await retrieve.find(storage, DEFAULT, study)
    rows = retrieve.rows(storage, found, metadata=False)
    for item in stored:
        assert item.row
        await storage.wire.delete_blob(item.row.blob)
    with pytest.raises(StudyChanged):
        async for _ in retrieve.files(storage, found, rows):
            pass
