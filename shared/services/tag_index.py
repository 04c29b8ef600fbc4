"""The index of extended query tags: kept by whoever changes a study, filled by the re-index of a new tag.

Study and series rows hold the values of their level ("latest wins", EQT-63), from which the lookup rows follow as they do
for the built-in attributes (lookups.rows_of, settle). Lookup rows of instances are hints, as those of the SOPInstanceUID:
never missing, and whoever reads one looks at the instance.

Why a new tag misses nothing, although a store asks nobody for the list of tags but uses the one that its process knows:
a tag is added to the list first, then the list's version is announced in the head row of the change feed, and only then
does the re-index begin. Every store appends to the feed, after its commit and before its answer, in a transaction that
holds the head row's ETag. If it appended before the announcement, its instances were there when the re-index began. If
after, it has learnt of the new version from the head row (`ChangeFeed.tags_version`), and indexes its studies for the tags
that it had not known (`catch_up`, D-18); its intent makes upkeep do so should it die in between. A bulk update reads the
list after its commit: a tag that is not on it yet is re-indexed after the commit, and finds the change set.

Nothing is overwritten: all writes of values replace the study row under its ETag. A re-index that loses the race merges: what
instances stored meanwhile have put there stays, what it has found itself counts as long as the instances are there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from shared.dicom import dicom_json
from shared.dicom.searchable import ExtendedAttribute, Level
from shared.services.metadata import latest_metadata
from shared.services.races import ATTEMPTS, StudyChanged, contended, lost
from shared.services.settle import settle
from shared.services.tag_errors import Problem
from shared.services.tag_values import Elements, tag_problem, tag_values
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.lookups import LookupKey, rows_of, tag_keys
from shared.storage.query_tags import TagError, TagList
from shared.storage.storage import Storage
from shared.storage.study_head import Outbox, StudyHead
from shared.storage.study_rows import TagValue, TagValues
from shared.storage.wire import Operation, TransactionFailed

_SERIES_PER_TRANSACTION = 90
_ANY_VERSION = 2**63 - 1


@dataclass(slots=True)
class Survey:
    """What the instances of a study say about some attributes: `newest` is the highest version among them.

    `lookups` are the lookup rows of instances, `problems` what cannot be indexed, `sources` the instances that the values
    come from, as version -> (series, SOP instance).
    """

    attributes: Sequence[ExtendedAttribute]
    newest: int = 0
    study: TagValues = field(default_factory=dict)
    series: dict[str, TagValues] = field(default_factory=dict)
    sources: dict[int, tuple[str, str]] = field(default_factory=dict)
    lookups: set[LookupKey] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


async def catch_up(storage: Storage, key: str, used: TagList) -> None:
    """Indexes a study for the tags that were announced since `used` was read. To be called after an append to the feed."""
    announced = storage.change_feed.tags_version
    if announced > used.version:
        tags = await storage.query_tags.known(announced)
        await index_study(storage, key, tags, [item for item in tags.indexed if item.id >= used.next_id])


async def index_changed(storage: Storage, key: str, changed: Collection[str]) -> set[LookupKey]:
    """Indexes a study anew for the tags on attributes (DICOM JSON names) that a committed bulk update has changed (D-64).

    Returns the lookup rows of its instances.
    """
    tags = await storage.query_tags.read()
    affected = [attribute for attribute in tags.indexed if attribute.key in changed]
    return (await index_study(storage, key, tags, affected)).lookups


async def index_study(storage: Storage, key: str, tags: TagList, attributes: Sequence[ExtendedAttribute]) -> Survey:
    """Makes the index say about `attributes` what the metadata of the study's instances says. Can be repeated at any point.

    Raises Unavailable when other writers win too often.
    """
    if not attributes:
        return Survey(attributes)
    head, survey = await _survey(storage, key, attributes)
    attempts = iter(ATTEMPTS)
    while True:
        after, operations = _change(key, head, survey, tags)
        if not operations or after.study is None:
            break
        try:
            etags = await storage.instances.commit(operations)
        except TransactionFailed as error:
            if (attempt := next(attempts, None)) is None:
                raise contended() from None
            await lost(error, attempt)
        else:
            after.study = replace(after.study, etag=etags[0])
            if len(operations) <= _SERIES_PER_TRANSACTION:
                break
        change_sets, head = head.change_sets, await storage.instances.head(key)
        if head.change_sets != change_sets or not await _still_there(storage, key, survey):
            head, survey = await _survey(storage, key, attributes)
    await settle(storage, key, after, rows_of(key, _applied(after, Survey([]), {item.id for item in attributes})))
    await storage.lookups.write(dict.fromkeys(survey.lookups, "{}"))
    return survey


async def is_indexed(storage: Storage, key: str, attributes: Sequence[ExtendedAttribute]) -> bool:
    """Whether the index says about `attributes` what the metadata of the study's instances says, and has all its rows."""
    head, survey = await _survey(storage, key, attributes)
    after = _applied(head, survey, {attribute.id for attribute in attributes})
    there = await storage.lookups.there(survey.lookups)
    return (after.study, after.series) == (head.study, head.series) and set(there) == survey.lookups


def without_dead(head: StudyHead, tags: TagList) -> StudyHead:
    """The head without values of tags that have been deleted, whose tables are gone."""
    live = {attribute.id for attribute in tags.indexed}
    known = [row.tags for row in (head.study, *head.series.values()) if row]
    return _applied(head, Survey([]), {tag for values in known for tag in values if tag < tags.next_id} - live)


async def without_gone(storage: Storage, key: str, head: StudyHead, gone: Collection[int]) -> StudyHead:
    """`head`, to be committed by a delete or a replacement, without the values of tags that come from instances which are
    `gone`, given by their versions: the newest that stays has its say (D-44).
    """
    known = [row.tags for row in (head.study, *head.series.values()) if row]
    stale = {tag for values in known for tag, value in values.items() if value.version in gone}
    if not stale:
        return head
    tags = await storage.query_tags.read()
    survey = Survey([attribute for attribute in tags.indexed if attribute.id in stale])
    async for row in storage.instances.rows(key, head, metadata=True):
        if row.version not in gone:
            await _look_at(storage, key, head, row, survey)
    return _applied(head, survey, stale, max(survey.newest, *gone))


async def instance_attributes(storage: Storage) -> list[ExtendedAttribute]:
    """The attributes of the level of instances whose lookup rows have to go with their instances.

    From the list as it is now: a process that has not learnt of a tag yet would leave its rows.
    """
    tags = await storage.query_tags.read()
    return [attribute for attribute in tags.indexed if attribute.level is Level.INSTANCE]


async def instance_lookups(
    storage: Storage, key: str, head: StudyHead, rows: Iterable[InstanceRow], attributes: Sequence[ExtendedAttribute]
) -> set[LookupKey]:
    """The lookup rows of instances in the tables of tags. `rows` have their metadata, if there are `attributes`."""
    survey = Survey(attributes)
    for row in rows if attributes else ():
        await _look_at(storage, key, head, row, survey)
    return survey.lookups


def instance_keys(key: str, row: InstanceRow, elements: Elements) -> list[LookupKey]:
    """The lookup rows of one instance in the tables of tags."""
    return [
        lookup
        for attribute, element in elements.items()
        if attribute.level is Level.INSTANCE
        for lookup in tag_keys(key, row, attribute, element)
    ]


def merged(known: TagValues, elements: Elements, level: Level, version: int) -> TagValues:
    """The values of a study or series after an instance with these elements has been stored as `version`."""
    return known | {
        attribute.id: TagValue(version, attribute.key, element)
        for attribute, element in elements.items()
        if attribute.level is level
    }


async def _survey(storage: Storage, key: str, attributes: Sequence[ExtendedAttribute]) -> tuple[StudyHead, Survey]:
    head, survey = await storage.instances.head(key), Survey(attributes)
    async for row in storage.instances.rows(key, head, metadata=True):
        await _look_at(storage, key, head, row, survey)
    return head, survey


async def _look_at(storage: Storage, key: str, head: StudyHead, row: InstanceRow, survey: Survey) -> None:
    """Adds what the metadata of one instance says."""
    await asyncio.sleep(0)  # the metadata of thousands of instances would keep requests waiting
    try:
        text = await latest_metadata(storage, row, head.changes_to(row.version))
    except StudyChanged:
        if (await _stored_version(storage, key, row.series, row.sop_instance)) == row.version:
            raise
        return  # deleted meanwhile (EQT-86)
    lines = dicom_json.lines(text)
    elements = tag_values(lines, survey.attributes)
    _add(survey, key, row, elements)
    partition, study = keys.parse_study_partition(key)
    for attribute in survey.attributes:
        if attribute not in elements and (problem := tag_problem(lines, attribute)):
            error = TagError(partition, study, row.series, row.sop_instance, problem)
            survey.problems.append(Problem(attribute, error, row.version))


def _add(survey: Survey, key: str, row: InstanceRow, elements: Elements) -> None:
    survey.newest = max(survey.newest, row.version)
    survey.lookups.update(instance_keys(key, row, elements))
    for attribute, element in elements.items():
        if attribute.level is Level.INSTANCE:
            continue
        place = survey.study if attribute.level is Level.STUDY else survey.series.setdefault(row.series, {})
        known = place.get(attribute.id)
        if known is None or known.version < row.version:
            place[attribute.id] = TagValue(row.version, attribute.key, element)
            survey.sources[row.version] = (row.series, row.sop_instance)


async def _still_there(storage: Storage, key: str, survey: Survey) -> bool:
    """Whether the instances that values come from are still what they were."""
    used = {value.version for tags in (survey.study, *survey.series.values()) for value in tags.values()}
    versions = await asyncio.gather(*(_stored_version(storage, key, *survey.sources[version]) for version in used))
    return set(versions) == used


async def _stored_version(storage: Storage, key: str, series: str, sop_instance: str) -> int | None:
    """The version of an instance, None when there is none."""
    _, row = await storage.instances.find(key, series, sop_instance)
    return row.version if row else None


def _change(key: str, head: StudyHead, survey: Survey, tags: TagList) -> tuple[StudyHead, list[Operation]]:
    """The head with the values of the survey, and the operations that lead there; none when it has them already.

    Of more series than a transaction holds the rest is left for the next one.
    """
    if head.study is None or not head.exists:
        return head, []
    wanted = _applied(without_dead(head, tags), survey, {item.id for item in survey.attributes}, survey.newest)
    assert wanted.study is not None
    changed = [row for name, row in wanted.series.items() if row != head.series[name]][:_SERIES_PER_TRANSACTION]
    if wanted.study == head.study and not changed:
        return wanted, []
    after = replace(wanted, series=head.series | {row.series: row for row in changed})
    operations = [
        Operation("update", entity) for entity in (wanted.study.entity(key), *(r.entity(key) for r in changed))
    ]
    if stale := sorted(set(rows_of(key, head)) - set(rows_of(key, after))):
        after.outbox.append(Outbox(f"tags-{secrets.token_hex(8)}", stale))
        operations.append(Operation("upsert", after.outbox[-1].entity(key)))
    return after, operations


def _applied(head: StudyHead, survey: Survey, replaced: Collection[int], newest: int = _ANY_VERSION) -> StudyHead:
    """The head with the values of the survey in place of those that it has of the tags `replaced`.

    Values of instances beyond the version `newest`, which the survey has not seen, stay.
    """

    def values(known: TagValues, found: TagValues) -> TagValues:
        return found | {tag: value for tag, value in known.items() if tag not in replaced or value.version > newest}

    study = replace(head.study, tags=values(head.study.tags, survey.study)) if head.study else None
    series = {
        name: replace(row, tags=values(row.tags, survey.series.get(name, {}))) for name, row in head.series.items()
    }
    return replace(head, study=study, series=series, outbox=list(head.outbox))
