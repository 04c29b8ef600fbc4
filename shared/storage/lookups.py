"""The lookup tables: one per searchable attribute, each row naming one study or series.

PartitionKey is the partition and the folded value, RowKey newest first: an equality filter is one partition in the order of
the answer, a date range or a prefix is a range of partitions. Names have a row per word as well, for fuzzy matching.
Each row carries the summary of its study or series, so that a page of results needs no other read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from shared.dicom.searchable import (
    MODALITIES_IN_STUDY,
    SERIES_ATTRIBUTES,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_ATTRIBUTES,
    Attribute,
    fold,
    values,
    words,
)
from shared.storage import keys
from shared.storage.properties import text
from shared.storage.rows import InstanceRow, SeriesRow, StudyHead, StudyRow, Summary
from shared.storage.wire import Entity, Operation, StorageError, Wire, literal

ALL_STUDIES = "lookupstudies"
ALL_SERIES = "lookupseries"

type LookupKey = tuple[str, str, str]

_AT_ONCE = 16


def table_of(attribute: Attribute) -> str:
    return f"lookup{attribute.keyword}"


TABLES = (
    ALL_STUDIES,
    ALL_SERIES,
    *(
        table_of(attribute)
        for attribute in (
            *STUDY_ATTRIBUTES,
            MODALITIES_IN_STUDY,
            SERIES_INSTANCE_UID,
            *SERIES_ATTRIBUTES,
            SOP_INSTANCE_UID,
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A lookup row: the UIDs from the study downwards, when it was created (microseconds), and its summary."""

    identifiers: tuple[str, ...]
    created: int
    summary: Summary


def rows_of(key: str, head: StudyHead) -> dict[LookupKey, str]:
    """All lookup rows that a study and its series want: key -> summary as JSON text."""
    if head.study is None or not head.exists:
        return {}
    partition, study = keys.parse_study_partition(key)
    rows = _study_rows(partition, study, head.study)
    for series in head.series.values():
        rows |= _series_rows(partition, study, series)
    return rows


def instance_key(key: str, row: InstanceRow) -> LookupKey:
    """The lookup row of one instance, by its SOPInstanceUID."""
    partition, study = keys.parse_study_partition(key)
    return (
        table_of(SOP_INSTANCE_UID),
        keys.value_partition(partition, row.sop_instance),
        keys.lookup_row(row.version, (study, row.series, row.sop_instance)),
    )


class Lookups:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def write(self, rows: Mapping[LookupKey, str]) -> None:
        await self._each(
            (table, Operation("upsert", Entity(partition, row, {"summary": summary})))
            for (table, partition, row), summary in rows.items()
        )

    async def remove(self, rows: Iterable[LookupKey]) -> None:
        await self._each(
            (table, Operation("delete", Entity(partition, row, {}, "*"))) for table, partition, row in rows
        )

    async def every(self, table: str) -> AsyncIterator[LookupKey]:
        """All rows of a table."""
        async for entity in self._wire.entities(table, "", select=("PartitionKey", "RowKey")):
            yield table, entity.partition_key, entity.row_key

    async def there(self, rows: Iterable[LookupKey]) -> dict[LookupKey, str]:
        """Those of the rows that exist, with their summaries: a point read each."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def read(row: LookupKey) -> tuple[LookupKey, str] | None:
            async with gate:
                entity = await self._wire.get_entity(*row)
            return (row, text(entity.properties, "summary")) if entity else None

        return dict(filter(None, await asyncio.gather(*(read(row) for row in rows))))

    async def search(self, table: str, first: str, end: str) -> AsyncIterator[Hit]:
        """The rows of the partitions [first, end), in key order: newest first within a partition."""
        condition = f"PartitionKey ge {literal(first)} and PartitionKey lt {literal(end)}"
        async for hit in self._hits(table, condition):
            yield hit

    async def equal(self, table: str, partition_key: str) -> AsyncIterator[Hit]:
        """The rows of one partition, newest first."""
        async for hit in self._hits(table, f"PartitionKey eq {literal(partition_key)}"):
            yield hit

    async def _hits(self, table: str, condition: str) -> AsyncIterator[Hit]:
        async for entity in self._wire.entities(table, condition):
            created, identifiers = keys.parse_lookup_row(entity.row_key)
            yield Hit(identifiers, created, json.loads(text(entity.properties, "summary") or "{}"))

    async def _apply(self, table: str, operation: Operation) -> None:
        try:
            await self._wire.transact(table, [operation])
        except StorageError as error:
            if operation.kind != "delete" or error.status != 404:
                raise

    async def _each(self, operations: Iterable[tuple[str, Operation]]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(table: str, operation: Operation) -> None:
            async with gate:
                await self._apply(table, operation)

        async with asyncio.TaskGroup() as group:
            for table, operation in operations:
                group.create_task(one(table, operation))


def _study_rows(partition: str, study: str, row: StudyRow) -> dict[LookupKey, str]:
    summary = json.dumps(row.summary, ensure_ascii=False, separators=(",", ":"))
    row_key = keys.lookup_row(row.created, (study,))
    places = [(ALL_STUDIES, keys.value_partition(partition, ""))]
    for attribute in (*STUDY_ATTRIBUTES, MODALITIES_IN_STUDY):
        places += _places(partition, attribute, row.summary)
    return {(table, partition_key, row_key): summary for table, partition_key in places}


def _series_rows(partition: str, study: str, row: SeriesRow) -> dict[LookupKey, str]:
    summary = json.dumps(row.summary, ensure_ascii=False, separators=(",", ":"))
    row_key = keys.lookup_row(row.created, (study, row.series))
    places = [
        (ALL_SERIES, keys.value_partition(partition, "")),
        (table_of(SERIES_INSTANCE_UID), keys.value_partition(partition, row.series)),
    ]
    for attribute in SERIES_ATTRIBUTES:
        places += _places(partition, attribute, row.summary)
    return {(table, partition_key, row_key): summary for table, partition_key in places}


def _places(partition: str, attribute: Attribute, summary: Summary) -> list[tuple[str, str]]:
    """The (table, PartitionKey) pairs under which an attribute's values are found.

    Only the first value is searched (QIDO-72), but all of the modalities in a study (QIDO-48).
    """
    found = values(summary.get(attribute.key))
    if attribute is not MODALITIES_IN_STUDY:
        found = found[:1]
    table = table_of(attribute)
    places = [
        (table, keys.value_partition(partition, fold(value, attribute.vr))) for value in found if value.strip(" \0")
    ]
    if attribute.vr == "PN":
        places += [(table, keys.word_partition(partition, word)) for value in found for word in set(words(value))]
    return places
