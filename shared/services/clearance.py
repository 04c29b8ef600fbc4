"""Clears away what is left of deleted studies and series: rows, lookup rows, files, change feed entries to be appended.

No reader sees any of it: it lies at or below the floor of its study or series (DEL-15). A store may put an instance into the
place of one that was deleted at any time: every removal is on the condition that the row is still the deleted one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from shared.dicom.searchable import ExtendedAttribute
from shared.services.publish import deleted
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.settle import empty, settle
from shared.services.tag_index import instance_attributes, instance_lookups
from shared.storage.change_feed import ENTRIES_PER_TRANSACTION
from shared.storage.instance_row import InstanceRow
from shared.storage.lookups import instance_key, rows_of
from shared.storage.storage import Storage
from shared.storage.study_head import Outbox, StudyHead
from shared.storage.wire import Entity, Operation, TransactionFailed

_MOST_OPERATIONS = 100
_WEIGHT_AT_ONCE = 16 << 20


async def clear(storage: Storage, key: str, request: str, series: str | None, *, most: int | None = None) -> bool:
    """Clears the study, or only `series` if the study still exists. False: there is more than the `most` that were done."""
    attributes = await instance_attributes(storage)
    first = head = await storage.instances.head(key)
    only = series if head.exists else None
    done = 0
    rows = storage.instances.every_row(key, only, metadata=bool(attributes))
    async for batch in _batches(row async for row in rows if not first.holds(row)):
        if most and done >= most:
            return False
        head = await _remove(storage, key, head, request, batch, attributes)
        done += len(batch)
    await _remove_head(storage, key, first, only)
    return True


async def _batches(rows: AsyncIterator[InstanceRow]) -> AsyncIterator[list[InstanceRow]]:
    """The rows, cut so that each part fits into one transaction. Those of a bundle are together, so that it goes as a whole,
    unless they are far from each other.
    """
    near: list[InstanceRow] = []
    weight = 0
    async for row in rows:
        near.append(row)
        weight += row.weight
        if weight > _WEIGHT_AT_ONCE:
            for batch in _by_bundles(near):
                yield batch
            near, weight = [], 0
    for batch in _by_bundles(near):
        yield batch


def _by_bundles(rows: Iterable[InstanceRow]) -> Iterator[list[InstanceRow]]:
    batch: list[InstanceRow] = []
    for _, of_a_blob in groupby(sorted(rows, key=lambda row: row.blob), key=lambda row: row.blob):
        members = list(of_a_blob)
        if len(batch) + len(members) > ENTRIES_PER_TRANSACTION:
            yield batch
            batch = []
        batch += members
    if batch:
        yield batch


async def _remove(
    storage: Storage,
    key: str,
    head: StudyHead,
    request: str,
    rows: Sequence[InstanceRow],
    attributes: Sequence[ExtendedAttribute],
) -> StudyHead:
    """Removes rows of deleted instances and all that belongs to them; returns the head of the study after it.

    The study row is written too: so no store can come in between that does not know what is to be told of before it.
    """
    async with storage.instances.lock(key):
        for attempt in ATTEMPTS:
            study = head.study
            if not rows or study is None:
                return head
            outbox = await _outbox(storage, key, head, f"{request}-{rows[0].version}", rows, attributes)
            operations = [Operation("update", study.entity(key)), Operation("insert", outbox.entity(key))]
            operations += [Operation("delete", Entity(key, row.row_key, {}, row.etag)) for row in rows]
            try:
                etags = await storage.instances.commit(operations)
            except TransactionFailed as error:
                await lost(error, attempt)
                head = await storage.instances.head(key)
                there = await storage.instances.present(key, [row.row_key for row in rows])
                same = {found.etag for found in there.values() if not head.holds(found)}
                rows = [row for row in rows if row.etag in same]
                continue
            await storage.lookups.remove(outbox.lookups)
            await empty(storage, key, outbox)
            return replace(head, study=replace(study, etag=etags[0]))
    raise contended()


async def _outbox(
    storage: Storage,
    key: str,
    head: StudyHead,
    name: str,
    rows: Sequence[InstanceRow],
    attributes: Sequence[ExtendedAttribute],
) -> Outbox:
    lookups = {instance_key(key, row) for row in rows}
    lookups |= await instance_lookups(storage, key, head, rows, attributes)
    changes = [deleted(key, head, row) for row in rows]
    return Outbox(name, sorted(lookups), name, changes, [extent for row in rows for extent in row.extents])


async def _remove_head(storage: Storage, key: str, first: StudyHead, only: str | None) -> None:
    """Removes the rows of deleted series; with the last instance the change sets, which hold patients' data, and the study.

    `first` is the head from before the instances were cleared away.
    """
    for attempt in ATTEMPTS:
        head = await storage.instances.head(key)
        if head.outbox:
            await settle(storage, key, head, rows_of(key, head))
            head = await storage.instances.head(key)
        while operations := _rest(key, first, head, only):
            try:
                await storage.instances.commit(operations[:_MOST_OPERATIONS])
            except TransactionFailed as error:
                await lost(error, attempt)
                break
            head = await storage.instances.head(key)
        else:
            return
    raise contended()


def _rest(key: str, first: StudyHead, head: StudyHead, only: str | None) -> list[Operation]:
    """What of the head is of no more use, the study row last.

    Not what another delete has come to since: its instances may still have rows.
    """
    series = [
        row for row in first.removed.values() if only in (None, row.series) and head.removed.get(row.series) == row
    ]
    operations = [Operation("delete", row.entity(key)) for row in series]
    if only or not head.study or not first.study or head.study.floor != first.study.floor:
        return operations
    operations += [Operation("delete", row.entity(key)) for row in head.change_sets if row.cover <= head.study.floor]
    if head.exists or head.fences or head.outbox or len(series) < len(head.removed):
        return operations
    return [*operations, Operation("delete", head.study.entity(key))]
