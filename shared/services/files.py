"""The files of instances in storage: writes what a request has received, and removes what nothing refers to any more."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.services.races import ATTEMPTS, contended
from shared.services.receive import Received
from shared.storage.bundles import BUNDLE_BYTES, FILES, MOST_FILES, BundledFile, Extent, pack_files, unpack_files
from shared.storage.wire import Wire

_REMOVED_AT_ONCE = 16


def fits_together(items: Sequence[Received], another: Received) -> bool:
    """Whether another short file of a request has room in a bundle with these, which have been found to fit."""
    length = sum(len(item.data or b"") for item in (*items, another))
    return len(items) < MOST_FILES and length <= BUNDLE_BYTES and {another.study}.issuperset(i.study for i in items)


async def write_files(wire: Wire, items: Sequence[Received]) -> None:
    """Completes files in storage, several of them as a bundle. Nothing refers to them until their rows, which then say where
    they are, are committed.
    """
    await asyncio.gather(*(_write_sidecar(wire, item) for item in items))
    if len(items) > 1:
        await _write_bundle(wire, items)
        return
    [item] = items
    assert item.row is not None
    if item.data is not None:
        await wire.put_blob(item.row.blob, item.data, _names(item))
        item.data = None
    else:
        await wire.put_block_list(item.row.blob, item.blocks, _names(item))


async def _write_sidecar(wire: Wire, item: Received) -> None:
    row = item.row
    assert row is not None
    if row.metadata_blob:
        await wire.put_blob(row.metadata_blob, row.packed_metadata + row.bulk_data + item.frame_pages, _names(item))
        item.frame_pages = b""


async def _write_bundle(wire: Wire, items: Sequence[Received]) -> None:
    """In the order of D-24 within each series, so that what is read together is one range."""
    rows = [item.row for item in items if item.row]
    blob = rows[0].blob
    in_order = sorted(zip(rows, items, strict=True), key=lambda pair: (pair[0].series, pair[0].number, pair[0].row_key))
    data = b"".join([item.data or b"" for _, item in in_order])
    files: list[BundledFile] = []
    offset = 0
    for row, item in in_order:
        files.append(BundledFile(offset, row.length, row.series, row.sop_instance))
        item.row = replace(row, blob=blob, offset=offset, files=len(rows))
        item.data = None
        offset += row.length
    await wire.put_blob(blob, data, {"study": items[0].study, FILES: pack_files(files)})


def _names(item: Received) -> dict[str, str]:
    assert item.row is not None
    return {"study": item.study, "series": item.row.series, "instance": item.row.sop_instance}


async def remove_files(wire: Wire, extents: Iterable[Extent]) -> None:
    """Removes files; those that are gone already are fine. Of a bundle that has others, too, they are overwritten.

    Raises Unavailable when too many remove files from a bundle at the same time.
    """
    by_blob: defaultdict[str, set[Extent]] = defaultdict(set)
    for extent in extents:
        by_blob[extent.blob].add(extent)
    gate = asyncio.Semaphore(_REMOVED_AT_ONCE)

    async def remove(blob: str, gone: set[Extent]) -> None:
        if len(gone) == next(iter(gone)).files:
            async with gate:
                await wire.delete_blob(blob)
        else:
            async with wire.rewrite_slots:
                await _remove_from_bundle(wire, blob, gone)

    await asyncio.gather(*(remove(blob, gone) for blob, gone in by_blob.items()))


async def _remove_from_bundle(wire: Wire, blob: str, gone: Iterable[Extent]) -> None:
    offsets = {extent.offset for extent in gone}
    for _ in ATTEMPTS:
        bundle = await wire.get_bundle(blob)
        if bundle is None:
            return
        files = unpack_files(bundle.metadata[FILES])
        left = [file for file in files if file.offset not in offsets]
        if not left:  # and nobody can add any
            await wire.delete_blob(blob)
            return
        if len(left) == len(files):
            return
        data = bytearray(bundle.data)
        for extent in gone:
            data[extent.offset : extent.offset + extent.length] = bytes(extent.length)
        if await wire.replace_bundle(blob, bytes(data), {**bundle.metadata, FILES: pack_files(left)}, bundle.etag):
            return
    raise contended()
