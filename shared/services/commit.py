"""Makes received instances visible: the entity group transaction that adds them to their study (STOW-133, QIDO-110).

The rows of the instances name the request and the batch of it that they belong to. A transaction may hold batches of several
requests (services/turns.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.errors import Unavailable
from shared.services.head_changes import as_written, head_operations, with_added
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

    def of(self, batch: Sequence[Received]) -> Committed:
        """What became of one of the batches."""
        members, [writer] = {id(item) for item in batch}, _writers(batch)
        return replace(
            self,
            stored=[row for row in self.stored if feed_writer(row.request, row.batch) == writer],
            duplicates=[item for item in self.duplicates if id(item) in members],
            unchanged=[item for item in self.unchanged if id(item) in members],
        )


class Room:
    """What still fits into one transaction: no instance twice, and with each series its row."""

    def __init__(self) -> None:
        self._rows: set[str] = set()
        self._series: set[str] = set()
        self._bytes = 0

    def take(self, items: Iterable[Received]) -> bool:
        """Whether there is room for all of `items`, which then take it."""
        rows = [_row(item) for item in items]
        names, series = {row.row_key for row in rows}, {row.series for row in rows} | self._series
        size = self._bytes + sum(row.weight for row in rows)
        is_full = len(self._rows) + len(names) + len(series) > ROWS_PER_TRANSACTION or size > BYTES_PER_TRANSACTION
        if self._rows and (is_full or not self._rows.isdisjoint(names)):
            return False
        self._rows |= names
        self._series = series
        self._bytes = size
        return True


def batches(received: Sequence[Received]) -> list[list[Received]]:
    """The instances of one study, cut so that each part fits into one transaction."""
    parts: list[list[Received]] = [[]]
    room = Room()
    for item in received:
        if not room.take([item]):
            parts.append([])
            room = Room()
            room.take([item])
        parts[-1].append(item)
    return parts


async def commit(storage: Storage, key: str, received: Sequence[Received], *, replacing: bool) -> Committed:
    """Adds instances to the study `key`. Those that exist already are left out, or with `replacing` give way to what was
    received (D-19), all of it by one request.

    Every attempt begins with what the study's rows say, or said after the last commit of this process, and ends in one
    conditional write. A part of `received` that is found stored means that an attempt has stored all of it, so several batches
    may come together only if this is the first call for each. Raises Unavailable when other writers win too often, or when
    upkeep has given a request up for dead.
    """
    pending = list(received)
    requests = {_row(item).request for item in received}
    duplicates: list[Received] = []
    there = await _there(storage, key, pending) if replacing else {}
    equal = await _equal(storage, pending, there)
    recent = None if replacing else storage.instances.recent_heads.take(key)  # it tells nothing without a commit
    for attempt in ATTEMPTS:
        head, recent = recent or await storage.instances.head(key), None
        if not requests.isdisjoint(head.fences):
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
        after, rows = with_added(head, new, replaced)
        if any(row.replaces for row in rows):
            await publish_all(storage, key, head, rows[0].request)
            after = await without_gone(storage, key, after, {row.version for row in replaced})
        stale = {*before, *await _lookups(storage, key, head, replaced)} - set(rows_of(key, after))
        if stale:
            after.outbox.append(_outbox(key, head, _writers(new)[0], stale, replaced))
        operations = _operations(key, head, after, rows)
        try:
            etags = await storage.instances.commit(operations)
        except TransactionFailed as error:
            if error.index == 0:
                storage.instances.recent_heads.lost(key)
            await lost(error, attempt)
            there = await _there(storage, key, pending)
            if await _committed(storage, pending, there.values()):
                return await _again(storage, key, pending, duplicates, there)
            if replacing:
                equal = await _equal(storage, pending, there)
            continue
        after = as_written(key, after, operations, etags)
        storage.instances.recent_heads.put(key, after)
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
    return Outbox(name, sorted(stale), name, changes, [extent for row in replaced for extent in row.extents])


async def _committed(storage: Storage, received: Sequence[Received], there: Iterable[InstanceRow]) -> bool:
    """Whether an earlier attempt was committed although its answer got lost.

    Nobody deletes or replaces what it has stored without telling the change feed of it first.
    """
    writers = _writers(received)
    if any(feed_writer(row.request, row.batch) in writers for row in there):
        return True
    return bool(writers) and await storage.change_feed.knows(writers[0])


async def _again(
    storage: Storage,
    key: str,
    received: Sequence[Received],
    duplicates: list[Received],
    there: Mapping[str, InstanceRow],
) -> Committed:
    """What has become of instances that an earlier attempt has committed."""
    head = await storage.instances.head(key)
    writers = _writers(received)
    own = {
        row_key: row
        for row_key, row in there.items()
        if feed_writer(row.request, row.batch) in writers and head.holds(row)
    }
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


def _writers(received: Iterable[Received]) -> list[str]:
    """The names under which the change feed is told of the batches."""
    return list(dict.fromkeys(feed_writer(_row(item).request, _row(item).batch) for item in received))


def _row(item: Received) -> InstanceRow:
    assert item.row is not None
    return item.row
