"""What of a study's rows and metadata matches a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.dicom.searchable import (
    SEARCHABLE,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Attribute,
    ExtendedAttribute,
    Level,
)
from shared.services.query import Query
from shared.services.results import Found
from shared.services.summaries import element
from shared.services.tag_values import tag_value
from shared.storage.lookups import Hit
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import SeriesRow, StudyRow, Summary


class Matcher:
    """The conditions of a query by what decides about them: rows of studies and series, instances' UIDs, or metadata."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._by_rows = [item for item in query.conditions if _is_in_rows(item.attribute)]
        self._by_metadata = [
            item
            for item in query.conditions
            if not _is_in_rows(item.attribute) and item.attribute is not SOP_INSTANCE_UID
        ]
        self._uids = [item for item in query.conditions if item.attribute is SOP_INSTANCE_UID]
        self._extended = [item.attribute for item in self._by_rows if isinstance(item.attribute, ExtendedAttribute)]

    @property
    def needs_metadata(self) -> bool:
        return bool(self._by_metadata)

    @property
    def is_one_equality(self) -> bool:
        """Whether an index row that the query leads to can but match."""
        return len(self._query.conditions) == 1 and bool(self._query.conditions[0].equal)

    def says_all(self, hit: Hit) -> bool:
        """Whether an index row has all that decides about its study or series."""
        return bool(hit.summary) and all(attribute.key in hit.summary for attribute in self._extended)

    def of_head(self, study: str, head: StudyHead) -> list[Found]:
        """The study, or those of its series, that match as far as their rows decide."""
        if head.study is None or not head.exists:
            return []
        summary = self._summary(head.study, Level.STUDY)
        if self._query.level is Level.STUDY:
            found = [Found(study, "", head.study.created, summary, head)]
        else:
            found = [
                Found(study, name, row.created, summary | self._summary(row, Level.SERIES), head)
                for name, row in head.series.items()
            ]
        return [item for item in found if self.accepts(item)]

    def accepts(self, found: Found) -> bool:
        """Whether it is where the path says, and its study and series match."""
        if self._query.study not in (None, found.study) or self._query.series not in (None, found.series):
            return False
        known = found.summary | {STUDY_INSTANCE_UID.key: _uid(found.study), SERIES_INSTANCE_UID.key: _uid(found.series)}
        return all(item.accepts(known.get(item.attribute.key)) for item in self._by_rows)

    def accepts_uid(self, sop_instance: str) -> bool:
        return all(item.matches(sop_instance) for item in self._uids)

    def accepts_metadata(self, found: Found) -> bool:
        """Whether the metadata, which has been read, matches (CL-4)."""
        lines = found.metadata or {}
        return all(item.accepts(_element(lines, item.attribute)) for item in self._by_metadata)

    def _summary(self, row: StudyRow | SeriesRow, level: Level) -> Summary:
        """What a row says, with the extended query tags of its level that are filtered by."""
        tags = {
            attribute.key: row.tags[attribute.id].element
            for attribute in self._extended
            if attribute.level is level and attribute.id in row.tags
        }
        return row.summary | tags


def _is_in_rows(attribute: Attribute) -> bool:
    """Whether the rows of studies and series have the attribute."""
    known = attribute.tag in SEARCHABLE or isinstance(attribute, ExtendedAttribute)
    return known and attribute.level is not Level.INSTANCE


def _element(lines: Mapping[str, bytes], attribute: Attribute) -> dict[str, Any] | None:
    if isinstance(attribute, ExtendedAttribute):
        return tag_value(lines, attribute)
    return element(lines, attribute.tag)


def _uid(value: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}
