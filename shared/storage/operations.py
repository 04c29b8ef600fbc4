"""The table `operations`: long-running operations (OPS-1 to OPS-25) and the locks that let one of a type run at a time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field

from shared.storage.properties import number, text
from shared.storage.wire import Entity, Operation, StorageError, TransactionFailed, Wire, literal

TABLE = "operations"

NOT_STARTED, RUNNING, SUCCEEDED, FAILED, CANCELED = "notStarted", "running", "succeeded", "failed", "canceled"
ENDED = frozenset({SUCCEEDED, FAILED, CANCELED})

UPDATE, REINDEX = "update", "reindex"
"""Types (OPS-11), which are the names of the locks as well."""

_LOCK, _CHECK = "lock", "check"


@dataclass(slots=True)
class UpdateResults:
    """UPD-35."""

    study_processed: int = 0
    study_updated: int = 0
    study_failed: int = 0
    instance_updated: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class OperationRow:
    """`created` and `updated` in microseconds since 1970; `percent` from 0 to 100.

    `results` are those of an update, `resources` the paths of the extended query tags that a re-index is about (OPS-16).
    """

    id: str
    type: str
    status: str = NOT_STARTED
    created: int = 0
    updated: int = 0
    percent: int = 0
    results: UpdateResults = field(default_factory=UpdateResults)
    resources: list[str] = field(default_factory=list)
    etag: str = ""


class Operations:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, operation: OperationRow) -> None:
        operation.created = operation.updated = time.time_ns() // 1000
        [operation.etag] = await self._wire.transact(TABLE, [Operation("insert", _entity(operation))])

    async def get(self, operation_id: str) -> OperationRow | None:
        entity = await self._wire.get_entity(TABLE, operation_id, "")
        if entity is None:
            return None
        row = entity.properties
        return OperationRow(
            id=operation_id,
            type=text(row, "type"),
            status=text(row, "status"),
            created=number(row, "created"),
            updated=number(row, "updated"),
            percent=number(row, "percent"),
            results=UpdateResults(**json.loads(text(row, "results"))),
            resources=text(row, "resources").split(),
            etag=entity.etag,
        )

    async def save(self, operation: OperationRow) -> None:
        """Writes the operation over the row that was read; raises `wire.TransactionFailed` when it has changed since."""
        operation.updated = time.time_ns() // 1000
        [operation.etag] = await self._wire.transact(TABLE, [Operation("update", _entity(operation))])

    async def succeeded(self, *, before: int) -> list[str]:
        """The ids of the operations that succeeded before that time (microseconds since 1970)."""
        condition = f"RowKey eq '' and status eq {literal(SUCCEEDED)} and updated lt {before}L"
        found = self._wire.entities(TABLE, condition, select=("PartitionKey", "RowKey"))
        return [entity.partition_key async for entity in found]

    async def remove(self, operation_id: str) -> None:
        await self._delete(Entity(operation_id, "", {}, "*"))

    async def lock_holder(self, lock: str) -> tuple[str, str] | None:
        """The id of the operation that holds the lock, and the ETag with which it can be taken over."""
        entity = await self._wire.get_entity(TABLE, _LOCK, lock)
        return (text(entity.properties, "operation"), entity.etag) if entity else None

    async def acquire(self, lock: str, operation_id: str, taken_over: str = "") -> bool:
        """Takes the lock: a free one, or with the ETag `taken_over` one whose holder has ended. False: another was faster."""
        entity = Entity(_LOCK, lock, {"operation": operation_id}, taken_over)
        try:
            await self._wire.transact(TABLE, [Operation("update" if taken_over else "insert", entity)])
        except TransactionFailed:
            holder = await self.lock_holder(lock)
            return holder is not None and holder[0] == operation_id
        return True

    async def release(self, lock: str, operation_id: str) -> None:
        """Frees the lock if this operation holds it."""
        holder = await self.lock_holder(lock)
        if holder and holder[0] == operation_id:
            await self._delete(Entity(_LOCK, lock, {}, holder[1]))

    async def record_sample(self, violations: int) -> None:
        """Keeps the outcome of the last check of a few studies."""
        await self._wire.transact(TABLE, [Operation("upsert", Entity(_CHECK, "", {"violations": violations}))])

    async def sampled_violations(self) -> int:
        """How many violations the last check of a few studies has found."""
        entity = await self._wire.get_entity(TABLE, _CHECK, "")
        return number(entity.properties, "violations") if entity else 0

    async def _delete(self, entity: Entity) -> None:
        try:
            await self._wire.transact(TABLE, [Operation("delete", entity)])
        except StorageError as error:
            if error.status not in (404, 412):
                raise


def _entity(operation: OperationRow) -> Entity:
    return Entity(
        operation.id,
        "",
        {
            "type": operation.type,
            "status": operation.status,
            "created": operation.created,
            "updated": operation.updated,
            "percent": operation.percent,
            "results": json.dumps(asdict(operation.results)),
            "resources": " ".join(operation.resources),
        },
        operation.etag,
    )
