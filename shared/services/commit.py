"""Makes received instances visible: the entity group transaction that adds them to their study (STOW-133, QIDO-110)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.dicom.searchable import MODALITIES_IN_STUDY, MODALITY, Level, values
from shared.errors import Unavailable
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.receive import Received
from shared.services.tag_index import merged
from shared.storage.instances import BYTES_PER_TRANSACTION, ROWS_PER_TRANSACTION
from shared.storage.lookups import LookupKey, rows_of
from shared.storage.rows import InstanceRow, Outbox, SeriesRow, StudyHead, StudyRow, Summary
from shared.storage.storage import Storage
from shared.storage.wire import Operation, TransactionFailed


@dataclass(frozen=True, slots=True)
class Committed:
    """The head of the study after the commit, the lookup rows from before it, and what became of the instances."""

    head: StudyHead
    before: dict[LookupKey, str]
    stored: list[InstanceRow]
    duplicates: list[Received]


def batches(received: Sequence[Received]) -> list[list[Received]]:
    """The instances of one study, cut so that each part fits into one transaction."""
    parts: list[list[Received]] = [[]]
    size = 0
    series: set[str] = set()
    for item in received:
        row = _row(item)
        rows = len(parts[-1]) + 1 + len(series | {row.series})
        if parts[-1] and (rows > ROWS_PER_TRANSACTION or size + row.weight > BYTES_PER_TRANSACTION):
            parts.append([])
            size = 0
            series.clear()
        parts[-1].append(item)
        size += row.weight
        series.add(row.series)
    return parts


async def commit(storage: Storage, key: str, request: str, received: Sequence[Received]) -> Committed:
    """Adds instances to the study `key`. Those that exist already are left out and returned as duplicates.

    Every attempt begins with what the study's rows say and ends in one conditional write. Raises Unavailable when other
    writers win too often, or when upkeep has given this request up for dead.
    """
    pending = list(received)
    duplicates: list[Received] = []
    for attempt in ATTEMPTS:
        head = await storage.instances.head(key)
        if request in head.fences:
            raise Unavailable("The request took too long and was given up.")
        before = rows_of(key, head)
        if not pending:
            return Committed(head, before, [], duplicates)
        after, rows = _add(head, pending)
        stale = set(before) - set(rows_of(key, after))
        if stale and after.study:
            after.outbox.append(Outbox(f"{request}-{after.study.version}", sorted(stale)))
        try:
            etags = await storage.instances.commit(_operations(key, head, after, rows))
        except TransactionFailed as error:
            await lost(error, attempt)
            owners = await storage.instances.owners(key, {_row(item).row_key for item in pending})
            own = [item for item in pending if owners.get(_row(item).row_key, ("", 0))[0] == request]
            if own:
                return await _already(storage, key, own, duplicates, owners)
            duplicates += [item for item in pending if _row(item).row_key in owners]
            pending = [item for item in pending if _row(item).row_key not in owners]
            continue
        assert after.study is not None
        after.study = replace(after.study, etag=etags[0])
        return Committed(after, before, rows, duplicates)
    raise contended()


async def _already(
    storage: Storage,
    key: str,
    own: list[Received],
    duplicates: list[Received],
    owners: dict[str, tuple[str, int]],
) -> Committed:
    """An earlier attempt was committed although its answer got lost."""
    rows = [replace(_row(item), version=owners[_row(item).row_key][1]) for item in own]
    return Committed(await storage.instances.head(key), {}, rows, duplicates)


def _add(head: StudyHead, received: Sequence[Received]) -> tuple[StudyHead, list[InstanceRow]]:
    """The head of the study with the instances in it, and their rows with versions."""
    now = time.time_ns() // 1000
    study = head.study
    version = max(now, study.version + 1 if study else 0)
    series = dict(head.series)
    summary: Summary = dict(study.summary) if study and head.exists else {}
    tags = study.tags if study and head.exists else {}
    rows: list[InstanceRow] = []
    for item in received:
        row = replace(_row(item), version=version + len(rows))
        rows.append(row)
        known = series.get(row.series)
        series[row.series] = SeriesRow(
            series=row.series,
            created=known.created if known else row.version,
            version=row.version,
            instances=known.instances + 1 if known else 1,
            number=item.series_number,
            summary=latest(known.summary if known else {}, item.series_summary),
            newest=row.sop_instance,
            etag=known.etag if known else "",
            tags=merged(known.tags if known else {}, item.tags, Level.SERIES, row.version),
        )
        tags = merged(tags, item.tags, Level.STUDY, row.version)
        summary = latest(summary, item.study_summary)
    last = rows[-1]
    new = StudyRow(
        created=study.created if study and head.exists else rows[0].version,
        version=last.version,
        instance_version=last.version,
        instances=(study.instances if study else 0) + len(rows),
        series=len(series),
        summary=with_modalities(summary, series.values()),
        newest=(last.series, last.sop_instance),
        etag=study.etag if study else "",
        tags=tags,
    )
    return StudyHead(new, series, head.change_sets, head.fences, list(head.outbox)), rows


def _operations(key: str, head: StudyHead, after: StudyHead, rows: Sequence[InstanceRow]) -> list[Operation]:
    assert after.study is not None
    operations = [Operation("update" if head.study else "insert", after.study.entity(key))]
    for name, series in after.series.items():
        if head.series.get(name) != series:
            operations.append(Operation("update" if name in head.series else "insert", series.entity(key)))
    operations += [Operation("insert", row.entity(key)) for row in rows]
    operations += [Operation("upsert", outbox.entity(key)) for outbox in after.outbox[len(head.outbox) :]]
    return operations


def latest(known: Summary, new: Summary) -> Summary:
    """QIDO-110: the latest value wins, but only a value that is there."""
    present = {tag: element for tag, element in new.items() if any(value.strip(" \0") for value in values(element))}
    return known | present


def with_modalities(summary: Summary, series: Iterable[SeriesRow]) -> Summary:
    """The summary of a study with the distinct modalities of its series (QIDO-105)."""
    found = sorted({value for row in series for value in values(row.summary.get(MODALITY.key))[:1]})
    without = {tag: element for tag, element in summary.items() if tag != MODALITIES_IN_STUDY.key}
    return without | {MODALITIES_IN_STUDY.key: {"vr": "CS", "Value": found}} if found else without


def _row(item: Received) -> InstanceRow:
    assert item.row is not None
    return item.row
