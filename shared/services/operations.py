"""Long-running operations: starting a bulk update under the singleton lock, and telling how far one has come."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable

from shared.errors import Conflict, NotFound
from shared.services.bulk_update import LOCK, TYPE
from shared.storage.operations import CANCELED, ENDED, FAILED, NOT_STARTED, OperationRow
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed

type OrchestrationStatus = Callable[[str], Awaitable[str | None]]
"""Operation id -> runtime status of its orchestration, None when there is none."""

_START_SECONDS = 60
_DEAD = {"Terminated": CANCELED, "Canceled": CANCELED, "Failed": FAILED}


class UpdateActive(Conflict):
    """Another bulk update holds the lock (UPD-17)."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is already an active update operation with ID '{operation_id}'.")
        self.operation_id = operation_id


async def start_update(storage: Storage, status: OrchestrationStatus, start: Callable[[str], Awaitable[None]]) -> str:
    """Takes the lock, starts the orchestration with the new operation's id, and returns that id.

    Raises UpdateActive when another update has not ended. The lock of one that has ended, or never began, is taken over.
    """
    operation = OperationRow(id=uuid.uuid4().hex, type=TYPE)
    await storage.operations.create(operation)
    try:
        await _acquire(storage, operation.id, status)
    except BaseException:
        await storage.operations.remove(operation.id)
        raise
    await start(operation.id)
    holder = await storage.operations.lock_holder(LOCK)
    if holder and holder[0] != operation.id and (await find(storage, operation.id, status)).status == CANCELED:
        raise UpdateActive(holder[0])
    return operation.id


async def _acquire(storage: Storage, operation_id: str, status: OrchestrationStatus) -> None:
    while True:
        holder = await storage.operations.lock_holder(LOCK)
        if holder is None:
            if await storage.operations.acquire(LOCK, operation_id):
                return
            continue
        active, etag = holder
        try:
            row = await find(storage, active, status)
        except NotFound:
            row = None
        if row is not None and row.status not in ENDED and not await _abandoned(storage, row, status):
            raise UpdateActive(active)
        if await storage.operations.acquire(LOCK, operation_id, etag):
            return


async def _abandoned(storage: Storage, row: OperationRow, status: OrchestrationStatus) -> bool:
    """Cancels an operation whose orchestration was never started; age only makes sure that nobody is about to."""
    young = time.time_ns() // 1000 - row.created < _START_SECONDS * 1_000_000
    if young or row.status != NOT_STARTED or await status(row.id) is not None:
        return False
    return await _end(storage, row, CANCELED)


async def find(storage: Storage, operation_id: str, status: OrchestrationStatus) -> OperationRow:
    """The state of an operation. Raises NotFound (OPS-3).

    An orchestration that was terminated or broke down cannot say so itself: then the operation ends here.
    """
    row = await storage.operations.get(operation_id)
    if row is None:
        raise NotFound("The specified operation cannot be found.")
    if row.status not in ENDED and (ended := _DEAD.get(await status(operation_id) or "")):
        if await _end(storage, row, ended):
            await storage.operations.release(LOCK, operation_id)
        else:
            return await find(storage, operation_id, status)
    return row


async def _end(storage: Storage, row: OperationRow, status: str) -> bool:
    row.status = status
    try:
        await storage.operations.save(row)
    except TransactionFailed:
        return False
    return True
