"""The lookup tables: one per searchable attribute, each row naming one study or series.

PartitionKey is the partition and the folded value, RowKey newest first: an equality filter is one partition in the order of
the answer, a date range or a prefix is a range of partitions. Names have a row per word as well, for fuzzy matching.
Each row carries the summary of its study or series, so that a page of results needs no other read.

An extended query tag has a table as well, of the same form, named by the tag's id: it goes with the tag, and no other tag
ever has the name. Rows written to the table of a tag that is gone are not missed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import batched
from typing import Any

from shared.dicom.searchable import (
    MODALITIES_IN_STUDY,
    SERIES_ATTRIBUTES,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_ATTRIBUTES,
    Attribute,
    ExtendedAttribute,
    Level,
    fold,
    values,
    words,
)
from shared.storage import keys
from shared.storage.properties import text
from shared.storage.rows import InstanceRow, SeriesRow, StudyHead, StudyRow, Summary, TagValues
from shared.storage.wire import Continuation, Entity, Operation, StorageError, Wire, literal

ALL_STUDIES = "lookupstudies"
ALL_SERIES = "lookupseries"

type LookupKey = tuple[str, str, str]

_AT_ONCE = 16
_TOGETHER = 90
_KEYS = ("PartitionKey", "RowKey")


_TAG_TABLE = "querytag"
_TABLE_GONE = frozenset({"TableNotFound", "TableBeingDeleted"})


def table_of(attribute: Attribute) -> str:
    if isinstance(attribute, ExtendedAttribute):
        return f"{_TAG_TABLE}{attribute.id}"
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


def tag_keys(key: str, row: InstanceRow, attribute: ExtendedAttribute, element: dict[str, Any]) -> list[LookupKey]:
    """The lookup rows of one instance in the table of an extended query tag."""
    partition, study = keys.parse_study_partition(key)
    row_key = keys.lookup_row(row.version, (study, row.series, row.sop_instance))
    places = _places(partition, attribute, {attribute.key: element})
    return [(table, partition_key, row_key) for table, partition_key in places]


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

    async def search(self, table: str, first: str, end: str) -> AsyncIterator[Hit]:
        """The rows of the partitions [first, end), in key order: newest first within a partition."""
        condition = f"PartitionKey ge {literal(first)} and PartitionKey lt {literal(end)}"
        async for hit in self._hits(table, condition):
            yield hit

    async def equal(self, table: str, partition_key: str) -> AsyncIterator[Hit]:
        """The rows of one partition, newest first."""
        async for hit in self._hits(table, f"PartitionKey eq {literal(partition_key)}"):
            yield hit

    async def studies(self, most: int, after: Continuation | None) -> tuple[list[str], Continuation | None]:
        """At most `most` studies of all partitions (PartitionKeys of `instances`), and where the next ones begin."""
        page = await self._wire.query(ALL_STUDIES, "", select=_KEYS, top=most, continuation=after)
        return [
            keys.study_of_lookup(entity.partition_key, entity.row_key) for entity in page.entities
        ], page.continuation

    async def count_studies(self) -> int:
        """How many studies there are, in all partitions."""
        return sum([1 async for _ in self._wire.entities(ALL_STUDIES, "", select=_KEYS)])

    async def _hits(self, table: str, condition: str) -> AsyncIterator[Hit]:
        async for entity in self._wire.entities(table, condition):
            created, identifiers = keys.parse_lookup_row(entity.row_key)
            yield Hit(identifiers, created, json.loads(text(entity.properties, "summary") or "{}"))

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
            gone = error.code in _TABLE_GONE and table.startswith(_TAG_TABLE)
            if not gone and (operations[0].kind != "delete" or error.status != 404):
                raise


def _study_rows(partition: str, study: str, row: StudyRow) -> dict[LookupKey, str]:
    summary = json.dumps(row.summary, ensure_ascii=False, separators=(",", ":"))
    row_key = keys.lookup_row(row.created, (study,))
    places = [(ALL_STUDIES, keys.value_partition(partition, ""))]
    for attribute in (*STUDY_ATTRIBUTES, MODALITIES_IN_STUDY):
        places += _places(partition, attribute, row.summary)
    rows = {(table, partition_key, row_key): summary for table, partition_key in places}
    return rows | _tag_rows(partition, row_key, Level.STUDY, row.summary, row.tags)


def _series_rows(partition: str, study: str, row: SeriesRow) -> dict[LookupKey, str]:
    summary = json.dumps(row.summary, ensure_ascii=False, separators=(",", ":"))
    row_key = keys.lookup_row(row.created, (study, row.series))
    places = [
        (ALL_SERIES, keys.value_partition(partition, "")),
        (table_of(SERIES_INSTANCE_UID), keys.value_partition(partition, row.series)),
    ]
    for attribute in SERIES_ATTRIBUTES:
        places += _places(partition, attribute, row.summary)
    rows = {(table, partition_key, row_key): summary for table, partition_key in places}
    return rows | _tag_rows(partition, row_key, Level.SERIES, row.summary, row.tags)


def _tag_rows(partition: str, row_key: str, level: Level, summary: Summary, tags: TagValues) -> dict[LookupKey, str]:
    """The rows in the tables of extended query tags; each has the value of its own tag besides the summary."""
    rows: dict[LookupKey, str] = {}
    for tag, (_, key, element) in tags.items():
        attribute = ExtendedAttribute(int(key, 16), element["vr"], level, tag)
        own = json.dumps(summary | {key: element}, ensure_ascii=False, separators=(",", ":"))
        for table, partition_key in _places(partition, attribute, {key: element}):
            rows[table, partition_key, row_key] = own
    return rows


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
