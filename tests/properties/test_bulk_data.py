"""Bulk data of generated data sets in every encoding, through the services (D-29). The oracle is pydicom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from shared.dicom.bulk_data import insert_uris, locate, pack, unpack
from shared.services import bulk_data
from shared.services.metadata import latest_metadata
from shared.storage.storage import Storage
from tests import builders
from tests.bulk_data import expected, uris
from tests.datasets import datasets
from tests.patching import metadata, scan
from tests.properties.test_head import damaged_files, outcome
from tests.support.services import store_files

BASE = "http://host/v2/bulkdata/"


def nest(draw: st.DrawFn, content: Dataset, depth: int) -> None:
    """Adds a sequence, with sequences in its items, so that values are found at every depth."""
    items = draw(st.lists(datasets(depth=0), min_size=1, max_size=2))
    for item in items:
        item.is_undefined_length_sequence_item = draw(st.booleans())
        if depth:
            nest(draw, item, depth - 1)
    content.add_new(0x00089092, "SQ", items)  # ReferencedImageEvidenceSequence
    content[0x00089092].is_undefined_length = draw(st.booleans())


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Files that can be stored."""
    transfer_syntax = draw(st.sampled_from((*builders.UNCOMPRESSED, builders.RLE)))
    content: Dataset = draw(datasets())
    nest(draw, content, draw(st.integers(0, 1)))
    content.update(builders.dataset())
    if draw(st.booleans()):
        builders.add_pixels(content, 4, 3, draw(st.integers(1, 3)), transfer_syntax)
    return builders.part10(content, transfer_syntax)


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@given(files(), st.integers(0, 30), st.integers(0, 30))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # the storage may be shared
)
async def test_every_value_is_what_pydicom_reads(storage: Storage, file: bytes, offset: int, length: int) -> None:
    """Every value that metadata leaves out has a URI at its place, which leads to it and to any part of it."""
    [received] = (await store_files(storage, [file])).files
    assert received.failure is None
    assert received.row is not None
    key = f"{'Microsoft.Default'}|{received.study}"
    _, row = await storage.instances.find(key, received.row.series, received.row.sop_instance)
    assert row is not None
    wanted = expected(file)
    found = uris(json.loads(await latest_metadata(storage, row, {}, BASE)))
    assert found == {path: BASE + path if value else None for path, value in wanted.items()}
    for path in (path for path, uri in found.items() if uri):
        _, value = await bulk_data.find_value(storage, row, path)
        if isinstance(frames := wanted[path], list):
            assert await joined(bulk_data.read_fragments(storage, row, value)) == b"".join(frames)
            continue
        content = wanted[path]
        assert isinstance(content, bytes)
        assert value.length == len(content)
        assert await joined(bulk_data.read_value(storage, row, value, 0, value.length)) == content
        part = content[offset : offset + length]
        first = min(offset, len(content))
        assert await joined(bulk_data.read_value(storage, row, value, first, len(part))) == part


@given(damaged_files())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_understood_can_be_referred_to(file: bytes) -> None:
    content = outcome(file, [len(file)])
    if content is None:
        return
    values = list(locate(content.dataset, is_big_endian=not content.is_little_endian))
    assert list(unpack(pack(values))) == values
    found = uris(json.loads(insert_uris(metadata(content), values, BASE)))
    assert {uri for uri in found.values() if uri} == {BASE + path for path, uri in found.items() if uri}
    assert len(found) == len(values)


@given(files())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_else_changes(file: bytes) -> None:
    """WADO-82: without the URIs, metadata is what it is when nobody asks for them."""
    scanned = scan(file)
    plain = json.loads(metadata(scanned))
    values = locate(scanned.dataset, is_big_endian=not scanned.is_little_endian)
    assert without_bulk(json.loads(insert_uris(metadata(scanned), values, BASE))) == plain


def without_bulk(dataset: dict) -> dict:  # type: ignore[type-arg]
    return {
        key: element | {"Value": [without_bulk(item) for item in element["Value"]]}
        if element["vr"] == "SQ" and "Value" in element
        else element
        for key, element in dataset.items()
        if element["vr"] not in {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
    }
