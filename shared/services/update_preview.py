"""What a bulk update would do, without a lock and without a change (D-71)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.dicom import dicom_json
from shared.dicom.change_set import Changes, switches_to_utf_8
from shared.services.metadata import latest_metadata
from shared.storage import keys
from shared.storage.storage import Storage

NO_STUDY = "The study does not exist."
MOST_VALUES = 10


@dataclass(frozen=True, slots=True)
class StudyPreview:
    """`current` has for each attribute to change the distinct elements there are now, as DICOM JSON, the most frequent
    first and at most 10 of them, with the number of instances that have each; None stands for no element.
    """

    study: str
    found: bool
    instances: int
    current: Mapping[str, list[tuple[dict[str, Any] | None, int]]]
    problems: list[str]


async def preview(storage: Storage, partition: str, study: str, changes: Changes) -> StudyPreview:
    """What `changes` would do to the instances that a study has now: one query per 1,000 of them."""
    key = keys.study_partition(partition, study)
    head = await storage.instances.head(key)
    current: dict[str, Counter[str | None]] = {tag: Counter() for tag in changes}
    instances = switching = 0
    async for row in storage.instances.rows(key, head, metadata=True):
        earlier = head.changes_to(row.version)
        lines = dicom_json.lines(await latest_metadata(storage, row, earlier))
        for tag, values in current.items():
            values[lines[tag].decode() if tag in lines else None] += 1
        instances += 1
        switching += not switches_to_utf_8(earlier, row.layout.character_sets) and switches_to_utf_8(
            changes, row.layout.character_sets
        )
    problems = [] if instances else [NO_STUDY]
    if switching:
        problems.append(
            f"{switching} instances will switch to the character set ISO_IR 192, to express the new values."
        )
    found = {
        tag: [(_element(tag, line), number) for line, number in values.most_common(MOST_VALUES)]
        for tag, values in current.items()
    }
    return StudyPreview(study, instances > 0, instances, found, problems)


def _element(tag: str, line: str | None) -> dict[str, Any] | None:
    if line is None:
        return None
    parsed: dict[str, dict[str, Any]] = json.loads("{" + line + "}")
    return parsed[tag]
