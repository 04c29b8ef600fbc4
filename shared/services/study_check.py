"""The invariants of a study: what its rows, files, lookup rows and feed entries say of each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from shared.services.clearance import clear
from shared.services.feed_check import FeedIndex
from shared.services.settle import settle
from shared.services.tag_index import index_study, is_indexed, without_dead
from shared.storage import keys
from shared.storage.bundles import Extent
from shared.storage.change_feed import CREATE, UPDATE, Change
from shared.storage.instance_row import InstanceRow
from shared.storage.instances import TABLE
from shared.storage.intents import new_request_id
from shared.storage.lookups import instance_key, rows_of
from shared.storage.query_tags import READY
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import StudyRow
from shared.storage.wire import Entity, Operation

FENCE_SECONDS = 7 * 24 * 3600
"""How long after its start a request that was given up may still try to commit; its fence is of no use afterwards."""

_PAUSES_SECONDS = (0.1, 0.3, 1.0, 3.0)
_LISTINGS_AT_ONCE = 16
_MOST_OPERATIONS = 100

type Mend = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold. `where` and `what` have UIDs and names of tables and blobs, no patient data.

    `mend` repairs it without guessing; None when that cannot be done.
    """

    where: str
    what: str
    mend: Mend | None = None


async def check_study(storage: Storage, key: str, feed: FeedIndex | None = None) -> list[Violation]:
    """What does not hold in the study `key`; its entries are looked for only with a `feed`.

    A study that somebody works on is looked at again, and in the end taken for sound: what stays undone shows by its intent.
    """
    if not await _violations(storage, key, feed):
        return []
    for pause in _PAUSES_SECONDS:
        is_idle = key not in await storage.intents.studies()
        before = await storage.instances.head(key)
        found = await _violations(storage, key, feed)
        after = await storage.instances.head(key)
        if not found or (is_idle and before == after and key not in await storage.intents.studies()):
            return found
        await asyncio.sleep(pause)
    return []


async def _violations(storage: Storage, key: str, feed: FeedIndex | None) -> list[Violation]:
    head = await storage.instances.head(key)
    every = [row async for row in storage.instances.every_row(key)]
    rows = [row for row in every if head.holds(row)]
    return [
        *_counts(storage, key, head, rows),
        *_remains(storage, key, head, every),
        *_change_sets(storage, key, head),
        *_leftovers(storage, key, head),
        *await _files(storage, key, rows),
        *await _lookups(storage, key, head, rows),
        *await _tags(storage, key),
        *(await _entries(storage, key, head, rows, feed) if feed else ()),
    ]


def _counts(storage: Storage, key: str, head: StudyHead, rows: Sequence[InstanceRow]) -> list[Violation]:
    """The study and its series count their instances, and know the newest of them."""
    study = head.study
    if study is None:
        return [Violation(key, "instances or series without a study row")] if rows or head.series else []
    expected = _recounted(study, rows)
    wanted = {name: _counted(members) for name, members in _by_series(rows).items()}
    said = {name: (row.instances, row.newest, row.version) for name, row in head.series.items()}
    if expected == study and wanted == said:
        return []

    async def recount() -> None:
        operations = [] if expected == study else [Operation("update", expected.entity(key))]
        for name, row in head.series.items():
            if name not in wanted:
                operations.append(Operation("delete", row.entity(key)))
            elif wanted[name] != said[name]:
                instances, newest, version = wanted[name]
                right = replace(row, instances=instances, newest=newest, version=version)
                operations.append(Operation("update", right.entity(key)))
        if operations:
            await storage.instances.commit(operations[:_MOST_OPERATIONS])

    return [Violation(key, "the study or its series count wrongly", recount)]


def _recounted(study: StudyRow, rows: Sequence[InstanceRow]) -> StudyRow:
    if not rows:
        return replace(study, instances=0, series=0)
    newest = _newest(rows)
    return replace(
        study,
        instances=len(rows),
        series=len(_by_series(rows)),
        newest=(newest.series, newest.sop_instance),
        version=max(study.version, newest.version),
        instance_version=max(study.instance_version, newest.version),
    )


def _counted(series: Sequence[InstanceRow]) -> tuple[int, str, int]:
    newest = _newest(series)
    return len(series), newest.sop_instance, newest.version


def _by_series(rows: Iterable[InstanceRow]) -> dict[str, list[InstanceRow]]:
    found: dict[str, list[InstanceRow]] = {}
    for row in rows:
        found.setdefault(row.series, []).append(row)
    return found


def _newest(rows: Iterable[InstanceRow]) -> InstanceRow:
    return max(rows, key=lambda row: row.version)


def _change_sets(storage: Storage, key: str, head: StudyHead) -> list[Violation]:
    """Change sets hold patients' data, and cover nothing that is stored later (UPD-52)."""
    if head.change_sets and not head.exists:

        async def remove() -> None:
            await storage.instances.commit([Operation("delete", row.entity(key)) for row in head.change_sets])

        return [Violation(key, "change sets without a study", remove)]
    latest = head.study.instance_version if head.study else 0
    if any(row.cover > latest for row in head.change_sets):
        return [Violation(key, "a change set that covers instances which are not stored yet")]
    return []


def _remains(storage: Storage, key: str, head: StudyHead, rows: Sequence[InstanceRow]) -> list[Violation]:
    """What was deleted has been cleared away (DEL-9, D-50)."""
    if head.study is None:
        return []
    count = sum(not head.holds(row) for row in rows) + len(head.removed)
    count += sum(row.cover <= head.study.floor for row in head.change_sets)
    count += not (head.exists or rows or head.fences or head.outbox)  # the row of the study itself
    if not count:
        return []
    return [Violation(key, f"{count} rows of what was deleted", partial(clear, storage, key, new_request_id(), None))]


def _leftovers(storage: Storage, key: str, head: StudyHead) -> list[Violation]:
    found = []
    if head.outbox:
        what = f"{len(head.outbox)} outbox rows of requests that are over"
        found.append(Violation(key, what, lambda: settle(storage, key, head, {})))
    limit = time.time_ns() // 1000 - FENCE_SECONDS * 1_000_000
    if old := [fence for fence in head.fences if keys.request_time(fence) < limit]:

        async def remove() -> None:
            fences = [Entity(key, keys.fence_row(fence), {}, "*") for fence in old[:_MOST_OPERATIONS]]
            await storage.wire.transact(TABLE, [Operation("delete", fence) for fence in fences])

        found.append(Violation(key, f"{len(old)} fences of requests that are long over", remove))
    return found


async def _files(storage: Storage, key: str, rows: Sequence[InstanceRow]) -> list[Violation]:
    """Each instance has its file, and its metadata blob if it names one. One listing for each request that stored some."""
    gate = asyncio.Semaphore(_LISTINGS_AT_ONCE)

    async def files_below(prefix: str) -> list[Extent]:
        async with gate:
            blobs = [blob async for blob in storage.wire.blobs(prefix)]
        return [file for blob in blobs for file in blob.files]

    prefixes = {row.blob.rpartition("/")[0] + "/" for row in rows}
    found = await asyncio.gather(*(files_below(prefix) for prefix in prefixes))
    files = {file.place: file for some in found for file in some}
    violations = []
    for row in rows:
        where = f"{key} {row.series} {row.sop_instance}"
        file = files.get((row.blob, row.offset))
        if file is None or file.length != row.length:
            what = f"has {file.length} bytes instead of {row.length}" if file else "is missing"
            violations.append(Violation(where, f"the file {row.blob} {what}"))
        if row.metadata_blob and (row.metadata_blob, 0) not in files:
            violations.append(Violation(where, f"the metadata {row.metadata_blob} is missing"))
    return violations


async def _lookups(storage: Storage, key: str, head: StudyHead, rows: Sequence[InstanceRow]) -> list[Violation]:
    """Every lookup row that is wanted is there."""
    wanted = rows_of(key, without_dead(head, await storage.query_tags.read()))
    instances = {instance_key(key, row): "{}" for row in rows}
    there = await storage.lookups.there([*wanted, *instances])
    missing = {lookup for lookup, summary in (wanted | instances).items() if there.get(lookup) != summary}
    if not missing:
        return []

    async def write() -> None:
        await storage.lookups.write(dict.fromkeys(missing & set(instances), "{}"))
        await settle(storage, key, head, {})

    tables = ", ".join(sorted({table for table, _, _ in missing}))
    return [Violation(key, f"{len(missing)} lookup rows are missing or wrong in {tables}", write)]


async def _tags(storage: Storage, key: str) -> list[Violation]:
    """The index of the extended query tags that can be searched by says what the metadata say."""
    tags = await storage.query_tags.read()
    attributes = [tag.attribute for tag in tags.tags if tag.status == READY]
    if not attributes or await is_indexed(storage, key, attributes):
        return []
    mend = partial(index_study, storage, key, tags, attributes)
    return [Violation(key, "extended query tags are not indexed as the metadata say", mend)]


async def _entries(
    storage: Storage, key: str, head: StudyHead, rows: Sequence[InstanceRow], feed: FeedIndex
) -> list[Violation]:
    """The feed tells of each instance's store, and of its latest update (CF-40, CF-42).

    What a damaged feed lacks cannot be said, nor be appended to it.
    """
    if feed.faults:
        return []
    partition, study = keys.parse_study_partition(key)

    def missing() -> list[Change]:
        return [
            Change(
                partition,
                study,
                row.series,
                row.sop_instance,
                UPDATE if row.replaces or version != row.version else CREATE,
                version,
            )
            for row in rows
            for version in sorted({row.version, head.current_version(row.version)})
            if not feed.has(key, row.sop_instance, version)
        ]

    if missing():
        await feed.read_on()
    lost = missing()

    async def append() -> None:
        for change in lost:  # under a name that makes a repeat a no-op
            await storage.change_feed.append(f"fsck-{change.sop_instance}-{change.version}", [change])

    return [Violation(key, f"{len(lost)} entries of the change feed are missing", append)] if lost else []
