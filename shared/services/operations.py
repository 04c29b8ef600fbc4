"""Long-running operations: starting one under the lock of its type, and telling how far it has come."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from shared.errors import Conflict, NotFound, ServiceError
from shared.storage.operations import CANCELED, ENDED, FAILED, NOT_STARTED, REINDEX, UPDATE, OperationRow
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed

logger = logging.getLogger(__name__)

type OrchestrationStatus = Callable[[str], Awaitable[str | None]]
"""Operation id -> runtime status of its orchestration, None when there is none."""

RETENTION_SECONDS = 7 * 24 * 3600
"""How long an operation that succeeded can be asked for (OPS-22, UPD-90); others stay."""

_START_SECONDS = 10
_DEAD = {"Terminated": CANCELED, "Canceled": CANCELED, "Failed": FAILED}
_NAMES = {UPDATE: "update", REINDEX: "re-index"}


class OperationActive(Conflict):
    """Another operation of the type holds the lock (UPD-17, EQT-25)."""

    def __init__(self, type: str, operation_id: str) -> None:
        super().__init__(f"There is already an active {_NAMES[type]} operation with ID '{operation_id}'.")
        self.operation_id = operation_id


def orchestration_status(client: Any) -> OrchestrationStatus:
    """Asks the Durable Functions extension; `client` is an `azure.durable_functions.DurableOrchestrationClient`."""

    async def status(instance: str) -> str | None:
        found = await client.get_status(instance)
        return found.runtime_status.value if found and found.runtime_status else None

    return status


async def start(
    storage: Storage,
    type: str,
    status: OrchestrationStatus,
    begin: Callable[[str], Awaitable[None]],
    resources: Sequence[str] = (),
) -> str:
    """Takes the lock of the type, lets `begin` start the orchestration with the new operation's id, and returns that id.

    Raises OperationActive when another one has not ended. The lock of one that has ended, or never began, is taken over.
    When `begin` raises a ServiceError, there has been no operation.
    """
    operation = OperationRow(id=uuid.uuid4().hex, type=type, resources=list(resources))
    await storage.operations.create(operation)
    try:
        await _acquire(storage, type, operation.id, status)
    except BaseException:
        await storage.operations.remove(operation.id)
        raise
    try:
        await begin(operation.id)
    except ServiceError:
        await storage.operations.release(type, operation.id)
        await storage.operations.remove(operation.id)
        raise
    holder = await storage.operations.lock_holder(type)
    if holder and holder[0] != operation.id and (await find(storage, operation.id, status)).status == CANCELED:
        raise OperationActive(type, holder[0])
    return operation.id


async def check_inactive(storage: Storage, type: str, status: OrchestrationStatus) -> None:
    """Raises OperationActive while an operation of the type has not ended."""
    holder = await storage.operations.lock_holder(type)
    if holder and not await _has_ended(storage, holder[0], status):
        raise OperationActive(type, holder[0])


async def _acquire(storage: Storage, type: str, operation_id: str, status: OrchestrationStatus) -> None:
    while True:
        holder = await storage.operations.lock_holder(type)
        if holder is None:
            if await storage.operations.acquire(type, operation_id):
                return
            continue
        active, etag = holder
        if not await _has_ended(storage, active, status):
            raise OperationActive(type, active)
        if await storage.operations.acquire(type, operation_id, etag):
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
            if ended == FAILED:
                logger.warning("Operation failed: %s", operation_id)
            await storage.operations.release(row.type, operation_id)
            return row


async def tend(storage: Storage, status: OrchestrationStatus, forget: Callable[[str], Awaitable[None]]) -> None:
    """Frees the locks whose operations have ended without doing so, and removes operations that succeeded long ago.

    `forget` removes the orchestration of an operation; there may be none any more.
    """
    for type in _NAMES:
        holder = await storage.operations.lock_holder(type)
        if holder and await _has_ended(storage, holder[0], status):
            await storage.operations.release(type, holder[0])
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
