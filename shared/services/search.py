"""Search (QIDO-RS): starts from the most selective index, goes down to the level asked for, and builds the answer.

Index rows may lag behind for as long as a request works on their study: such studies stand in an open intent, and are read
from their own rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.dicom import dicom_json, tags
from shared.dicom.searchable import (
    SEARCHABLE,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Attribute,
    ExtendedAttribute,
    Level,
)
from shared.services.metadata import latest_metadata
from shared.services.query import Condition, Query
from shared.services.results import Found, needs_metadata, result
from shared.services.summaries import element
from shared.services.tag_values import tag_value
from shared.storage import keys
from shared.storage.change_feed import CREATE
from shared.storage.lookups import ALL_SERIES, ALL_STUDIES, Hit, table_of
from shared.storage.rows import InstanceRow, SeriesRow, StudyHead, StudyRow, Summary
from shared.storage.storage import Storage

_ENTRIES_AT_ONCE = 200
_FEW_INSTANCES = 200

_SELECTIVE_FIRST = (
    tags.STUDY_INSTANCE_UID,
    tags.SOP_INSTANCE_UID,
    tags.SERIES_INSTANCE_UID,
    tags.ACCESSION_NUMBER,
    tags.PATIENT_ID,
    tags.PATIENT_NAME,
    tags.REFERRING_PHYSICIAN_NAME,
    tags.STUDY_DATE,
    tags.PATIENT_BIRTH_DATE,
)


async def search(storage: Storage, partition: str, query: Query, base_url: str) -> list[bytes]:
    """The page of results as DICOM JSON objects, newest first (D-43); `base_url` begins the RetrieveURLs."""
    busy = await storage.intents.studies()
    finder = _Finder(storage, partition, query, busy)
    wanted = query.offset + query.limit
    found: list[Found] = []
    async for item in finder.candidates():
        found.append(item)
        if finder.in_order and len(found) >= wanted:
            break
    if not finder.in_order:
        found.sort(key=lambda item: (-item.created, item.identifiers))
    page = found[query.offset : wanted]
    if needs_metadata(query):
        page = await asyncio.gather(*(finder.with_metadata(item) for item in page))
    return [result(query, item, base_url) for item in page]


@dataclass(slots=True)
class _Finder:
    storage: Storage
    partition: str
    query: Query
    busy: set[str]
    in_order: bool = False

    async def candidates(self) -> AsyncIterator[Found]:
        """All that matches, in the order of the answer if `in_order` says so."""
        seen: set[tuple[str, ...]] = set()
        async for start in self._start():
            async for item in self._down(start):
                if item.identifiers not in seen:
                    seen.add(item.identifiers)
                    yield item

    async def with_metadata(self, item: Found) -> Found:
        """Adds the metadata of the instance, or of the newest one of a study or series (QIDO-114)."""
        if item.metadata is not None:
            return item
        key = keys.study_partition(self.partition, item.study)
        head = item.head or await self.storage.instances.head(key)
        if head.study is None:
            return replace(item, head=head, metadata={})
        series, sop_instance = head.study.newest
        if item.row:
            series, sop_instance = item.row.series, item.row.sop_instance
        elif item.series:
            series, sop_instance = item.series, head.series[item.series].newest
        _, row = await self.storage.instances.find(key, series, sop_instance)
        if row is None:
            return replace(item, head=head, metadata={})
        text = await latest_metadata(self.storage, row, head.changes_to(row.version))
        return replace(item, head=head, row=row, metadata=dicom_json.lines(text))

    async def _start(self) -> AsyncIterator[Found]:
        """Where the search begins: studies, series or instances from one index, or the study that the path names."""
        if studies := self._named_studies():
            for study in studies:
                head = await self.storage.instances.head(keys.study_partition(self.partition, study))
                if found := self._study(study, head):
                    yield found
            return
        condition = self._most_selective()
        if condition is None and self.query.level is Level.INSTANCE:
            self.in_order = True
            async for found in self._newest_instances():
                yield found
            return
        level = condition.attribute.level if condition else self.query.level
        one_partition = condition is None or len(condition.equal) == 1
        self.in_order = level is self.query.level and one_partition
        async for hit in self._hits(condition, level):
            if found := await self._of_hit(hit):
                yield found

    def _named_studies(self) -> Sequence[str]:
        if self.query.study:
            return [self.query.study]
        uids = [item for item in self.query.conditions if item.attribute is STUDY_INSTANCE_UID]
        return uids[0].equal if uids else ()

    def _most_selective(self) -> Condition | None:
        """The condition to start from: a short list of equal values before ranges and prefixes."""

        def cost(condition: Condition) -> tuple[int, int]:
            tag = condition.attribute.tag
            order = _SELECTIVE_FIRST.index(tag) if tag in _SELECTIVE_FIRST else len(_SELECTIVE_FIRST)
            kind = 0 if condition.equal else 1 if condition.word else 2 if condition.between or condition.prefix else 3
            return (kind, order)

        usable = [
            item
            for item in self.query.conditions
            if item.equal or item.word or item.prefix or item.between or isinstance(item.attribute, ExtendedAttribute)
        ]
        return min(usable, key=cost, default=None)

    async def _hits(self, condition: Condition | None, level: Level) -> AsyncIterator[Hit]:
        lookups, partition = self.storage.lookups, self.partition
        if condition is None:
            table = ALL_STUDIES if level is Level.STUDY else ALL_SERIES
            async for hit in lookups.equal(table, keys.value_partition(partition, "")):
                yield hit
            return
        table = table_of(condition.attribute)
        for value in condition.equal:
            async for hit in lookups.equal(table, keys.value_partition(partition, value)):
                yield hit
        if condition.equal:
            return
        if condition.word:
            first = keys.word_partition(partition, condition.word)
            end = keys.after(first)
        elif condition.between:
            first, last = (keys.value_partition(partition, value) for value in condition.between)
            end = keys.after(last)
        else:
            first = keys.value_partition(partition, condition.prefix)
            end = keys.after(first)
        async for hit in lookups.search(table, first, end):
            yield hit

    async def _of_hit(self, hit: Hit) -> Found | None:
        """What an index row stands for; read from the study's own rows where the index may lag behind."""
        study, *below = hit.identifiers
        key = keys.study_partition(self.partition, study)
        if not below and key not in self.busy and all(item.key in hit.summary for item in self._extended(Level.STUDY)):
            return Found(study, created=hit.created, study_summary=hit.summary)
        head = await self.storage.instances.head(key)
        found = self._study(study, head)
        if found is None or not below:
            return found
        if (series := head.series.get(below[0])) is None:
            return None
        summary = self._summary(series)
        found = replace(found, series=series.series, series_summary=summary, created=series.created)
        if len(below) == 1:
            return found
        _, row = await self.storage.instances.find(key, *below)
        return await self._of_row(found, row) if row else None

    async def _down(self, found: Found) -> AsyncIterator[Found]:
        """From a study or series to the level of the answer, past the conditions of each level on the way."""
        if not self._accepts(Level.STUDY, found.study_summary, found.study):
            return
        if self.query.level is Level.STUDY:
            yield found
            return
        head = found.head or await self.storage.instances.head(keys.study_partition(self.partition, found.study))
        names = [found.series] if found.series else [self.query.series] if self.query.series else list(head.series)
        for name in names:
            row = head.series.get(name)
            if row is None or not self._accepts(Level.SERIES, summary := self._summary(row), name):
                continue
            series = replace(found, head=head, series=name, series_summary=summary, created=row.created, row=found.row)
            if self.query.level is Level.INSTANCE:
                async for instance in self._instances(series, found):
                    yield instance
            elif not self._of_metadata(Level.SERIES):
                yield series
            elif self._accepts_metadata(full := await self.with_metadata(series), Level.SERIES):
                yield full

    async def _instances(self, series: Found, start: Found) -> AsyncIterator[Found]:
        if start.row is not None:
            if self._accepts_metadata(start, Level.INSTANCE):
                yield start
            return
        key = keys.study_partition(self.partition, series.study)
        assert series.head is not None
        # Of many instances only those of the page are worth reading in full.
        brief = not self._of_metadata(Level.INSTANCE) and series.head.series[series.series].instances > _FEW_INSTANCES
        async for row in self.storage.instances.rows(key, series.series, metadata=not brief):
            found = replace(series, row=row, created=row.version) if brief else await self._of_row(series, row)
            if self._accepts_metadata(found, Level.INSTANCE):
                yield found

    async def _of_row(self, series: Found, row: InstanceRow) -> Found:
        assert series.head is not None
        text = await latest_metadata(self.storage, row, series.head.changes_to(row.version))
        return replace(series, row=row, created=row.version, metadata=dicom_json.lines(text))

    async def _newest_instances(self) -> AsyncIterator[Found]:
        """All instances of the partition, newest first: the change feed backwards."""
        _, past = await self.storage.change_feed.bounds(None, None)
        while past > 1:
            first = max(1, past - _ENTRIES_AT_ONCE)
            for entry in reversed(await self.storage.change_feed.read(first, past)):
                change = entry.change
                if change.action != CREATE or change.partition != self.partition:
                    continue
                key = keys.study_partition(self.partition, change.study)
                head, row = await self.storage.instances.find(key, change.series, change.sop_instance)
                study = self._study(change.study, head)
                if study and row and row.version == change.version:
                    series = head.series[row.series]
                    found = replace(study, series=row.series, series_summary=self._summary(series))
                    yield await self._of_row(found, row)
            past = first

    def _accepts(self, level: Level, summary: Summary, uid: str) -> bool:
        """Whether the index of a study or series satisfies the conditions of its level."""
        own = STUDY_INSTANCE_UID if level is Level.STUDY else SERIES_INSTANCE_UID
        known = summary | {own.key: {"vr": "UI", "Value": [uid]}}
        return all(
            item.accepts(known.get(item.attribute.key))
            for item in self.query.conditions
            if item.attribute.level is level and _is_indexed(item.attribute)
        )

    def _of_metadata(self, level: Level) -> list[Condition]:
        """The conditions of a level that only metadata can answer (CL-4)."""
        return [
            item
            for item in self.query.conditions
            if item.attribute.level is level and (level is Level.INSTANCE or not _is_indexed(item.attribute))
        ]

    def _accepts_metadata(self, found: Found, level: Level) -> bool:
        lines = found.metadata or {}
        return all(item.accepts(_element(lines, item.attribute)) for item in self._of_metadata(level))

    def _study(self, study: str, head: StudyHead) -> Found | None:
        if head.study is None or not head.exists:
            return None
        return Found(study, created=head.study.created, study_summary=self._summary(head.study), head=head)

    def _summary(self, row: StudyRow | SeriesRow) -> Summary:
        """What the index says of a study or series, the extended query tags that are filtered by included."""
        level = Level.STUDY if isinstance(row, StudyRow) else Level.SERIES
        tags = {item.key: row.tags[item.id].element for item in self._extended(level) if item.id in row.tags}
        return row.summary | tags

    def _extended(self, level: Level) -> list[ExtendedAttribute]:
        attributes = [item.attribute for item in self.query.conditions if item.attribute.level is level]
        return [attribute for attribute in attributes if isinstance(attribute, ExtendedAttribute)]


def _is_indexed(attribute: Attribute) -> bool:
    """Whether the rows of studies and series have the attribute."""
    return attribute.tag in SEARCHABLE or isinstance(attribute, ExtendedAttribute)


def _element(lines: Mapping[str, bytes], attribute: Attribute) -> dict[str, Any] | None:
    if isinstance(attribute, ExtendedAttribute):
        return tag_value(lines, attribute)
    return element(lines, attribute.tag)
