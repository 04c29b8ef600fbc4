"""The re-index of new extended query tags over everything that is stored (EQT-80 to EQT-87, D-83).

It goes through the studies newest first, and reads stored metadata, never files. Each part can be repeated; why nothing
that is stored, deleted or updated meanwhile is missed is said in services/tag_index.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shared.services.tag_errors import record_errors
from shared.services.tag_index import index_study
from shared.services.tag_list import change
from shared.storage.operations import ENDED, REINDEX, RUNNING, SUCCEEDED, OperationRow
from shared.storage.query_tags import ADDING, READY, QueryTag, TagList
from shared.storage.storage import Storage
from shared.storage.wire import Continuation

STUDIES_PER_BATCH = 100
_STUDIES_AT_ONCE = 4
_ALMOST_DONE = 99


async def begin(storage: Storage, operation_id: str) -> int | None:
    """Announces the tags to all writers, and returns how many studies there are. None when there is nothing to do:

    the operation has ended, or has lost the lock.
    """
    operation = await storage.operations.get(operation_id)
    holder = await storage.operations.lock_holder(REINDEX)
    if operation is None or operation.status in ENDED or holder is None or holder[0] != operation_id:
        return None
    await storage.change_feed.announce_tags((await storage.query_tags.read()).version)
    await _save(storage, operation, RUNNING, 0)
    return await storage.lookups.count_studies()


async def batch(
    storage: Storage, operation_id: str, after: Continuation | None, done: int, total: int
) -> tuple[Continuation | None, int]:
    """Indexes the next studies; returns where to go on (None: at the end) and how many have been done by then."""
    tags = await storage.query_tags.read()
    attributes = [tag.attribute for tag in _tags(tags, operation_id)]
    if not attributes:
        return None, total
    studies, following = await storage.lookups.studies(STUDIES_PER_BATCH, after)
    gate = asyncio.Semaphore(_STUDIES_AT_ONCE)

    async def index(key: str) -> None:
        async with gate:
            survey = await index_study(storage, key, tags, attributes)
            await record_errors(storage, survey.problems)

    async with asyncio.TaskGroup() as group:
        for key in studies:
            group.create_task(index(key))
    done += len(studies)
    if operation := await storage.operations.get(operation_id):
        await _save(storage, operation, operation.status, min(done * 100 // max(total, 1), _ALMOST_DONE))
    return following, done


async def end(storage: Storage, operation_id: str) -> None:
    """Makes the tags ready (EQT-85), ends the operation and frees the lock."""

    def finish(tags: TagList) -> None:
        for tag in _tags(tags, operation_id):
            tags.replace(replace(tag, status=READY, operation=""))

    await change(storage, finish)
    operation = await storage.operations.get(operation_id)
    if operation is not None and operation.status not in ENDED:
        await _save(storage, operation, SUCCEEDED, 100)
    await storage.operations.release(REINDEX, operation_id)


def _tags(tags: TagList, operation_id: str) -> list[QueryTag]:
    return [tag for tag in tags.tags if (tag.status, tag.operation) == (ADDING, operation_id)]


async def _save(storage: Storage, operation: OperationRow, status: str, percent: int) -> None:
    operation.status, operation.percent = status, percent
    await storage.operations.save(operation)
