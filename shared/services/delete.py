"""Delete: removes instances with everything that belongs to them (DEL-1 to DEL-16, D-44, D-50).

The order: intent, rows (with an outbox that holds lookups and change feed entries), outbox, blobs, end of the intent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from shared.dicom import dicom_json, tags
from shared.dicom.change_set import Changes
from shared.dicom.searchable import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES
from shared.errors import NotFound
from shared.services.commit import latest, with_modalities
from shared.services.metadata import latest_metadata
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.settle import settle
from shared.services.summaries import integer, summary_of
from shared.services.tag_errors import forget_errors
from shared.services.tag_index import instance_lookups, without_gone
from shared.storage import keys
from shared.storage.change_feed import DELETE, Change
from shared.storage.intents import DELETE as DELETE_INTENT
from shared.storage.intents import Intent, new_request_id
from shared.storage.lookups import instance_key, rows_of
from shared.storage.rows import InstanceRow, Outbox, SeriesRow, StudyHead, StudyRow
from shared.storage.storage import Storage
from shared.storage.wire import Entity, Operation, TransactionFailed

ROWS_PER_TRANSACTION = 80
_BLOBS_AT_ONCE = 16
_ROWS_PER_INTENT = 5000


async def delete(
    storage: Storage, partition: str, study: str, series: str | None = None, sop_instance: str | None = None
) -> None:
    """Deletes a study, a series or an instance. Raises NotFound when there is none (DEL-5)."""
    key = keys.study_partition(partition, study)
    targets = [
        row
        async for row in storage.instances.rows(key, series, metadata=False)
        if sop_instance is None or row.sop_instance == sop_instance
    ]
    if not targets:
        level = "instance" if sop_instance else "series" if series else "study"
        raise NotFound(f"The specified {level} cannot be found.")
    for start in range(0, len(targets), _ROWS_PER_INTENT):
        rows = targets[start : start + _ROWS_PER_INTENT]
        payload = [[row.series, row.sop_instance, row.version, row.blob, row.metadata_blob] for row in rows]
        intent = Intent(new_request_id(), DELETE_INTENT, {key}, payload)
        await storage.intents.write(intent)
        await finish(storage, intent)


async def finish(storage: Storage, intent: Intent) -> None:
    """Does whatever of a delete is not done yet."""
    [key] = intent.studies
    instances = {(series, sop_instance) for series, sop_instance, *_ in intent.payload}
    tags = await storage.query_tags.known(storage.change_feed.tags_version)
    tagged = await instance_lookups(storage, key, tags.indexed, instances)
    for start, end in _batches([series for series, *_ in intent.payload]):
        targets = {
            keys.instance_row(series, sop_instance): version
            for series, sop_instance, version, _, _ in intent.payload[start:end]
        }
        async with storage.instances.lock(key):
            before, head = await _remove_rows(storage, key, f"{intent.id}-{start:06d}", targets)
            await settle(storage, key, head, before)
    await _remove_change_sets(storage, key)
    await storage.lookups.remove(tagged)
    await forget_errors(storage, key, instances)
    gate = asyncio.Semaphore(_BLOBS_AT_ONCE)

    async def remove(blob: str) -> None:
        async with gate:
            await storage.wire.delete_blob(blob)

    await asyncio.gather(*(remove(name) for *_, blob, metadata in intent.payload for name in (blob, metadata) if name))
    await storage.intents.done(intent)


def _batches(series: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Cuts instances, given by their series, so that each part and its series' rows fit into one transaction."""
    start = 0
    for end in range(1, len(series) + 1):
        if end == len(series) or end + 1 - start + len(set(series[start : end + 1])) > ROWS_PER_TRANSACTION:
            yield start, end
            start = end


async def _remove_rows(
    storage: Storage, key: str, name: str, targets: dict[str, int]
) -> tuple[dict[tuple[str, str, str], str], StudyHead]:
    """Deletes the rows that still have the version they had; recomputes what the study and its series say (D-44)."""
    for attempt in ATTEMPTS:
        head = await storage.instances.head(key)
        before = rows_of(key, head)
        rows = [row async for row in storage.instances.rows(key, metadata=False)]
        gone = [row for row in rows if targets.get(row.row_key) == row.version]
        if not gone or head.study is None:
            return before, head
        left = [row for row in rows if targets.get(row.row_key) != row.version]
        after = await without_gone(storage, key, await _without(storage, key, head, head.study, left), left)
        stale = [*(set(before) - set(rows_of(key, after))), *(instance_key(key, row) for row in gone)]
        partition, study = keys.parse_study_partition(key)
        changes = [
            Change(partition, study, row.series, row.sop_instance, DELETE, head.current_version(row.version))
            for row in gone
        ]
        after.outbox.append(Outbox(name, stale, name, changes))
        try:
            etags = await storage.instances.commit(_operations(key, head, after, gone))
        except TransactionFailed as error:
            await lost(error, attempt)
            continue
        if after.study:
            after.study = replace(after.study, etag=etags[0])
        return before, after
    raise contended()


async def _remove_change_sets(storage: Storage, key: str) -> None:
    """They hold patients' data, and go with the last instance. Those of a study that comes back have other keys."""
    head = await storage.instances.head(key)
    for row in [] if head.exists else head.change_sets:
        with suppress(TransactionFailed):
            await storage.instances.commit([Operation("delete", row.entity(key))])


async def _without(
    storage: Storage, key: str, head: StudyHead, study: StudyRow, left: Sequence[InstanceRow]
) -> StudyHead:
    """The head of a study of which only the instances `left` remain."""
    series: dict[str, SeriesRow] = {}
    for name, row in head.series.items():
        members = [item for item in left if item.series == name]
        if len(members) == row.instances:
            series[name] = row
        elif members:
            newest = max(members, key=lambda item: item.version)
            lines = await _metadata(storage, key, newest, {})
            series[name] = replace(
                row,
                instances=len(members),
                version=newest.version,
                newest=newest.sop_instance,
                number=integer(lines, tags.SERIES_NUMBER),
                summary=latest({}, summary_of(lines, SERIES_ATTRIBUTES)),
            )
    if not left:
        return StudyHead(outbox=list(head.outbox), fences=head.fences)
    newest = max(left, key=lambda item: item.version)
    summary = study.summary
    if (newest.series, newest.sop_instance) != study.newest or len(series) < len(head.series):
        lines = await _metadata(storage, key, newest, head.changes_to(newest.version))
        summary = with_modalities(latest({}, summary_of(lines, STUDY_ATTRIBUTES)), series.values())
    remaining = replace(
        study,
        instances=len(left),
        series=len(series),
        version=study.version,
        newest=(newest.series, newest.sop_instance),
        summary=summary,
    )
    return StudyHead(remaining, series, head.change_sets, head.fences, list(head.outbox))


async def _metadata(storage: Storage, key: str, row: InstanceRow, changes: Changes) -> dict[str, bytes]:
    """The lines of the newest remaining instance's metadata."""
    _, found = await storage.instances.find(key, row.series, row.sop_instance)
    return dicom_json.lines(await latest_metadata(storage, found or row, changes))


def _operations(key: str, head: StudyHead, after: StudyHead, gone: Sequence[InstanceRow]) -> list[Operation]:
    assert head.study is not None
    if after.study is not None:
        operations = [Operation("update", after.study.entity(key))]
    elif head.fences:
        operations = [Operation("update", replace(head.study, instances=0, series=0, summary={}, tags={}).entity(key))]
    else:
        operations = [Operation("delete", head.study.entity(key))]
    for name, row in head.series.items():
        if name not in after.series:
            operations.append(Operation("delete", row.entity(key)))
        elif after.series[name] != row:
            operations.append(Operation("update", after.series[name].entity(key)))
    operations += [Operation("delete", Entity(key, row.row_key, {}, "*")) for row in gone]
    return [*operations, Operation("upsert", after.outbox[-1].entity(key))]
