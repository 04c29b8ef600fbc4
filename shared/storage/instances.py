"""The table `instances`: one partition per study, read by key range and written by entity group transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from typing import Final, Literal
from weakref import WeakValueDictionary

from shared.storage import keys
from shared.storage.instance_row import FILE_PROPERTIES, METADATA_PROPERTIES, InstanceRow
from shared.storage.recent_heads import RecentHeads
from shared.storage.study_head import StudyHead
from shared.storage.wire import Operation, Wire, literal

TABLE = "instances"

# Instances and their series. An entity group transaction holds 100 operations; the rest is for the study and its outbox.
ROWS_PER_TRANSACTION = 95
BYTES_PER_TRANSACTION = 3_000_000

type Metadata = bool | Literal["only"]
"""Whether instances are read with their metadata and frames, or with nothing but what metadata are made of."""

_PROPERTIES: Final[dict[Metadata, Sequence[str]]] = {
    True: (), False: FILE_PROPERTIES, "only": METADATA_PROPERTIES,
}  # fmt: skip


class Instances:
    """Reads and writes the rows of studies; `key` is always a study's PartitionKey (`keys.study_partition`)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.recent_heads = RecentHeads()

    def lock(self, key: str) -> asyncio.Lock:
        """Keeps the writers of this process out of each other's way; correctness rests on ETags alone."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def head(self, key: str) -> StudyHead:
        """The study, series, change set, fence and outbox rows: one query."""
        condition = f"PartitionKey eq {literal(key)} and RowKey lt {literal(keys.HEAD_END)}"
        return StudyHead.of([entity async for entity in self._wire.entities(TABLE, condition)])

    async def get(self, key: str, series: str, sop_instance: str) -> InstanceRow | None:
        """The row of one instance with its metadata, whether the study holds it still or not."""
        entity = await self._wire.get_entity(TABLE, key, keys.instance_row(series, sop_instance))
        return InstanceRow.of(entity) if entity else None

    async def members(self, key: str, most: int) -> tuple[StudyHead, list[InstanceRow]]:
        """The head and all instances, with metadata only as many as come in the first `most` rows.

        One query for a small study; of a larger one every 1,000 instances take one more.
        """
        head, rows, is_all = await self.opening(key, most)
        if not is_all:
            after = rows[-1].row_key if rows else ""
            rows += [row async for row in self.every_row(key, after=after)]
        return head, [row for row in rows if head.holds(row)]

    async def opening(self, key: str, most: int) -> tuple[StudyHead, list[InstanceRow], bool]:
        """The head, what follows it of `every_row` with metadata within `most` rows, and whether that is all: one query.

        One more if so many rows do not hold the head.
        """
        page = await self._wire.query(TABLE, f"PartitionKey eq {literal(key)}", top=most)
        is_head = [keys.row_kind(entity.row_key) != keys.HEAD_END for entity in page.entities]
        if page.continuation and all(is_head):
            return await self.head(key), [], False
        head = StudyHead.of(entity for entity, first in zip(page.entities, is_head, strict=True) if first)
        rows = [InstanceRow.of(entity) for entity, first in zip(page.entities, is_head, strict=True) if not first]
        return head, rows, not page.continuation

    async def find(self, key: str, series: str, sop_instance: str) -> tuple[StudyHead, InstanceRow | None]:
        """One instance with its metadata, and the head of its study.

        Two reads side by side: a filter that joins two row ranges with `or` would scan the whole study.
        """
        head, row = await asyncio.gather(self.head(key), self.get(key, series, sop_instance))
        return head, row if row and head.holds(row) else None

    async def rows(
        self, key: str, head: StudyHead, series: str | None = None, *, metadata: Metadata, after: str = ""
    ) -> AsyncIterator[InstanceRow]:
        """The instances of a study or series that its `head` holds, in the order of their keys: one query per 1,000.

        `after` is a RowKey to continue behind.
        """
        async for row in self.every_row(key, series, metadata=metadata, after=after):
            if head.holds(row):
                yield row

    async def every_row(
        self, key: str, series: str | None = None, *, metadata: Metadata = False, after: str = ""
    ) -> AsyncIterator[InstanceRow]:
        """As `rows`, with the instances that have been deleted and whose rows are not removed yet."""
        condition = _condition(key, series, after)
        async for entity in self._wire.entities(TABLE, condition, select=_PROPERTIES[metadata]):
            yield InstanceRow.of(entity)

    async def first_rows(self, key: str, series: str | None = None, *, metadata: Metadata) -> list[InstanceRow]:
        """The first instances of `every_row`, as many as one query gives."""
        page = await self._wire.query(TABLE, _condition(key, series), select=_PROPERTIES[metadata])
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

    async def present(self, key: str, row_keys: Iterable[str]) -> dict[str, InstanceRow]:
        """Which of these rows there are, by RowKey and without metadata; the study may hold their instances or not.

        One query per 1,000 rows that lie between the first and the last in each series.
        """
        wanted = sorted(row_keys)
        found: dict[str, InstanceRow] = {}
        for _, group in groupby(wanted, lambda row_key: keys.parse_instance_row(row_key)[0]):
            members = list(group)
            condition = (
                f"PartitionKey eq {literal(key)} and RowKey ge {literal(members[0])} "
                f"and RowKey le {literal(members[-1])}"
            )
            among = set(members)
            async for entity in self._wire.entities(TABLE, condition, select=FILE_PROPERTIES):
                if entity.row_key in among:
                    found[entity.row_key] = InstanceRow.of(entity)
        return found

    async def commit(self, operations: Sequence[Operation]) -> list[str]:
        """One entity group transaction in a study's partition; raises `wire.TransactionFailed`."""
        return await self._wire.transact(TABLE, operations)


def _condition(key: str, series: str | None, after: str = "") -> str:
    first, end = keys.rows_of_series(series) if series else (keys.HEAD_END, keys.after(keys.HEAD_END))
    start = f"RowKey gt {literal(after)}" if after else f"RowKey ge {literal(first)}"
    return f"PartitionKey eq {literal(key)} and {start} and RowKey lt {literal(end)}"
