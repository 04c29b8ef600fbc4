"""The check of a whole account: studies, change feed, lookup tables, files and work in flight against each other.

Nothing is held in memory but a study, a page of a listing, and what work is in flight; the change feed is indexed on disk.
The account may be in use: what somebody works on is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from shared.dicom.searchable import ExtendedAttribute, Level
from shared.errors import ServiceError
from shared.services import upkeep
from shared.services.feed_check import FeedIndex
from shared.services.files import remove_files
from shared.services.settle import settle
from shared.services.study_check import Violation, check_study
from shared.services.tag_index import instance_lookups
from shared.storage import keys, lookups
from shared.storage.bundles import Extent
from shared.storage.intents import Intent
from shared.storage.lookups import LookupKey, instance_key, rows_of, table_of
from shared.storage.operations import ENDED, REINDEX, UPDATE
from shared.storage.query_tags import READY
from shared.storage.storage import Storage
from shared.storage.wire import StorageError, StoredBlob

INTENT_SECONDS = 3600
"""How long work may be silent: upkeep should have finished or undone it long before."""

SAMPLE_ENTRIES = 3
"""How many entries, at a random place of the feed, name the studies that every run of upkeep checks."""
SAMPLE_INSTANCES = 100
"""Larger studies are left to a whole check: each instance takes a read."""

_BLOBS_AT_ONCE = 200
_READS_AT_ONCE = 16
_STUDIES_REMEMBERED = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation, and whether it has been repaired."""

    violation: Violation
    repaired: bool


async def check(storage: Storage, *, repair: bool = False) -> AsyncIterator[Finding]:
    """Finds what does not hold in the account, and with `repair` mends what can be mended without guessing."""
    feed = FeedIndex(storage)
    try:
        await feed.read_on()
        for violation in _feed_violations(storage, feed):
            yield await _handled(violation, repair)
        async for key in storage.instances.studies():
            for finding in await _checked(partial(check_study, storage, key, feed), repair):
                yield finding
    finally:
        feed.close()
    attributes = [tag.attribute for tag in (await storage.query_tags.read()).tags if tag.status == READY]
    for table, attribute in [
        *((table, None) for table in lookups.TABLES),
        *((table_of(attribute), attribute) for attribute in attributes),
    ]:
        async for violation in _stray_lookups(storage, table, attribute):
            yield await _handled(violation, repair)
    async for violation in _orphans(storage):
        yield await _handled(violation, repair)
    for finding in await _checked(partial(_work, storage), repair):
        yield finding


async def check_sample(storage: Storage) -> None:
    """Checks a few studies, logs what does not hold, and keeps the number of violations for the health check."""
    _, past = await storage.change_feed.bounds(None, None)
    first = random.randrange(1, max(past, 2))
    entries = await storage.change_feed.read(first, min(past, first + SAMPLE_ENTRIES))
    violations: list[Violation] = []
    for key in {keys.study_partition(entry.change.partition, entry.change.study) for entry in entries}:
        head = await storage.instances.head(key)
        if head.study is None or head.study.instances <= SAMPLE_INSTANCES:
            violations += await check_study(storage, key)
    for violation in violations:
        logger.error("Violation in %s: %s.", violation.where, violation.what)
    await storage.operations.record_sample(len(violations))


async def _handled(violation: Violation, repair: bool) -> Finding:
    """Mends what is wrong if that is wanted. A repair that fails keeps nothing else from being repaired."""
    if not repair or violation.mend is None:
        return Finding(violation, False)
    try:
        await violation.mend()
    except (StorageError, ServiceError) as error:
        logger.error("Cannot repair %s: %s.", violation.where, type(error).__name__)
        return Finding(violation, False)
    return Finding(violation, True)


async def _checked(run: Callable[[], Awaitable[list[Violation]]], repair: bool) -> list[Finding]:
    """What a check finds, repaired if a second check finds it no more."""
    found = await run()
    if not repair or not found:
        return [Finding(violation, False) for violation in found]
    for violation in found:
        await _handled(violation, repair)
    left = {(violation.where, violation.what) for violation in await run()}
    return [Finding(violation, (violation.where, violation.what) not in left) for violation in found]


def _feed_violations(storage: Storage, feed: FeedIndex) -> list[Violation]:
    found = [Violation("change feed", fault) for fault in feed.faults]
    for timestamp, sequence in feed.times.items():
        what = f"the time index lacks the time of sequence {sequence}"
        found.append(Violation("change feed", what, partial(storage.change_feed.set_time, timestamp, sequence)))
    return found


# Lookup rows


async def _stray_lookups(storage: Storage, table: str, tag: ExtendedAttribute | None) -> AsyncIterator[Violation]:
    """The rows of a lookup table, or of that of an extended query tag, that no study, series or instance wants."""
    wanted: dict[str, set[LookupKey]] = {}
    async for lookup in storage.lookups.every(table):
        key = _study_of(lookup)
        if _names_instance(lookup):
            wants = lookup in await _wanted(storage, key, lookup, tag)
        else:
            if key not in wanted:
                if len(wanted) >= _STUDIES_REMEMBERED:
                    wanted.pop(next(iter(wanted)))
                wanted[key] = await _wanted(storage, key, lookup, tag)
            wants = lookup in wanted[key]
        if not wants and await _is_stray(storage, key, lookup, tag):
            _, identifiers = keys.parse_lookup_row(lookup[2])
            where = " ".join((key, *identifiers[1:]))
            yield Violation(where, f"a stray row in {table}", partial(_remove_lookup, storage, key, lookup))


def _study_of(lookup: LookupKey) -> str:
    _, partition_key, row_key = lookup
    return keys.study_partition(partition_key.split(keys.SEPARATOR)[0], keys.parse_lookup_row(row_key)[1][0])


def _names_instance(lookup: LookupKey) -> bool:
    _, identifiers = keys.parse_lookup_row(lookup[2])
    return len(identifiers) == Level.INSTANCE


async def _wanted(storage: Storage, key: str, lookup: LookupKey, tag: ExtendedAttribute | None) -> set[LookupKey]:
    """The lookup rows of a study and its series; of an instance, if that is what `lookup` is about."""
    if not _names_instance(lookup):
        return set(rows_of(key, await storage.instances.head(key)))
    _, (_, series, sop_instance) = keys.parse_lookup_row(lookup[2])
    head, row = await storage.instances.find(key, series, sop_instance)
    if row is None:
        return set()
    return await instance_lookups(storage, key, head, [row], [tag]) if tag else {instance_key(key, row)}


async def _is_stray(storage: Storage, key: str, lookup: LookupKey, tag: ExtendedAttribute | None) -> bool:
    """Whether the row is there although nobody who may still remove it is at work."""
    before = await storage.instances.head(key)
    if key in await storage.intents.studies():
        return False
    if lookup in await _wanted(storage, key, lookup, tag) or not await storage.lookups.there([lookup]):
        return False
    return key not in await storage.intents.studies() and before == await storage.instances.head(key)


async def _remove_lookup(storage: Storage, key: str, lookup: LookupKey) -> None:
    """Settles the study, so that the row is removed only as long as no commit wants it again."""
    await settle(storage, key, await storage.instances.head(key), {lookup: ""})


# Files


async def _orphans(storage: Storage) -> AsyncIterator[Violation]:
    """The files that belong to no instance and to no work in flight."""
    partitions = [partition.name for partition in await storage.partitions.all()]
    blobs: list[StoredBlob] = []
    async for blob in storage.wire.blobs(""):
        blobs.append(blob)
        if len(blobs) == _BLOBS_AT_ONCE:
            for violation in await _orphans_of(storage, partitions, blobs):
                yield violation
            blobs = []
    for violation in await _orphans_of(storage, partitions, blobs):
        yield violation


async def _orphans_of(storage: Storage, partitions: Iterable[str], blobs: list[StoredBlob]) -> list[Violation]:
    """An intent is there before the first blob of its request, and until its rows are: so it is read before these."""
    open_intents = await storage.intents.open()
    requests = {intent.id for intent in open_intents}
    busy = {study for intent in open_intents for study in intent.studies}
    gate = asyncio.Semaphore(_READS_AT_ONCE)

    async def is_orphan(file: Extent, study: str, series: str, instance: str) -> bool:
        if keys.request_of_blob(file.blob) in requests:
            return False
        for partition in partitions:
            key = keys.study_partition(partition, study)
            async with gate:
                row = await storage.instances.get(key, series, instance)
            if key in busy or (row and file.place in [extent.place for extent in row.extents]):
                return False
        return any([file in blob.files async for blob in storage.wire.blobs(file.blob)])

    files = {file: identifiers for blob in blobs for file, identifiers in blob.files.items()}
    found = await asyncio.gather(*(is_orphan(file, *identifiers) for file, identifiers in files.items()))
    return [
        Violation(
            study or "no study",
            f"{'a file in ' if file.files > 1 else ''}the blob {file.blob} belongs to no instance",
            partial(remove_files, storage.wire, [file]),
        )
        for (file, (study, *_)), orphan in zip(files.items(), found, strict=True)
        if orphan
    ]


# Work in flight


async def _work(storage: Storage) -> list[Violation]:
    """Intents that upkeep has not seen to, and a lock whose operation is over."""
    found = []
    limit = time.time_ns() // 1000 - INTENT_SECONDS * 1_000_000
    for intent in await storage.intents.open():
        if intent.touched < limit:
            what = f"the {intent.kind} request {intent.id} has been silent for more than an hour"
            found.append(Violation(" ".join(sorted(intent.studies)), what, partial(_resolve, storage, intent)))
    for lock in (UPDATE, REINDEX):
        if holder := await storage.operations.lock_holder(lock):
            operation = await storage.operations.get(holder[0])
            if operation is None or operation.status in ENDED:
                what = f"it holds the lock {lock} although it is over"
                mend = partial(storage.operations.release, lock, holder[0])
                found.append(Violation(f"operation {holder[0]}", what, mend))
    return found


async def _resolve(storage: Storage, intent: Intent) -> None:
    if await storage.intents.claim(intent):
        await upkeep.resolve(storage, intent)
