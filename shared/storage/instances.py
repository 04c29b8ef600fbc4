"""The table `instances`: one partition per study, read by key range and written by entity group transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from weakref import WeakValueDictionary

from shared.storage import keys
from shared.storage.rows import INSTANCE_PROPERTIES_WITHOUT_METADATA, InstanceRow, StudyHead
from shared.storage.wire import Operation, Wire, literal

TABLE = "instances"

# Instances and their series. An entity group transaction holds 100 operations; the rest is for the study and its outbox.
ROWS_PER_TRANSACTION = 95
BYTES_PER_TRANSACTION = 3_000_000


class Instances:
    """Reads and writes the rows of studies; `key` is always a study's PartitionKey (`keys.study_partition`)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: str) -> asyncio.Lock:
        """Keeps the writers of this process out of each other's way; correctness rests on ETags alone."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def head(self, key: str) -> StudyHead:
        """The study, series, change set, fence and stale rows: one query."""
        head = StudyHead()
        condition = f"PartitionKey eq {literal(key)} and RowKey lt {literal(keys.HEAD_END)}"
        async for entity in self._wire.entities(TABLE, condition):
            head.add(entity)
        return head

    async def whole(self, key: str, head: StudyHead) -> AsyncIterator[InstanceRow]:
        """Fills the empty `head`, then yields the instances with their metadata: one query per 1,000 rows."""
        async for entity in self._wire.entities(TABLE, f"PartitionKey eq {literal(key)}"):
            if keys.row_kind(entity.row_key) == keys.HEAD_END:
                yield InstanceRow.of(entity)
            else:
                head.add(entity)

    async def members(self, key: str, most: int) -> tuple[StudyHead, list[InstanceRow]]:
        """The head and all instances, with metadata only as many as come in the first `most` rows.

        One query for a small study; of a larger one every 1,000 instances take one more.
        """
        page = await self._wire.query(TABLE, f"PartitionKey eq {literal(key)}", top=most)
        head, rows = StudyHead(), []
        for entity in page.entities:
            if keys.row_kind(entity.row_key) == keys.HEAD_END:
                rows.append(InstanceRow.of(entity))
            else:
                head.add(entity)
        if page.continuation:
            if not rows:
                head = await self.head(key)
            after = rows[-1].row_key if rows else ""
            rows += [row async for row in self.rows(key, metadata=False, after=after)]
        return head, rows

    async def find(self, key: str, series: str, sop_instance: str) -> tuple[StudyHead, InstanceRow | None]:
        """One instance with its metadata, and the head of its study.

        Two reads side by side: a filter that joins two row ranges with `or` would scan the whole study.
        """
        head, row = await asyncio.gather(self.head(key), self.get(key, series, sop_instance))
        return head, row

    async def get(self, key: str, series: str, sop_instance: str) -> InstanceRow | None:
        """One instance with its metadata: a point read."""
        entity = await self._wire.get_entity(TABLE, key, keys.instance_row(series, sop_instance))
        return InstanceRow.of(entity) if entity else None

    async def rows(
        self, key: str, series: str | None = None, *, metadata: bool, after: str = ""
    ) -> AsyncIterator[InstanceRow]:
        """The instances of a study or series in the order of their keys: one query per 1,000.

        `metadata` says whether metadata and frames are read too; `after` is a RowKey to continue behind.
        """
        condition = _condition(key, series, after)
        async for entity in self._wire.entities(TABLE, condition, select=_properties(metadata=metadata)):
            yield InstanceRow.of(entity)

    async def first_rows(self, key: str, series: str | None = None, *, metadata: bool) -> list[InstanceRow]:
        """The first instances of `rows`, as many as one query gives."""
        page = await self._wire.query(TABLE, _condition(key, series), select=_properties(metadata=metadata))
        return [InstanceRow.of(entity) for entity in page.entities]

    async def studies(self) -> AsyncIterator[str]:
        """The PartitionKeys in order, a query each, so as not to read what the studies hold."""
        last = ""
        while True:
            following = self._wire.entities(TABLE, f"PartitionKey gt {literal(last)}", select=("PartitionKey",), top=1)
            entity = await anext(following, None)
            if entity is None:
                return
            last = entity.partition_key
            yield last

    async def owners(self, key: str, row_keys: Collection[str]) -> dict[str, tuple[str, int]]:
        """Which of the rows exist: RowKey -> (request id that stored it, version)."""
        condition = (
            f"PartitionKey eq {literal(key)} and RowKey ge {literal(min(row_keys))} "
            f"and RowKey le {literal(max(row_keys))}"
        )
        found: dict[str, tuple[str, int]] = {}
        async for entity in self._wire.entities(
            TABLE, condition, select=("PartitionKey", "RowKey", "request", "version")
        ):
            if entity.row_key in row_keys:
                row = entity.properties
                found[entity.row_key] = (str(row["request"]), int(row["version"]))
        return found

    async def commit(self, operations: Sequence[Operation]) -> list[str]:
        """One entity group transaction in a study's partition; raises `wire.TransactionFailed`."""
        return await self._wire.transact(TABLE, operations)


def _condition(key: str, series: str | None, after: str = "") -> str:
    first, end = keys.rows_of_series(series) if series else (keys.HEAD_END, keys.after(keys.HEAD_END))
    start = f"RowKey gt {literal(after)}" if after else f"RowKey ge {literal(first)}"
    return f"PartitionKey eq {literal(key)} and {start} and RowKey lt {literal(end)}"


def _properties(*, metadata: bool) -> Sequence[str]:
    return () if metadata else INSTANCE_PROPERTIES_WITHOUT_METADATA
