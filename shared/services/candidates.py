"""Reads what a search may find, from the indexes and from the rows of studies, and leaves out what does not match."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import batched

from shared.dicom import dicom_json
from shared.dicom.searchable import Level
from shared.services.matching import Matcher
from shared.services.metadata import latest_metadata
from shared.services.query import Query
from shared.services.races import StudyChanged
from shared.services.results import Found, needs_head, needs_metadata
from shared.storage import keys
from shared.storage.change_feed import DELETE
from shared.storage.instance_row import InstanceRow
from shared.storage.lookups import Hit, Range
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead

type Batches = AsyncGenerator[tuple[list[Found], bool]]
"""Batches of what matches, each with whether it is the last one."""

_CHANGED = "The study has changed while it was searched."
_AT_ONCE = 16
_STUDIES_AT_ONCE = 100
_INSTANCES_AT_ONCE = 100
_MOST_ROWS = 1000
_FEW_ROWS = 200
_ROWS_FOR_ONE = 10  # as many rows that come with others cost as much as one that is read alone


class Candidates:
    """The reads of one search; it reads the head of a study, or its instances, once."""

    def __init__(self, storage: Storage, partition: str, query: Query) -> None:
        self._storage = storage
        self._partition = partition
        self._query = query
        self._matcher = Matcher(query)
        self._heads: dict[str, StudyHead] = {}
        self._members: dict[str, list[Found]] = {}
        self._busy: set[str] | None = None

    async def of_studies(self, studies: Sequence[str]) -> Batches:
        """What these studies have."""
        if self._query.level is Level.INSTANCE:
            yield await self._of_members(studies, _MOST_ROWS if len(studies) == 1 else _FEW_ROWS), True
            return
        heads = await self._read_heads(studies)
        found = [item for study in studies for item in self._matcher.of_head(study, heads[study])]
        yield await self._checked(found), True

    async def of_rows(self, ranges: Sequence[Range], marked: str = "", wanted: int | None = None) -> Batches:
        """What index rows name: `marked` is a filter on them, `wanted` rows are expected to suffice."""
        if self._query.level is not Level.INSTANCE:
            await self._read_busy()
        async for hits, is_last in self._pages(ranges, marked, wanted):
            yield await self._of_hits(hits), is_last

    async def of_rows_above(self, ranges: Sequence[Range], marked: str = "", wanted: int | None = None) -> Batches:
        """The instances of the studies that index rows of series name, likewise. Rows that do not match lead nowhere."""
        if not self._matcher.is_one_equality:
            await self._read_busy()
        async for hits, is_last in self._pages(ranges, marked, wanted):
            studies = dict.fromkeys(hit.identifiers[0] for hit in hits if self._may_match(hit))
            parts = list(batched(studies, _STUDIES_AT_ONCE, strict=False)) or [()]
            for part in parts:
                yield await self._of_members(part, _FEW_ROWS), is_last and part is parts[-1]

    async def newest_instances(self) -> Batches:
        """All instances of the partition, newest first: the change feed backwards."""
        _, past = await self._storage.change_feed.bounds(None, None)
        while True:
            first = max(1, past - _MOST_ROWS)
            entries = await self._storage.change_feed.read(first, past)
            names = [
                ((change.study, change.series, change.sop_instance), change.version)
                for change in (entry.change for entry in reversed(entries))
                if change.action != DELETE and change.partition == self._partition
            ]
            parts = list(batched(names, _INSTANCES_AT_ONCE, strict=False)) or [()]
            for part in parts:
                found = await self._of_names(part)
                yield found, first == 1 and part is parts[-1]
            past = first

    async def completed(self, page: Sequence[Found]) -> list[Found]:
        """The results with all that is to be shown of them."""
        if needs_metadata(self._query):
            return await self._with_metadata(page)
        lacking = [item for item in page if needs_head(self._query, item)]
        known = {item.identifiers: item for item in await self._with_heads(lacking)}
        return [known.get(item.identifiers, item) for item in page]

    # Index rows

    async def _pages(
        self, ranges: Sequence[Range], marked: str, wanted: int | None
    ) -> AsyncGenerator[tuple[list[Hit], bool]]:
        """Pages of index rows, each with whether it is the last one."""
        for number, rows in enumerate(ranges, 1):
            async for hits, is_end in self._storage.lookups.pages(rows, marked, wanted):
                yield hits, is_end and number == len(ranges)

    async def _read_busy(self) -> None:
        """Reads, before any index, of which studies the rows may lag behind."""
        if self._busy is None:
            self._busy = await self._storage.intents.studies()

    def _tells(self, hit: Hit) -> bool:
        """Whether an index row says all about its study or series, and is to be trusted."""
        return (
            self._busy is not None and self._matcher.says_all(hit) and self._key(hit.identifiers[0]) not in self._busy
        )

    def _may_match(self, hit: Hit) -> bool:
        return not self._tells(hit) or self._matcher.accepts(_found(hit))

    # Studies and series

    async def _read_heads(self, studies: Iterable[str]) -> dict[str, StudyHead]:
        missing = [study for study in dict.fromkeys(studies) if study not in self._heads]
        heads = await _together(self._storage.instances.head(self._key(study)) for study in missing)
        self._heads |= dict(zip(missing, heads, strict=True))
        return self._heads

    async def _of_hits(self, hits: Sequence[Hit]) -> list[Found]:
        """What matches of the studies, series or instances that index rows stand for."""
        if self._query.level is Level.INSTANCE:
            likely = [hit for hit in hits if self._matcher.accepts_uid(hit.identifiers[-1])]
            return await self._of_names([(hit.identifiers, hit.created) for hit in likely])
        told = [self._tells(hit) for hit in hits]
        heads = await self._read_heads(
            hit.identifiers[0] for hit, is_told in zip(hits, told, strict=True) if not is_told
        )
        found: list[Found] = []
        for hit, is_told in zip(hits, told, strict=True):
            item = _found(hit)
            if is_told:
                found += [item] if self._matcher.accepts(item) else []
            else:
                of_head = self._matcher.of_head(item.study, heads[item.study])
                found += [other for other in of_head if other.series == item.series]
        return await self._checked(found)

    async def _checked(self, found: list[Found]) -> list[Found]:
        """Those that match by their metadata, too."""
        if not self._matcher.needs_metadata:
            return found
        return [item for item in await self._with_metadata(found) if self._matcher.accepts_metadata(item)]

    # Instances

    async def _of_members(self, studies: Sequence[str], few: int) -> list[Found]:
        """The instances of these studies that match, with metadata if there are but `few` in a study."""
        missing = [study for study in studies if study not in self._members]
        found = await _together(self._read_members(study, few) for study in missing)
        self._members |= dict(zip(missing, found, strict=True))
        return await self._checked([item for study in studies for item in self._members[study]])

    async def _read_members(self, study: str, few: int) -> list[Found]:
        key, series = self._key(study), self._query.series
        if self._matcher.needs_metadata:
            few = _MOST_ROWS
        if series:
            head = (await self._read_heads([study]))[study]
            count = head.series[series].instances if series in head.series else 0
            rows = [row async for row in self._storage.instances.rows(key, head, series, metadata=count <= few)]
        else:
            head, rows = await self._storage.instances.members(key, few)
            self._heads[study] = head
            count = head.study.instances if head.study else 0
        return self._of_instances(study, head, _all(head, rows, count))

    def _of_instances(self, study: str, head: StudyHead, rows: Iterable[InstanceRow]) -> list[Found]:
        """What matches as far as rows decide."""
        series = {item.series: item for item in self._matcher.of_head(study, head)}
        return [
            replace(series[row.series], row=row, created=row.version)
            for row in rows
            if row.series in series and self._matcher.accepts_uid(row.sop_instance)
        ]

    async def _of_names(self, names: Sequence[tuple[tuple[str, ...], int]]) -> list[Found]:
        """Those of the instances, as UIDs and version, that are there and match, in this order."""
        places = {name: place for place, name in enumerate(names)}
        heads = await self._read_heads(study for (study, *_), _ in places)
        studies: dict[str, set[tuple[str, ...]]] = {}
        for (study, *name), version in places:
            if not _is_of_update(heads[study], version):
                studies.setdefault(study, set()).add(tuple(name))
        rows = await _together(self._named_rows(study, heads[study], studies[study]) for study in studies)
        found = [
            item
            for study, read in zip(studies, rows, strict=True)
            for item in self._of_instances(study, heads[study], read)
            if (item.identifiers, item.created) in places
        ]
        found.sort(key=lambda item: places[item.identifiers, item.created])
        return await self._checked(found)

    async def _named_rows(self, study: str, head: StudyHead, names: Collection[tuple[str, ...]]) -> list[InstanceRow]:
        """The rows of instances (series and SOP instance) of a study, and others with them if that takes less."""
        key = self._key(study)
        if head.study is None or not self._matcher.of_head(study, head):
            return []
        if head.study.instances <= len(names) * _ROWS_FOR_ONE:
            rows = [row async for row in self._storage.instances.rows(key, head, metadata=True)]
            return _all(head, rows, head.study.instances)
        read = await _together(self._storage.instances.get(key, *name) for name in names)
        held = [row for row in read if row and head.holds(row)]
        if len(held) < len(names) and (await self._storage.instances.head(key)).study != head.study:
            raise StudyChanged(_CHANGED)
        return held

    # What is shown

    async def _with_heads(self, found: Sequence[Found]) -> list[Found]:
        heads = await self._read_heads(item.study for item in found if item.head is None)
        return [replace(item, head=item.head or heads[item.study]) for item in found]

    async def _with_metadata(self, found: Sequence[Found]) -> list[Found]:
        """Adds the metadata of the instance, or of the newest one of a study or series (QIDO-114)."""
        return await _together(self._read_metadata(item) for item in await self._with_heads(found))

    async def _read_metadata(self, item: Found) -> Found:
        if item.metadata is not None:
            return item
        head, row = item.head, item.row
        if head is None or head.study is None or not head.exists or (item.series and item.series not in head.series):
            raise StudyChanged(_CHANGED)
        if row is None or not (row.packed_metadata or row.metadata_blob):
            series, sop_instance = head.study.newest
            if row:
                series, sop_instance = row.series, row.sop_instance
            elif item.series:
                series, sop_instance = item.series, head.series[item.series].newest
            row = await self._storage.instances.get(self._key(item.study), series, sop_instance)
            if row is None or not head.holds(row):
                raise StudyChanged(_CHANGED)
        text = await latest_metadata(self._storage, row, head.changes_to(row.version))
        return replace(item, row=row, metadata=dicom_json.lines(text))

    def _key(self, study: str) -> str:
        return keys.study_partition(self._partition, study)


def _found(hit: Hit) -> Found:
    """The study or series that an index row stands for."""
    study, series = (*hit.identifiers, "")[:2]
    return Found(study, series, hit.created, hit.summary)


def _is_of_update(head: StudyHead, version: int) -> bool:
    """Whether a bulk update gave the version: so no instance was stored as it. Not all of these are remembered."""
    later = head.study is not None and version > head.study.instance_version
    return later or any(row.version == version for row in head.change_sets)


def _all(head: StudyHead, rows: Iterable[InstanceRow], count: int) -> list[InstanceRow]:
    """The rows of a study or series that has so many instances, without those that were stored after the head was read.

    Raises StudyChanged when some are not there any more: results have all instances of what is deleted, or none (DEL-15).
    """
    newest = head.study.version if head.study else 0
    known = [row for row in rows if row.version <= newest]
    if len(known) != count:
        raise StudyChanged(_CHANGED)
    return known


async def _together[T](reads: Iterable[Awaitable[T]]) -> list[T]:
    """The results of reads of which only some go on at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(read: Awaitable[T]) -> T:
        async with gate:
            return await read

    return await asyncio.gather(*(one(read) for read in reads))
