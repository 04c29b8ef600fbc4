"""Delete: removes instances with everything that belongs to them (DEL-1 to DEL-16, D-44, D-50).

One transaction makes what is deleted vanish: it removes the row of a single instance, or raises the floor of a study or a
series to above all their instances (DEL-15). What is left of these is then cleared away, by upkeep if the request dies.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import batched

from shared.dicom import dicom_json, tags
from shared.dicom.change_set import Changes
from shared.dicom.searchable import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES
from shared.errors import NotFound, trace
from shared.services.clearance import clear
from shared.services.head_changes import head_operations, latest, with_modalities
from shared.services.metadata import latest_metadata
from shared.services.publish import deleted, publish_all
from shared.services.races import ATTEMPTS, StudyChanged, contended, lost
from shared.services.settle import settle
from shared.services.summaries import integer, summary_of
from shared.services.tag_index import instance_attributes, instance_lookups, without_gone
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.intents import DELETE as DELETE_INTENT
from shared.storage.intents import Intent, new_request_id
from shared.storage.lookups import instance_key, rows_of
from shared.storage.storage import Storage
from shared.storage.study_head import Outbox, StudyHead
from shared.storage.study_rows import SeriesRow
from shared.storage.wire import Operation, TransactionFailed

logger = logging.getLogger(__name__)

type _Found = tuple[StudyHead, InstanceRow | None]

_CLEARED_PER_REQUEST = 5000
_LOOKUPS_PER_OUTBOX = 2000


async def delete(
    storage: Storage, partition: str, study: str, series: str | None = None, sop_instance: str | None = None
) -> Intent | None:
    """Deletes a study, a series or an instance. Raises NotFound when there is none (DEL-5).

    Of very many instances some are left to be cleared away, by whoever comes first: upkeep, to which they are handed over, or
    `clear_rest` with the intent that is then returned.
    """
    key = keys.study_partition(partition, study)
    found = await _find(storage, key, series, sop_instance)
    if found is None:
        level = "instance" if sop_instance else "series" if series else "study"
        raise NotFound(f"The specified {level} cannot be found.")
    intent = Intent(new_request_id(), DELETE_INTENT, {key}, series)
    await storage.intents.write(intent)
    async with storage.instances.lock(key):
        floors_raised = await _commit(storage, key, intent.id, found, series, sop_instance)
    if floors_raised and not await clear(storage, key, intent.id, series, most=_CLEARED_PER_REQUEST):
        await storage.intents.hand_over(intent)
        return intent
    await storage.intents.done(intent)
    return None


async def clear_rest(storage: Storage, intent: Intent) -> None:
    """Clears away what a delete has left, when its request has been answered (D-50). If it cannot, upkeep will."""
    [key] = intent.studies
    try:
        await clear(storage, key, intent.id, intent.payload)
        await storage.intents.done(intent)
    except Exception as error:
        logger.error("What the delete %s has left must wait for upkeep: %s", intent.id, trace(error))


async def finish(storage: Storage, intent: Intent) -> None:
    """Does what is left to do of a delete, if it was committed."""
    [key] = intent.studies
    await settle(storage, key, await storage.instances.head(key), {})
    await clear(storage, key, intent.id, intent.payload)
    await storage.intents.done(intent)


async def _find(storage: Storage, key: str, series: str | None, sop_instance: str | None) -> _Found | None:
    """The head of the study, and the row if one instance is meant; None when what is meant is not there."""
    row = None
    if series and sop_instance:
        head, row = await storage.instances.find(key, series, sop_instance)
    else:
        head = await storage.instances.head(key)
    there = head.exists and (series is None or series in head.series) and (sop_instance is None or row is not None)
    return (head, row) if there else None


async def _commit(
    storage: Storage, key: str, request: str, found: _Found | None, series: str | None, sop_instance: str | None
) -> bool:
    """Makes what was found vanish, unless another request has. False when that left nothing to be cleared away."""
    for attempt in ATTEMPTS:
        if attempt:
            found = await _find(storage, key, series, sop_instance)
        if found is None:  # by another request, or by an attempt whose answer got lost
            await settle(storage, key, await storage.instances.head(key), {})
            return True
        head, row = found
        await publish_all(storage, key, head)
        if row and head.series[row.series].instances == 1:
            row = None
        try:
            after = await _without(storage, key, head, series, row)
            after.outbox += await _outboxes(storage, key, head, after, request, row)
            operations = head_operations(key, head, after)
            operations += [Operation("delete", row.entity(key))] if row else []
            etags = await storage.instances.commit(operations)
        except StudyChanged:
            continue
        except TransactionFailed as error:
            await lost(error, attempt)
            continue
        assert after.study is not None
        after.study = replace(after.study, etag=etags[0])
        await settle(storage, key, after, rows_of(key, head))
        return row is None
    raise contended()


async def _outboxes(
    storage: Storage, key: str, head: StudyHead, after: StudyHead, request: str, row: InstanceRow | None
) -> list[Outbox]:
    """What the commit leaves to do, under names that no other commit of the request has."""
    assert head.study is not None
    name = f"{request}-{head.study.version}"
    stale = sorted(set(rows_of(key, head)) - set(rows_of(key, after)))
    outboxes = [
        Outbox(f"{name}-{number}", lookups)
        for number, lookups in enumerate(batched(stale, _LOOKUPS_PER_OUTBOX, strict=False))
    ]
    if row:
        lookups = await instance_lookups(storage, key, head, [row], await instance_attributes(storage))
        change = deleted(key, head, row)
        outboxes.append(Outbox(name, [instance_key(key, row), *sorted(lookups)], name, [change], row.extents))
    return outboxes


async def _without(
    storage: Storage, key: str, head: StudyHead, series: str | None, row: InstanceRow | None
) -> StudyHead:
    """The head of the study without the instance `row`, or without a series, or without any.

    D-44: what is left says what its newest instance says. Raises StudyChanged when that has gone meanwhile.
    """
    study = head.study
    assert study is not None
    left, removed = dict(head.series), dict(head.removed)
    if series and row:
        left[series] = await _series_without(storage, key, head, left[series], row)
    elif series:
        removed[series] = replace(left.pop(series), instances=0, floor=study.version)
    if series is None or not left:
        none = replace(study, floor=study.version, instances=0, series=0, summary={}, newest=("", ""), tags={})
        return replace(head, study=none, series={}, removed=head.removed | head.series, outbox=list(head.outbox))
    newest = max(left.values(), key=lambda item: item.version)
    lines = await _metadata(storage, key, newest, head.changes_to(newest.version))
    remaining = replace(
        study,
        instances=sum(item.instances for item in left.values()),
        series=len(left),
        newest=(newest.series, newest.newest),
        summary=with_modalities(latest({}, summary_of(lines, STUDY_ATTRIBUTES)), left.values()),
    )
    after = replace(head, study=remaining, series=left, removed=removed, outbox=list(head.outbox))
    return await without_gone(storage, key, after, await _gone(storage, key, head, series, row))


async def _gone(storage: Storage, key: str, head: StudyHead, series: str, row: InstanceRow | None) -> set[int]:
    """The versions from which values of extended query tags may come that go with the instance, or with the series."""
    if row:
        return {row.version}
    if head.study is None or not head.study.tags:
        return set()
    return {item.version async for item in storage.instances.rows(key, head, series, metadata=False)}


async def _series_without(
    storage: Storage, key: str, head: StudyHead, series: SeriesRow, row: InstanceRow
) -> SeriesRow:
    left = replace(series, instances=series.instances - 1)
    if row.sop_instance == series.newest:
        rows = storage.instances.rows(key, head, series.series, metadata=False)
        others = [(item.version, item.sop_instance) async for item in rows if item.sop_instance != row.sop_instance]
        version, newest = max(others, default=(0, ""))
        left = replace(left, version=version, newest=newest)
    lines = await _metadata(storage, key, left, {})
    return replace(
        left, number=integer(lines, tags.SERIES_NUMBER), summary=latest({}, summary_of(lines, SERIES_ATTRIBUTES))
    )


async def _metadata(storage: Storage, key: str, series: SeriesRow, changes: Changes) -> dict[str, bytes]:
    """The lines of the metadata of a series' newest instance."""
    row = await storage.instances.get(key, series.series, series.newest)
    if row is None or row.version != series.version:
        raise StudyChanged("The study has changed while it was read.")
    return dicom_json.lines(await latest_metadata(storage, row, changes))
