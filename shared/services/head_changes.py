"""What becomes of a study's head when instances are added to it, and how one head becomes another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.dicom.searchable import MODALITIES_IN_STUDY, MODALITY, Level, values
from shared.services.receive import Received
from shared.services.tag_index import merged
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import SeriesRow, StudyRow, Summary
from shared.storage.wire import Operation


def with_added(
    head: StudyHead, received: Sequence[Received], replaced: Sequence[InstanceRow]
) -> tuple[StudyHead, list[InstanceRow]]:
    """The head of the study with the instances in it, and their rows with versions.

    `replaced` are the rows in whose places they come: of instances that are there, or that have been deleted. A study or
    series that loses an instance says what its newest one says, as after a delete (D-44).
    """
    now = time.time_ns() // 1000
    study = head.study
    version = max(now, study.version + 1 if study else 0)
    there = {row.row_key: row for row in replaced}
    leaving = Counter(row.series for row in replaced if head.holds(row))
    series = {name: replace(row, summary={}) if leaving[name] else row for name, row in head.series.items()}
    summary: Summary = dict(study.summary) if study and not leaving else {}
    tags = study.tags if study else {}
    rows: list[InstanceRow] = []
    for item in received:
        assert item.row is not None
        old = there.get(item.row.row_key)
        row = replace(
            item.row,
            version=version + len(rows),
            replaces=old is not None and head.holds(old),
            etag=old.etag if old else "",
        )
        rows.append(row)
        series[row.series] = _series_with(series.get(row.series), head.removed.get(row.series), item, row)
        tags = merged(tags, item.tags, Level.STUDY, row.version)
        summary = latest(summary, item.study_summary)
    last = rows[-1]
    new = StudyRow(
        created=study.created if study and head.exists else rows[0].version,
        version=last.version,
        instance_version=last.version,
        instances=(study.instances if study else 0) + len(rows) - leaving.total(),
        series=len(series),
        summary=with_modalities(summary, series.values()),
        newest=(last.series, last.sop_instance),
        etag=study.etag if study else "",
        floor=study.floor if study else 0,
        tags=tags,
    )
    removed = {name: row for name, row in head.removed.items() if name not in series}
    return replace(head, study=new, series=series, removed=removed, outbox=list(head.outbox)), rows


def _series_with(known: SeriesRow | None, removed: SeriesRow | None, item: Received, row: InstanceRow) -> SeriesRow:
    """The series with the instance in it; `removed` is the row of one that was deleted and comes to be again."""
    former = known or removed
    return SeriesRow(
        series=row.series,
        created=known.created if known else row.version,
        version=row.version,
        instances=(known.instances if known else 0) + (not row.replaces),
        number=item.series_number,
        summary=latest(known.summary if known else {}, item.series_summary),
        newest=row.sop_instance,
        etag=former.etag if former else "",
        floor=former.floor if former else 0,
        tags=merged(known.tags if known else {}, item.tags, Level.SERIES, row.version),
    )


def head_operations(key: str, head: StudyHead, after: StudyHead) -> list[Operation]:
    """The writes that turn one head of a study into another: first that of the study row, on which all writers collide."""
    assert after.study is not None
    operations = [Operation("update" if head.study else "insert", after.study.entity(key))]
    known = head.series | head.removed
    for name, series in (after.series | after.removed).items():
        if known.get(name) != series:
            operations.append(Operation("update" if name in known else "insert", series.entity(key)))
    return operations + [Operation("upsert", outbox.entity(key)) for outbox in after.outbox[len(head.outbox) :]]


def as_written(key: str, after: StudyHead, operations: Sequence[Operation], etags: Sequence[str]) -> StudyHead:
    """The head that `operations`, those of `head_operations` first, have written with these ETags."""
    assert after.study is not None
    written = {operation.entity.row_key: etag for operation, etag in zip(operations, etags, strict=True)}
    series = {name: row for name, row in after.series.items() if keys.series_row(name) in written}
    series = {name: replace(row, etag=written[keys.series_row(name)]) for name, row in series.items()}
    return replace(after, study=replace(after.study, etag=etags[0]), series=after.series | series)


def latest(known: Summary, new: Summary) -> Summary:
    """QIDO-110: the latest value wins, but only a value that is there."""
    present = {tag: element for tag, element in new.items() if any(value.strip(" \0") for value in values(element))}
    return known | present


def with_modalities(summary: Summary, series: Iterable[SeriesRow]) -> Summary:
    """The summary of a study with the distinct modalities of its series (QIDO-105)."""
    found = sorted({value for row in series for value in values(row.summary.get(MODALITY.key))[:1]})
    without = {tag: element for tag, element in summary.items() if tag != MODALITIES_IN_STUDY.key}
    return without | {MODALITIES_IN_STUDY.key: {"vr": "CS", "Value": found}} if found else without
