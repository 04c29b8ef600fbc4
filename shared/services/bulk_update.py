"""Bulk update: what one operation does to its studies (UPD-50 to UPD-65, D-60 to D-70).

A study is updated by one transaction that adds a change set row and changes the study row; no file is touched (D-65). All
functions can be repeated at any point and go on where they were.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from shared.dicom.change_set import Changes, merge
from shared.dicom.searchable import STUDY_ATTRIBUTES
from shared.services.publish import publish_all
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.settle import settle
from shared.services.summaries import indexable
from shared.services.tag_index import index_changed, instance_attributes, instance_lookups
from shared.storage import keys
from shared.storage.intents import UPDATE as UPDATE_INTENT
from shared.storage.intents import Intent
from shared.storage.lookups import LookupKey, rows_of
from shared.storage.operations import ENDED, FAILED, RUNNING, SUCCEEDED, OperationRow
from shared.storage.operations import UPDATE as LOCK
from shared.storage.storage import Storage
from shared.storage.study_head import ChangeSetRow, Outbox, StudyHead
from shared.storage.study_rows import StudyRow, Summary
from shared.storage.wire import Operation, TransactionFailed
from shared.telemetry import trace_id, update_duration

logger = logging.getLogger(__name__)
audit = logging.getLogger("dicom.audit")


@dataclass(frozen=True, slots=True)
class StudyUpdate:
    """The part of an operation that is one study; `index` is its place in the operation."""

    operation: str
    index: int
    partition: str
    study: str
    changes: Changes

    @property
    def key(self) -> str:
        return keys.study_partition(self.partition, self.study)

    @property
    def writer(self) -> str:
        return f"{self.operation}-{self.index:02d}"


async def update_study(storage: Storage, update: StudyUpdate) -> int | None:
    """Updates all instances that the study has; returns their number, None when there is no such study (D-62)."""
    intent = Intent(update.writer, UPDATE_INTENT, {update.key}, [update.operation, update.index])
    await storage.intents.write(intent)
    former = await _tag_lookups(storage, update)
    async with storage.instances.lock(update.key):
        applied = await _apply(storage, update)
    if applied is not None:
        await storage.lookups.remove(former - await index_changed(storage, update.key, update.changes))
        head = await storage.instances.head(update.key)
        await publish_all(storage, update.key, head)
    await storage.intents.done(intent)
    if applied is None:
        return None
    rows = storage.instances.rows(update.key, head, metadata=False)
    return sum([1 async for row in rows if row.version <= applied.cover])


async def _tag_lookups(storage: Storage, update: StudyUpdate) -> set[LookupKey]:
    """The lookup rows of all instances in the tables of tags on attributes that the update changes, from before it."""
    affected = [item for item in await instance_attributes(storage) if item.key in update.changes]
    if not affected:
        return set()
    head = await storage.instances.head(update.key)
    found: set[LookupKey] = set()
    async for row in storage.instances.rows(update.key, head, metadata=True):
        found |= await instance_lookups(storage, update.key, head, [row], affected)
    return found


async def _apply(storage: Storage, update: StudyUpdate) -> ChangeSetRow | None:
    """Commits the change set, unless an earlier run has; brings the lookup rows after it."""
    for attempt in ATTEMPTS:
        head = await storage.instances.head(update.key)
        if head.study is None or not head.exists:
            return None
        before = rows_of(update.key, head)
        earlier = next((row for row in head.change_sets if row.operation == update.writer), None)
        if earlier:
            await settle(storage, update.key, head, {})
            return earlier
        if head.change_sets:  # one of an update that died may be merged into this one, and be told of no more
            await publish_all(storage, update.key, head)
        after, row = _with_change_set(head, head.study, update)
        stale = set(before) - set(rows_of(update.key, after))
        if stale:
            after.outbox.append(Outbox(update.writer, sorted(stale)))
        assert after.study is not None
        operations = [
            Operation("update", after.study.entity(update.key)),
            Operation("update" if row.etag else "insert", row.entity(update.key)),
            *(Operation("upsert", outbox.entity(update.key)) for outbox in after.outbox[len(head.outbox) :]),
        ]
        try:
            etags = await storage.instances.commit(operations)
        except TransactionFailed as error:
            await lost(error, attempt)
            continue
        after.study = replace(after.study, etag=etags[0])
        await settle(storage, update.key, after, before)
        return row
    raise contended()


def _with_change_set(head: StudyHead, study: StudyRow, update: StudyUpdate) -> tuple[StudyHead, ChangeSetRow]:
    """A second update of the same instances is merged into the change set of the first."""
    version = max(time.time_ns() // 1000, study.version + 1)
    cover = study.instance_version
    known = next((row for row in head.change_sets if row.cover == cover), None)
    row = ChangeSetRow(
        cover=cover,
        version=version,
        operation=update.writer,
        changes=merge(known.changes, update.changes) if known else update.changes,
        etag=known.etag if known else "",
    )
    new = replace(study, version=version, summary=_updated(study.summary, update.changes))
    others = [item for item in head.change_sets if item.cover != cover]
    return replace(head, study=new, change_sets=[*others, row], outbox=list(head.outbox)), row


def _updated(summary: Summary, changes: Changes) -> Summary:
    """What a search finds after the update; an empty value clears (D-63)."""
    updated = dict(summary)
    for attribute in STUDY_ATTRIBUTES:
        if (element := changes.get(attribute.key)) is None:
            continue
        updated.pop(attribute.key, None)
        if (indexed := indexable(element)) is not None:
            updated[attribute.key] = indexed
    return updated


async def begin(storage: Storage, operation_id: str) -> bool:
    """Marks the operation as running. False when it has ended or has lost the lock, and must not do anything."""
    operation = await storage.operations.get(operation_id)
    holder = await storage.operations.lock_holder(LOCK)
    if operation is None or operation.status in ENDED or holder is None or holder[0] != operation_id:
        return False
    await _save(storage, operation, status=RUNNING)
    return True


async def record(storage: Storage, operation_id: str, total: int, done: int, study: str, updated: int | None) -> None:
    """Adds the outcome of the `done`-th of `total` studies to the operation; a repeat changes nothing (UPD-35, UPD-39)."""
    operation = await storage.operations.get(operation_id)
    if operation is None or operation.results.study_processed >= done:
        return
    results = operation.results
    results.study_processed = done
    if updated is None:
        results.study_failed += 1
        results.errors.append(f"Failed to update instances for study {study}")
    else:
        results.study_updated += 1
        results.instance_updated += updated
    operation.percent = done * 100 // total
    await _save(storage, operation, status=operation.status)


async def end(storage: Storage, operation_id: str) -> None:
    """Ends the operation by what its studies came to, and frees the lock."""
    operation = await storage.operations.get(operation_id)
    if operation is not None and operation.status not in ENDED:
        operation.percent = 100
        await _save(storage, operation, status=FAILED if operation.results.study_failed else SUCCEEDED)
        update_duration.record(time.time() - operation.created / 1_000_000, {"dicom.update.status": operation.status})
        audit.info(json.dumps(_event(operation)))
        if operation.status == FAILED:
            logger.warning("Operation failed: %s", operation_id)
    await storage.operations.release(LOCK, operation_id)


def _event(operation: OperationRow) -> dict[str, Any]:
    """What the audit trail says of the end of an operation (UPD-91); its studies are in the request's event."""
    status = HTTPStatus.BAD_REQUEST if operation.status == FAILED else HTTPStatus.OK
    event = {"operation": "update-study-operation", "status": status, "resource": {"operation": operation.id}}
    return event | {"traceId": trace_id()} if trace_id() else event


async def _save(storage: Storage, operation: OperationRow, *, status: str) -> None:
    operation.status = status
    await storage.operations.save(operation)
