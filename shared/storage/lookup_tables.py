"""Reads and writes the lookup tables (storage/lookups.py says what they hold)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import batched

import orjson

from shared.storage import keys
from shared.storage.lookups import ALL_STUDIES, TAG_TABLE, Hit, LookupKey, Range
from shared.storage.marks import marks
from shared.storage.properties import text
from shared.storage.wire import Continuation, Entity, Operation, StorageError, Value, Wire

_AT_ONCE = 16
_TOGETHER = 90
_MOST_ROWS = 1000
_KEYS = ("PartitionKey", "RowKey")
_TABLE_GONE = frozenset({"TableNotFound", "TableBeingDeleted"})


class Lookups:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def write(self, rows: Mapping[LookupKey, str]) -> None:
        await self._each(
            (table, Operation("upsert", Entity(partition, row, _properties(partition, summary))))
            for (table, partition, row), summary in rows.items()
        )

    async def remove(self, rows: Iterable[LookupKey]) -> None:
        await self._each(
            (table, Operation("delete", Entity(partition, row, {}, "*"))) for table, partition, row in rows
        )

    async def every(self, table: str) -> AsyncIterator[LookupKey]:
        """All rows of a table."""
        async for entity in self._wire.entities(table, "", select=_KEYS):
            if not entity.partition_key.startswith(keys.SEPARATOR):  # so begin the errors of a tag
                yield table, entity.partition_key, entity.row_key

    async def there(self, rows: Iterable[LookupKey]) -> dict[LookupKey, str]:
        """Those of the rows that exist, with their summaries: a point read each."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def read(row: LookupKey) -> tuple[LookupKey, str] | None:
            async with gate:
                entity = await self._wire.get_entity(*row)
            return (row, text(entity.properties, "summary")) if entity else None

        return dict(filter(None, await asyncio.gather(*(read(row) for row in rows))))

    async def pages(
        self, rows: Range, marked: str = "", wanted: int | None = None
    ) -> AsyncIterator[tuple[list[Hit], bool]]:
        """The rows in key order, newest first within a partition: page by page, each with whether it is the last one.

        Each page is a request. `marked` is a filter from `marks.condition`. No more than `wanted` are in the first page.
        """
        condition = f"{rows.condition} and {marked}" if marked else rows.condition
        top = min(wanted or _MOST_ROWS, _MOST_ROWS)
        continuation: Continuation | None = None
        while True:
            page = await self._wire.query(
                rows.table, condition, select=("summary",), top=top, continuation=continuation
            )
            continuation, top = page.continuation, _MOST_ROWS
            yield [_hit(entity) for entity in page.entities], continuation is None
            if continuation is None:
                return

    async def studies(self, most: int, after: Continuation | None) -> tuple[list[str], Continuation | None]:
        """At most `most` studies of all partitions (PartitionKeys of `instances`), and where the next ones begin."""
        page = await self._wire.query(ALL_STUDIES, "", select=_KEYS, top=most, continuation=after)
        return [
            keys.study_of_lookup(entity.partition_key, entity.row_key) for entity in page.entities
        ], page.continuation

    async def count_studies(self) -> int:
        """How many studies there are, in all partitions."""
        return sum([1 async for _ in self._wire.entities(ALL_STUDIES, "", select=_KEYS)])

    async def _each(self, operations: Iterable[tuple[str, Operation]]) -> None:
        """Does all of these, those of one partition together."""
        partitions: dict[tuple[str, str], list[Operation]] = {}
        for table, operation in operations:
            partitions.setdefault((table, operation.entity.partition_key), []).append(operation)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(table: str, part: Sequence[Operation]) -> None:
            async with gate:
                await self._apply(table, part)

        async with asyncio.TaskGroup() as group:
            for (table, _), found in partitions.items():
                for part in batched(found, _TOGETHER, strict=False):
                    group.create_task(one(table, part))

    async def _apply(self, table: str, operations: Sequence[Operation]) -> None:
        try:
            await self._wire.transact(table, operations)
        except StorageError as error:
            if len(operations) > 1 and HTTPStatus(error.status or 500).is_client_error:
                for operation in operations:
                    await self._apply(table, [operation])
                return
            gone = error.code in _TABLE_GONE and table.startswith(TAG_TABLE)
            if not gone and (operations[0].kind != "delete" or error.status != 404):
                raise


def _hit(entity: Entity) -> Hit:
    created, identifiers = keys.parse_lookup_row(entity.row_key)
    return Hit(identifiers, created, orjson.loads(text(entity.properties, "summary") or "{}"))


def _properties(partition_key: str, summary: str) -> dict[str, Value]:
    properties: dict[str, Value] = {"summary": summary}
    return properties | marks(json.loads(summary)) if keys.is_all_partition(partition_key) else properties
