"""The lookup tables: one per searchable attribute, each row naming one study or series.

PartitionKey is the partition and the folded value, RowKey newest first: an equality filter is one partition in the order of
the answer, a date range or a prefix is a range of partitions. Names have a row per word as well, for fuzzy matching.
Each row carries the summary of its study, and of its series, so that a page of results needs no other read. For the same
reason the attributes of a study have rows for its series, too; they share partitions, and so transactions.

Two tables list all studies and all series, newest first, for what is found in too many places elsewhere. Their rows are
marked (storage/marks.py), so that the service itself leaves out most of what a filter does not want.

An extended query tag has a table as well, of the same form, named by the tag's id: it goes with the tag, and no other tag
ever has the name. Rows written to the table of a tag that is gone are not missed. It lists all studies and series that have
a value, too, marked and newest first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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
from shared.storage.instance_row import InstanceRow
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import SeriesRow, StudyRow, Summary, TagValues
from shared.storage.wire import literal

ALL_STUDIES = "lookupstudies"
ALL_SERIES = "lookupseries"

type LookupKey = tuple[str, str, str]
type Place = tuple[str, str]
"""A table and a PartitionKey."""

TAG_TABLE = "querytag"


def table_of(attribute: Attribute) -> str:
    if isinstance(attribute, ExtendedAttribute):
        return f"{TAG_TABLE}{attribute.id}"
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
class Range:
    """The lookup rows of one level in the partitions [first, end) of a table, or in the partition `first` alone."""

    table: str
    level: Level
    first: str
    end: str = ""

    @property
    def condition(self) -> str:
        partitions = f"PartitionKey eq {literal(self.first)}"
        if self.end:
            partitions = f"PartitionKey ge {literal(self.first)} and PartitionKey lt {literal(self.end)}"
        match self.level:
            case Level.STUDY:
                return f"{partitions} and RowKey lt {literal(keys.SERIES_LOOKUPS)}"
            case Level.SERIES:
                return f"{partitions} and RowKey ge {literal(keys.SERIES_LOOKUPS)}"
        return partitions


@dataclass(frozen=True, slots=True)
class Hit:
    """A lookup row: the UIDs from the study downwards, when it was created (microseconds), and its summary.

    Without a summary it says no more than where to look.
    """

    identifiers: tuple[str, ...]
    created: int
    summary: Summary


def rows_of(key: str, head: StudyHead) -> dict[LookupKey, str]:
    """All lookup rows that a study and its series want: key -> summary as JSON text."""
    if head.study is None or not head.exists:
        return {}
    partition, study = keys.parse_study_partition(key)
    attributes = (*STUDY_ATTRIBUTES, MODALITIES_IN_STUDY)
    places = [place for attribute in attributes for place in _places(partition, attribute, head.study.summary)]
    rows = _study_rows(partition, study, head.study, places)
    for series in head.series.values():
        rows |= _series_rows(partition, study, head.study, series, places)
    return rows


def all_of(partition: str, level: Level, tag: ExtendedAttribute | None = None) -> Range:
    """All studies or series, newest first; only those that have a value of the extended query tag, if there is one."""
    first = keys.all_partitions(partition)
    table = table_of(tag) if tag else ALL_STUDIES if level is Level.STUDY else ALL_SERIES
    return Range(table, level, first, keys.after(first))


def instance_key(key: str, row: InstanceRow) -> LookupKey:
    """The lookup row of one instance, by its SOPInstanceUID."""
    partition, study = keys.parse_study_partition(key)
    return (
        table_of(SOP_INSTANCE_UID),
        keys.instance_partition(partition, row.sop_instance),
        keys.lookup_row(row.version, (study, row.series, row.sop_instance)),
    )


def tag_keys(key: str, row: InstanceRow, attribute: ExtendedAttribute, element: dict[str, Any]) -> list[LookupKey]:
    """The lookup rows of one instance in the table of an extended query tag."""
    partition, study = keys.parse_study_partition(key)
    row_key = keys.lookup_row(row.version, (study, row.series, row.sop_instance))
    places = _places(partition, attribute, {attribute.key: element})
    return [(table, partition_key, row_key) for table, partition_key in places]


def _study_rows(partition: str, study: str, row: StudyRow, of_study: Sequence[Place]) -> dict[LookupKey, str]:
    row_key = keys.lookup_row(row.created, (study,))
    places = [(ALL_STUDIES, keys.all_partition(partition, row.created)), *of_study]
    rows = dict.fromkeys(((*place, row_key) for place in places), _dump(row.summary))
    return rows | _tag_rows(partition, row_key, Level.STUDY, row.summary, row.tags)


def _series_rows(
    partition: str, study: str, parent: StudyRow, row: SeriesRow, of_study: Sequence[Place]
) -> dict[LookupKey, str]:
    row_key = keys.lookup_row(row.created, (study, row.series))
    places = [(ALL_SERIES, keys.all_partition(partition, row.created)), *of_study]
    for attribute in SERIES_ATTRIBUTES:
        places += _places(partition, attribute, row.summary)
    summary = parent.summary | row.summary
    rows = dict.fromkeys(((*place, row_key) for place in places), _dump(summary))
    # A partition of its own for each series: not to be written again with every change of the study.
    rows[table_of(SERIES_INSTANCE_UID), keys.value_partition(partition, row.series), row_key] = "{}"
    rows |= _tag_rows(partition, row_key, Level.STUDY, summary, parent.tags)
    return rows | _tag_rows(partition, row_key, Level.SERIES, summary, row.tags)


def _tag_rows(partition: str, row_key: str, level: Level, summary: Summary, tags: TagValues) -> dict[LookupKey, str]:
    """The rows in the tables of extended query tags; each has the value of its own tag besides the summary."""
    created, _ = keys.parse_lookup_row(row_key)
    everything = keys.all_partition(partition, created)
    rows: dict[LookupKey, str] = {}
    for tag, (_, key, element) in tags.items():
        attribute = ExtendedAttribute(int(key, 16), element["vr"], level, tag)
        places = [(table_of(attribute), everything), *_places(partition, attribute, {key: element})]
        rows |= dict.fromkeys(((*place, row_key) for place in places), _dump(summary | {key: element}))
    return rows


def _places(partition: str, attribute: Attribute, summary: Summary) -> list[Place]:
    """The (table, PartitionKey) pairs under which an attribute's values are found.

    Only the first value is searched (QIDO-72), but all of the modalities in a study (QIDO-48).
    """
    found = values(summary.get(attribute.key))
    if attribute is not MODALITIES_IN_STUDY:
        found = found[:1]
    return [place for value in found if value.strip(" \0") for place in _places_of_value(partition, attribute, value)]


@lru_cache(4096)  # the series of a study have the same values
def _places_of_value(partition: str, attribute: Attribute, value: str) -> list[Place]:
    table = table_of(attribute)
    places = [(table, keys.value_partition(partition, fold(value, attribute.vr)))]
    if attribute.vr == "PN":
        places += [(table, keys.word_partition(partition, word)) for word in set(words(value))]
    return places


def _dump(summary: Summary) -> str:
    return json.dumps(summary, ensure_ascii=False, separators=(",", ":"))
