"""Short files of a study that come in one request are stored as a bundle, and deleted from it one by one (DEL-13, DEL-16)."""

from __future__ import annotations

import asyncio

import pytest
from pydicom.uid import generate_uid

from shared.services import retrieve
from shared.services.bulk_update import StudyUpdate, update_study
from shared.services.delete import delete
from shared.services.files import remove_files
from shared.services.races import StudyChanged
from shared.services.stored_file import read_file, read_run
from shared.storage import bundles, keys
from shared.storage.bundles import MOST_FILES
from shared.storage.instance_row import InstanceRow
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import content, counted, store_files
from tests.support.storage_proxy import Exchange, StorageProxy

NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}


def series_of(count: int, study: str | None = None, **attributes: object) -> dict[str, bytes]:
    """Files of one series by SOPInstanceUID, in the order of D-24."""
    study, series = study or generate_uid(), generate_uid()
    files = (builders.instance(study, series, InstanceNumber=number, **attributes) for number in range(count))
    return {Uids.of(file).instance: file for file in files}


async def stored(storage: Storage, files: dict[str, bytes]) -> dict[str, InstanceRow]:
    """Stores files of one study together, and reads their rows."""
    assert len((await store_files(storage, files.values())).stored) == len(files)
    return await rows_of(storage, Uids.of(next(iter(files.values()))).study)


async def rows_of(storage: Storage, study: str) -> dict[str, InstanceRow]:
    rows = storage.instances.every_row(keys.study_partition(DEFAULT, study))
    return {row.sop_instance: row async for row in rows}


async def retrieved(storage: Storage, study: str) -> dict[str, bytes]:
    """The files of a study, as they are sent."""
    found = await retrieve.find(storage, DEFAULT, study)
    rows = retrieve.rows(storage, found, metadata=False)
    files = retrieve.files(storage, found, rows)
    return {row.sop_instance: b"".join([chunk async for chunk in chunks]) async for row, chunks in files}


async def test_files_of_a_request_are_a_bundle(storage: Storage) -> None:
    """In whatever order they come, they are read in that of D-24, with one request."""
    files = series_of(10)
    rows = await stored(storage, dict(reversed(files.items())))
    assert len({row.blob for row in rows.values()}) == 1
    assert sorted(rows, key=lambda sop: rows[sop].offset) == list(files)
    study = Uids.of(files[next(iter(files))]).study
    with counted(storage) as spent:
        assert await retrieved(storage, study) == files
    assert spent.transactions == 3
    with counted(storage) as spent:
        await delete(storage, DEFAULT, study)
    assert spent.transactions < 60
    assert not [name async for name in storage.wire.list_blobs(rows[next(iter(files))].blob)]


async def test_what_does_not_go_together(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another study, more files than their names have room for, more bytes than a bundle may have."""
    one, other = series_of(MOST_FILES + 2, rows=0), series_of(3, rows=0)
    mixed = list(one.items())
    mixed[2:2] = other.items()
    assert len((await store_files(storage, dict(mixed).values())).stored) == len(mixed)
    studies = [Uids.of(next(iter(files.values()))).study for files in (one, other)]
    blobs = [{row.blob for row in (await rows_of(storage, study)).values()} for study in studies]
    assert [len(each) for each in blobs] == [2, 1]
    assert not blobs[0] & blobs[1]
    for study, files in zip(studies, (one, other), strict=True):
        assert await retrieved(storage, study) == files
    large = series_of(3, rows=1600, columns=2000)
    assert len({row.blob for row in (await stored(storage, large)).values()}) == 2
    assert await retrieved(storage, Uids.of(next(iter(large.values()))).study) == large


async def test_updated_files_of_a_bundle(storage: Storage) -> None:
    """UPD-50: the latest versions are sent from one range as well; the originals are as they were."""
    files = series_of(5, PatientName="Old^Name")
    await stored(storage, files)
    study = Uids.of(next(iter(files.values()))).study
    await update_study(storage, StudyUpdate(generate_uid(), 0, DEFAULT, study, NAME))
    with counted(storage) as spent:
        latest = await retrieved(storage, study)
    assert spent.transactions == 3
    assert list(latest) == list(files)
    assert all(b"New^Name" in file and b"Old^Name" not in file for file in latest.values())
    assert latest == await content(storage, study)
    assert await content(storage, study, original=True) == files


async def test_deletes_from_a_bundle(storage: Storage) -> None:
    """What is deleted is overwritten and named no more; the others stay where they are; the last takes the blob with it."""
    files = series_of(4, PatientName="Delete^Me")
    rows = await stored(storage, files)
    uids = Uids.of(next(iter(files.values())))
    blob = rows[uids.instance].blob
    left = dict(files)
    for sop in [*files][1:]:
        await delete(storage, DEFAULT, uids.study, uids.series, sop)
        del left[sop]
        assert await retrieved(storage, uids.study) == left
        bundle = await storage.wire.get_bundle(blob)
        assert bundle
        assert bundle.data.count(b"Delete^Me") == len(left)
        assert sop.encode() not in bundle.data
        assert sop not in bundle.metadata["files"]
        assert set(bundle.data[rows[sop].offset :][: rows[sop].length]) == {0}
        assert await rows_of(storage, uids.study) == {sop: rows[sop] for sop in left}
    await delete(storage, DEFAULT, uids.study, uids.series, uids.instance)
    assert await storage.wire.get_bundle(blob) is None


async def test_a_series_is_deleted_from_bundles(storage: Storage) -> None:
    study = generate_uid()
    stays, goes = series_of(20, study, rows=0), series_of(20, study, rows=0)
    rows = await stored(storage, dict(pair for both in zip(stays.items(), goes.items(), strict=True) for pair in both))
    await delete(storage, DEFAULT, study, rows[next(iter(goes))].series)
    assert await retrieved(storage, study) == stays
    for blob in {row.blob for row in rows.values()}:
        bundle = await storage.wire.get_bundle(blob)
        assert bundle
        assert not [sop for sop in goes if sop.encode() in bundle.data]


async def test_no_reader_takes_the_zeros_for_a_file(storage: Storage) -> None:
    """DEL-15: whoever has found an instance just before it was deleted reads nothing, alone or with its neighbours."""
    rows = await stored(storage, series_of(3))
    before, gone, after = sorted(rows.values(), key=lambda row: row.offset)
    await remove_files(storage.wire, gone.extents)
    with pytest.raises(StudyChanged):
        [chunk async for chunk in read_file(storage, gone, {})]
    with pytest.raises(StudyChanged):
        [chunk async for chunk in read_run(storage, [before, gone, after])]
    for row in (before, after):
        assert len(b"".join([chunk async for chunk in read_file(storage, row, {})])) == row.length


async def test_a_read_goes_on_in_a_bundle_that_was_written_again(
    storage: Storage, behind: Storage, proxy: StorageProxy
) -> None:
    files = series_of(3, rows=900, columns=900)
    rows = await stored(storage, files)
    first, second, third = sorted(rows.values(), key=lambda row: row.offset)
    for gone, is_read in ((third, True), (first, True), (second, False)):
        proxy.reset()
        proxy.break_body(1, 300_000)

        async def remove(_: Exchange, gone: InstanceRow = gone) -> None:
            await remove_files(storage.wire, gone.extents)

        proxy.before(2, remove)
        if is_read:
            assert b"".join([c async for c in read_file(behind, second, {})]) == files[second.sop_instance]
        else:
            with pytest.raises(StudyChanged):
                [c async for c in read_file(behind, second, {})]
        assert len(proxy.log) == 2


async def test_many_delete_from_a_bundle_at_once(storage: Storage, other_host: Storage) -> None:
    """DEL-1: each leaves what the others have left."""
    files = series_of(12)
    rows = await stored(storage, files)
    uids = Uids.of(next(iter(files.values())))
    gone = [*files][1:]
    await asyncio.gather(
        *(
            delete((storage, other_host)[number % 2], DEFAULT, uids.study, uids.series, sop)
            for number, sop in enumerate(gone)
        )
    )
    assert await retrieved(storage, uids.study) == {uids.instance: files[uids.instance]}
    bundle = await storage.wire.get_bundle(rows[uids.instance].blob)
    assert bundle
    [file] = bundles.unpack_files(bundle.metadata["files"])
    assert file == (0, rows[uids.instance].length, uids.series, uids.instance)
    assert not any(bundle.data[file.length :])


@pytest.mark.parametrize("lost", [1, 2])
async def test_an_answer_gets_lost(storage: Storage, behind: Storage, proxy: StorageProxy, lost: int) -> None:
    """When a bundle is read, or written again."""
    rows = await stored(storage, series_of(2))
    stays, goes = rows.values()
    proxy.reset()
    proxy.lose_answer(lost)
    await remove_files(behind.wire, goes.extents)
    await remove_files(behind.wire, goes.extents)
    bundle = await storage.wire.get_bundle(stays.blob)
    assert bundle
    assert [file.sop_instance for file in bundles.unpack_files(bundle.metadata["files"])] == [stays.sop_instance]
    assert set(bundle.data[goes.offset : goes.offset + goes.length]) == {0}


async def test_instances_that_exist_leave_nothing_in_a_bundle(storage: Storage) -> None:
    """STOW-100, DEL-16: of a request that brings them again, and others, only the others are kept."""
    files = series_of(6)
    sops = [*files]
    first = await stored(storage, {sop: files[sop] for sop in sops[:4]})
    result = await store_files(storage, list(files.values())[2:])
    assert [item.failure is None for item in result.files] == [False, False, True, True]
    rows = await rows_of(storage, result.files[0].study)
    assert rows == first | {sop: rows[sop] for sop in sops[4:]}
    bundle = await storage.wire.get_bundle(rows[sops[4]].blob)
    assert bundle
    assert [file.sop_instance for file in bundles.unpack_files(bundle.metadata["files"])] == sops[4:]
    with counted(storage) as spent:
        await store_files(storage, list(files.values()))
    assert spent.transactions < 10
    assert await retrieved(storage, result.files[0].study) == files


async def test_replaced_files_leave_a_bundle(storage: Storage) -> None:
    """D-19, DEL-10."""
    study = generate_uid()
    files = series_of(3, study)
    rows = await stored(storage, files)
    sop = [*files][1]
    files[sop] = builders.instance(study, rows[sop].series, sop, rows=8, InstanceNumber=1)
    await store_files(storage, [files[sop]], replacing=True)
    assert await retrieved(storage, study) == files
    bundle = await storage.wire.get_bundle(rows[sop].blob)
    assert bundle
    assert sop not in bundle.metadata["files"]
