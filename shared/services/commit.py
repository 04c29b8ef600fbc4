"""Makes received instances visible: the entity group transaction that adds them to their study (STOW-133, QIDO-110)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.errors import Unavailable
from shared.services.head_changes import head_operations, with_added
from shared.services.publish import deleted, feed_writer, publish_all
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.receive import Received
from shared.services.stored_file import same_content
from shared.services.tag_index import instance_attributes, instance_lookups, without_gone
from shared.storage.instance_row import InstanceRow
from shared.storage.instances import BYTES_PER_TRANSACTION, ROWS_PER_TRANSACTION
from shared.storage.lookups import LookupKey, instance_key, rows_of
from shared.storage.storage import Storage
from shared.storage.study_head import Outbox, StudyHead
from shared.storage.wire import Operation, TransactionFailed

_COMPARED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Committed:
    """The head of the study after the commit, the lookup rows from before it, and what became of the instances.

    `duplicates` were refused; what was received as `unchanged` is there already, or has given way to others since.
    """

    head: StudyHead
    before: dict[LookupKey, str]
    stored: list[InstanceRow]
    duplicates: list[Received]
    unchanged: list[Received]


def batches(received: Sequence[Received]) -> list[list[Received]]:
    """The instances of one study, cut so that each part fits into one transaction."""
    parts: list[list[Received]] = [[]]
    size = 0
    series: set[str] = set()
    for item in received:
        row = _row(item)
        rows = len(parts[-1]) + 1 + len(series | {row.series})
        if parts[-1] and (rows > ROWS_PER_TRANSACTION or size + row.weight > BYTES_PER_TRANSACTION):
            parts.append([])
            size = 0
            series.clear()
        parts[-1].append(item)
        size += row.weight
        series.add(row.series)
    return parts


async def commit(
    storage: Storage, key: str, request: str, batch: int, received: Sequence[Received], *, replacing: bool
) -> Committed:
    """Adds instances to the study `key`; `batch` tells apart the commits of a request. Those that exist already are left
    out, or with `replacing` give way to what was received (D-19).

    Every attempt begins with what the study's rows say and ends in one conditional write. Raises Unavailable when other
    writers win too often, or when upkeep has given this request up for dead.
    """
    pending = list(received)
    duplicates: list[Received] = []
    there = await _there(storage, key, pending) if replacing else {}
    equal = await _equal(storage, pending, there)
    for attempt in ATTEMPTS:
        head = await storage.instances.head(key)
        if request in head.fences:
            raise Unavailable("The request took too long and was given up.")
        held = {row_key: row for row_key, row in there.items() if head.holds(row)}
        if not replacing:
            duplicates += [item for item in pending if _row(item).row_key in held]
            pending = [item for item in pending if _row(item).row_key not in held]
        # One that a bulk update has changed equals no file.
        same = {row_key for row_key in equal & set(held) if not head.changes_to(held[row_key].version)}
        unchanged = [item for item in pending if _row(item).row_key in same]
        new = [item for item in pending if _row(item).row_key not in same]
        before = rows_of(key, head)
        if not new:
            return Committed(head, before, [], duplicates, unchanged)
        replaced = [there[_row(item).row_key] for item in new if _row(item).row_key in there]
        after, rows = with_added(head, new, replaced, batch)
        if any(row.replaces for row in rows):
            await publish_all(storage, key, head, request)
            after = await without_gone(storage, key, after, {row.version for row in replaced})
        stale = {*before, *await _lookups(storage, key, head, replaced)} - set(rows_of(key, after))
        if stale:
            after.outbox.append(_outbox(key, head, feed_writer(request, batch), stale, replaced))
        try:
            etags = await storage.instances.commit(_operations(key, head, after, rows))
        except TransactionFailed as error:
            await lost(error, attempt)
            there = await _there(storage, key, pending)
            if await _committed(storage, request, batch, there.values()):
                return await _again(storage, key, request, pending, duplicates, there)
            if replacing:
                equal = await _equal(storage, pending, there)
            continue
        assert after.study is not None
        after.study = replace(after.study, etag=etags[0])
        return Committed(after, before, rows, duplicates, unchanged)
    raise contended()


def _operations(key: str, head: StudyHead, after: StudyHead, rows: Iterable[InstanceRow]) -> list[Operation]:
    added = [Operation("update" if row.etag else "insert", row.entity(key)) for row in rows]
    return head_operations(key, head, after) + added


async def _there(storage: Storage, key: str, received: Sequence[Received]) -> dict[str, InstanceRow]:
    """The rows in whose places the instances would come. Read before the head, the condition of the commit, to lose fewer
    races.
    """
    return await storage.instances.present(key, [_row(item).row_key for item in received])


async def _lookups(storage: Storage, key: str, head: StudyHead, rows: Sequence[InstanceRow]) -> set[LookupKey]:
    """The lookup rows of instances that give way to others, those in the tables of tags included."""
    found = {instance_key(key, row) for row in rows}
    attributes = await instance_attributes(storage) if rows else []
    if attributes:
        whole = await asyncio.gather(*(storage.instances.get(key, row.series, row.sop_instance) for row in rows))
        found |= await instance_lookups(storage, key, head, [row for row in whole if row], attributes)
    return found


def _outbox(
    key: str, head: StudyHead, writer: str, stale: Iterable[LookupKey], replaced: Sequence[InstanceRow]
) -> Outbox:
    """What is left to do for the rows that were replaced: those of deleted instances have not been told of yet."""
    changes = [deleted(key, head, row) for row in replaced if not head.holds(row)]
    name = f"{writer}r"
    return Outbox(name, sorted(stale), name, changes, [blob for row in replaced for blob in row.blobs])


async def _committed(storage: Storage, request: str, batch: int, there: Iterable[InstanceRow]) -> bool:
    """Whether an earlier attempt was committed although its answer got lost.

    Nobody deletes or replaces what it has stored without telling the change feed of it first.
    """
    if any((row.request, row.batch) == (request, batch) for row in there):
        return True
    return await storage.change_feed.knows(feed_writer(request, batch))


async def _again(
    storage: Storage,
    key: str,
    request: str,
    received: Sequence[Received],
    duplicates: list[Received],
    there: Mapping[str, InstanceRow],
) -> Committed:
    """What has become of instances that an earlier attempt has committed."""
    head = await storage.instances.head(key)
    own = {row_key: row for row_key, row in there.items() if row.request == request and head.holds(row)}
    others = [item for item in received if _row(item).row_key not in own]
    return Committed(head, {}, list(own.values()), duplicates, others)


async def _equal(storage: Storage, received: Sequence[Received], there: Mapping[str, InstanceRow]) -> set[str]:
    """The RowKeys of those whose files equal, byte by byte, what is stored."""
    gate = asyncio.Semaphore(_COMPARED_AT_ONCE)

    async def equal(new: InstanceRow) -> bool:
        old = there.get(new.row_key)
        if old is None or old.length != new.length:
            return False
        async with gate:
            return await same_content(storage, old, new)

    rows = [_row(item) for item in received]
    equals = await asyncio.gather(*map(equal, rows))
    return {row.row_key for row, same in zip(rows, equals, strict=True) if same}


def _row(item: Received) -> InstanceRow:
    assert item.row is not None
    return item.row
