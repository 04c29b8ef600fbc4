"""Long-running operations: starting a bulk update under the singleton lock, and telling how far one has come."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from shared.errors import Conflict, NotFound
from shared.services.bulk_update import LOCK, TYPE
from shared.storage.operations import CANCELED, ENDED, FAILED, NOT_STARTED, OperationRow
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed

type OrchestrationStatus = Callable[[str], Awaitable[str | None]]
"""Operation id -> runtime status of its orchestration, None when there is none."""

RETENTION_SECONDS = 7 * 24 * 3600
"""How long an operation that succeeded can be asked for (OPS-22, UPD-90); others stay."""

_START_SECONDS = 10
_DEAD = {"Terminated": CANCELED, "Canceled": CANCELED, "Failed": FAILED}


class UpdateActive(Conflict):
    """Another bulk update holds the lock (UPD-17)."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is already an active update operation with ID '{operation_id}'.")
        self.operation_id = operation_id


def orchestration_status(client: Any) -> OrchestrationStatus:
    """Asks the Durable Functions extension; `client` is an `azure.durable_functions.DurableOrchestrationClient`."""

    async def status(instance: str) -> str | None:
        found = await client.get_status(instance)
        return found.runtime_status.value if found and found.runtime_status else None

    return status


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
        if not await _has_ended(storage, active, status):
            raise UpdateActive(active)
        if await storage.operations.acquire(LOCK, operation_id, etag):
            return


async def _has_ended(storage: Storage, operation_id: str, status: OrchestrationStatus) -> bool:
    """An operation has a row before it takes the lock, so one without a row is over, too."""
    try:
        return (await find(storage, operation_id, status)).status in ENDED
    except NotFound:
        return True


async def find(storage: Storage, operation_id: str, status: OrchestrationStatus) -> OperationRow:
    """The state of an operation. Raises NotFound (OPS-3).

    An orchestration that was terminated, broke down or was purged cannot say so itself: then the operation ends here.
    """
    while True:
        row = await storage.operations.get(operation_id)
        if row is None:
            raise NotFound("The specified operation cannot be found.")
        if row.status in ENDED or (ended := _ended(row, await status(operation_id))) is None:
            return row
        row.status = ended
        with suppress(TransactionFailed):
            await storage.operations.save(row)
            await storage.operations.release(LOCK, operation_id)
            return row


async def tend(storage: Storage, status: OrchestrationStatus, forget: Callable[[str], Awaitable[None]]) -> None:
    """Frees the lock if its operation has ended without doing so, and removes operations that succeeded long ago.

    `forget` removes the orchestration of an operation; there may be none any more.
    """
    holder = await storage.operations.lock_holder(LOCK)
    if holder and await _has_ended(storage, holder[0], status):
        await storage.operations.release(LOCK, holder[0])
    for operation_id in await storage.operations.succeeded(
        before=time.time_ns() // 1000 - RETENTION_SECONDS * 1_000_000
    ):
        await forget(operation_id)
        await storage.operations.remove(operation_id)


def _ended(row: OperationRow, orchestration: str | None) -> str | None:
    """How an operation has ended whose orchestration is in this state; None if it has not.

    Without an orchestration it ends, too, unless the one who created it may still be about to start that.
    """
    if orchestration is not None:
        return _DEAD.get(orchestration)
    young = time.time_ns() // 1000 - row.created < _START_SECONDS * 1_000_000
    return None if young and row.status == NOT_STARTED else CANCELED
