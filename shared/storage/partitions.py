"""The table `partitions`: the data partitions (PART-1 to PART-17), created at first use and never removed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared.storage.properties import number
from shared.storage.wire import Entity, Operation, TransactionFailed, Wire, literal

TABLE = "partitions"
DEFAULT = "Microsoft.Default"

_PARTITION = "partitions"
_NAME = "n"
_COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Partition:
    """`created` in microseconds since 1970."""

    key: int
    name: str
    created: int


class Partitions:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known = {DEFAULT}

    async def exists(self, name: str) -> bool:
        if name in self._known:
            return True
        if await self._wire.get_entity(TABLE, _PARTITION, _NAME + name) is None:
            return False
        self._known.add(name)
        return True

    async def ensure(self, name: str) -> None:
        """Creates the partition unless it exists (PART-6, PART-16)."""
        while not await self.exists(name):
            counter = await self._wire.get_entity(TABLE, _PARTITION, _COUNTER)
            following = number(counter.properties, "next") if counter else 2
            row = Entity(_PARTITION, _COUNTER, {"next": following + 1}, counter.etag if counter else "")
            partition = Entity(_PARTITION, _NAME + name, {"key": following, "created": time.time_ns() // 1000})
            try:
                await self._wire.transact(
                    TABLE, [Operation("update" if counter else "insert", row), Operation("insert", partition)]
                )
            except TransactionFailed:
                continue

    async def all(self) -> list[Partition]:
        """All partitions by key; the default one always exists (PART-10)."""
        condition = f"PartitionKey eq {literal(_PARTITION)} and RowKey gt {literal(_NAME)}"
        found = [_partition(entity) async for entity in self._wire.entities(TABLE, condition)]
        if all(partition.name != DEFAULT for partition in found):
            found.append(Partition(1, DEFAULT, 0))
        return sorted(found, key=lambda partition: partition.key)

    async def set_up(self) -> None:
        """Records the default partition with the time at which the account came into use."""
        row = Entity(_PARTITION, _NAME + DEFAULT, {"key": 1, "created": time.time_ns() // 1000})
        try:
            await self._wire.transact(TABLE, [Operation("insert", row)])
        except TransactionFailed as error:
            if error.status != 409:
                raise


def _partition(entity: Entity) -> Partition:
    row = entity.properties
    return Partition(number(row, "key"), entity.row_key.removeprefix(_NAME), number(row, "created"))
