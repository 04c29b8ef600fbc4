"""Upkeep: finishes or undoes the work of requests that died, and forgets what nobody needs any more."""

from __future__ import annotations

import logging
import time

from shared.errors import trace
from shared.services import delete, query_tags
from shared.services.files import remove_files
from shared.services.publish import publish_all, publish_stored
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.settle import settle
from shared.services.tag_index import index_changed, index_study
from shared.settings import Settings
from shared.storage import intents, keys
from shared.storage.instances import TABLE
from shared.storage.intents import Intent
from shared.storage.lookups import instance_key
from shared.storage.operations import ENDED
from shared.storage.storage import Storage
from shared.storage.study_rows import StudyRow
from shared.storage.wire import Entity, Operation, TransactionFailed
from shared.telemetry import intents_open

_MARKERS_AT_ONCE = 1000
_MARKER_SECONDS = 24 * 3600
_OLD_SECONDS = 600

logger = logging.getLogger(__name__)


async def upkeep(storage: Storage, settings: Settings) -> None:
    """Goes once through all work in flight. One failing piece does not keep the others from being done."""
    now = time.time_ns() // 1000
    opened = await storage.intents.open()
    intents_open.set(len(opened))
    silent = [intent for intent in opened if now - intent.touched >= settings.intent_timeout_seconds * 1_000_000]
    if old := sum(now - intent.created > _OLD_SECONDS * 1_000_000 for intent in silent):
        logger.warning("Open intents older than 10 minutes: %s", old)
    for intent in silent:
        try:
            if await storage.intents.claim(intent):
                await resolve(storage, intent)
        except Exception as error:
            logger.error("Upkeep could not finish the %s request %s: %s", intent.kind, intent.id, trace(error))
    await query_tags.finish_deletes(storage)
    await _forget_markers(storage)


async def resolve(storage: Storage, intent: Intent) -> None:
    """Finishes the work of `intent` if it has been committed, undoes it if not."""
    match intent.kind:
        case intents.STORE:
            await _resolve_store(storage, intent)
        case intents.DELETE:
            await delete.finish(storage, intent)
        case intents.UPDATE:
            await _resolve_update(storage, intent)


async def _resolve_store(storage: Storage, intent: Intent) -> None:
    """Fences the request out of its studies first: from then on it cannot commit, so what is there is all there is."""
    referenced: set[tuple[str, int]] = set()
    for key in intent.studies:
        await _fence(storage, key, intent.id)
        head = await storage.instances.head(key)
        rows = [row async for row in storage.instances.every_row(key) if row.request == intent.id]
        referenced |= {extent.place for row in rows for extent in row.extents}
        await settle(storage, key, head, {})
        await storage.lookups.write({instance_key(key, row): "{}" for row in rows if head.holds(row)})
        tags = await storage.query_tags.read()
        await index_study(storage, key, tags, tags.indexed)
        await publish_stored(storage, key, rows)
    async for blob in storage.wire.blobs(keys.request_prefix(intent.id)):
        await remove_files(storage.wire, [file for file in blob.files if file.place not in referenced])
    await storage.intents.done(intent)


async def _fence(storage: Storage, key: str, request: str) -> None:
    """Adds the fence and changes the study row in one transaction, on which a commit of the request then fails."""
    for attempt in ATTEMPTS:
        head = await storage.instances.head(key)
        if request in head.fences:
            return
        study = head.study or StudyRow(
            created=0, version=0, instance_version=0, instances=0, series=0, summary={}, newest=("", "")
        )
        touch = Operation("update" if head.study else "insert", study.entity(key))
        fence = Operation("insert", Entity(key, keys.fence_row(request), {}))
        try:
            await storage.wire.transact(TABLE, [touch, fence])
        except TransactionFailed as error:
            await lost(error, attempt)
            continue
        return
    raise contended()


async def _resolve_update(storage: Storage, intent: Intent) -> None:
    """An update that runs is finished by its orchestration; what one that was terminated has committed, here."""
    operation_id, _ = intent.payload
    operation = await storage.operations.get(operation_id)
    if operation is not None and operation.status not in ENDED:
        return
    [key] = intent.studies
    head = await storage.instances.head(key)
    applied = next((row for row in head.change_sets if row.operation == intent.id), None)
    if applied:
        await settle(storage, key, head, {})
        await index_changed(storage, key, applied.changes)
        await publish_all(storage, key, head)
    await storage.intents.done(intent)


async def _forget_markers(storage: Storage) -> None:
    """Feed markers make repeats harmless; once its intent is gone nobody repeats a request."""
    writers = await storage.change_feed.markers(
        _MARKERS_AT_ONCE, before=time.time_ns() // 1000 - _MARKER_SECONDS * 1_000_000
    )
    if not writers:
        return
    working = {intent.id for intent in await storage.intents.open()}
    await storage.change_feed.remove_markers([w for w in writers if w.rsplit("-", 1)[0] not in working])
