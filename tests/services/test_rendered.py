"""Rendering in the test's own process: what it costs, what it refuses, what it does when an instance goes."""

from __future__ import annotations

import pytest
from pydicom.uid import generate_uid

from shared.errors import NotAcceptable
from shared.services import rendered, retrieve
from shared.services.frames import frame_index
from shared.services.races import StudyChanged
from shared.services.rendered import rendered_frame, representative
from shared.services.retrieve import Resource
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.services import counted, store_files

SMALL = rendered.Rendition(75)


async def found(storage: Storage, file: bytes) -> Resource:
    await store_files(storage, [file])
    uids = Uids.of(file)
    return await retrieve.find(storage, DEFAULT, uids.study, uids.series, uids.instance)


async def test_costs_of_a_frame(storage: Storage) -> None:
    """One frame of many: the study's head, the instance's row, the start of the file and the frame; no more bytes."""
    file = builders.instance(rows=100, columns=100, frames=50)
    uids = Uids.of(file)
    await store_files(storage, [file])
    with counted(storage) as spent:
        resource = await retrieve.find(storage, DEFAULT, uids.study, uids.series, uids.instance)
        row = await representative(storage, resource)
        index = frame_index(row)
        assert await rendered_frame(storage, row, index, 30, SMALL, "image/jpeg")
    assert spent.transactions == 4
    assert spent.bytes_received < 30_000


async def test_costs_of_a_series(storage: Storage) -> None:
    """The representative instance is found by one query and read once more with its frames."""
    study, series = generate_uid(), generate_uid()
    await store_files(storage, (builders.instance(study, series, InstanceNumber=n) for n in range(1, 31)))
    with counted(storage) as spent:
        row = await representative(storage, await retrieve.find(storage, DEFAULT, study, series))
    assert row.number == 16
    assert row.frames
    assert spent.transactions == 4


async def test_large_instances(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """WADO-74, D-25: of a large file, what is before the pixels and one frame must be of bearable size, not the whole."""
    resource = await found(storage, builders.instance(rows=40, columns=40, frames=10))
    assert resource.row
    index = frame_index(resource.row)
    monkeypatch.setattr(rendered, "MAX_BYTES", 2000)
    assert resource.row.length > rendered.MAX_BYTES
    assert await rendered_frame(storage, resource.row, index, 10, SMALL, "image/jpeg")
    for limit in (1599, 500):
        monkeypatch.setattr(rendered, "MAX_BYTES", limit)
        with pytest.raises(NotAcceptable, match="too large"):
            await rendered_frame(storage, resource.row, index, 10, SMALL, "image/jpeg")


async def test_instance_that_goes(storage: Storage) -> None:
    """A reader whose file is deleted under his hands looks again."""
    resource = await found(storage, builders.instance())
    assert resource.row
    index = frame_index(resource.row)
    await storage.wire.delete_blob(resource.row.blob)
    with pytest.raises(StudyChanged):
        await rendered_frame(storage, resource.row, index, 1, SMALL, "image/jpeg")
