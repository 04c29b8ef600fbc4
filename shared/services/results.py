"""What a search result holds (QIDO-85 to QIDO-108, D-41 to D-45)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.dicom import tags
from shared.dicom.searchable import (
    MODALITIES_IN_STUDY,
    MODALITY,
    SERIES_ATTRIBUTES,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_ATTRIBUTES,
    STUDY_INSTANCE_UID,
    Level,
)
from shared.services.query import Query
from shared.storage.instance_row import InstanceRow
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import Summary

_DEFAULTS = {
    Level.STUDY: [attribute.tag for attribute in (STUDY_INSTANCE_UID, *STUDY_ATTRIBUTES)],
    Level.SERIES: [attribute.tag for attribute in (SERIES_INSTANCE_UID, *SERIES_ATTRIBUTES)],
    Level.INSTANCE: [SOP_INSTANCE_UID.tag],
}
"""QIDO-85 to QIDO-87."""

_ALL = {
    Level.STUDY: [
        0x00080005, 0x00080020, 0x00080030, 0x00080050, 0x00080056, 0x00080090, 0x00080201, 0x00100010, 0x00100020,
        0x00100030, 0x00100040, 0x0020000D, 0x00200010, 0x00081030, 0x00080063, 0x00081032, 0x00081060, 0x00081080,
        0x00081110, 0x00101010, 0x00101020, 0x00101030, 0x00102180, 0x001021B0,
    ],
    Level.SERIES: [
        0x00080005, 0x00080060, 0x00080201, 0x0008103E, 0x0020000E, 0x00400244, 0x00400245, 0x00400275, 0x00200011,
        0x00200060, 0x00080021, 0x00080031,
    ],
    Level.INSTANCE: [
        0x00080005, 0x00080016, 0x00080018, 0x00080056, 0x00080201, 0x00200013, 0x00280010, 0x00280011, 0x00280100,
        0x00280008,
    ],
}  # fmt: skip
"""QIDO-97; together with the defaults of the level (D-42)."""

_DEFAULTS_OF_VERSION_1 = {
    Level.STUDY: _ALL[Level.STUDY][:13],
    Level.SERIES: _ALL[Level.SERIES][:8],
    Level.INSTANCE: _ALL[Level.INSTANCE],
}
"""QIDO-103, VER-24."""

_COUNTS = frozenset(
    {
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
        tags.NUMBER_OF_SERIES_RELATED_INSTANCES,
    }
)
_OF_SERIES = frozenset(attribute.tag for attribute in SERIES_ATTRIBUTES)
_INDEXED = frozenset({*_DEFAULTS[Level.STUDY], MODALITIES_IN_STUDY.tag, tags.RETRIEVE_URL}) | _OF_SERIES | _COUNTS


@dataclass(frozen=True, slots=True)
class Found:
    """A study, series or instance that a search has found; `created` in microseconds since 1970.

    `summary` is what the index says of the study, and of the series if there is one. `head`, `row` and `metadata` (lines of
    DICOM JSON by tag) are there when something needed them.
    """

    study: str
    series: str = ""
    created: int = 0
    summary: Summary = field(default_factory=dict)
    head: StudyHead | None = None
    row: InstanceRow | None = None
    metadata: Mapping[str, bytes] | None = None

    @property
    def identifiers(self) -> tuple[str, ...]:
        return (self.study, self.series, self.row.sop_instance if self.row else "")


def needs_metadata(query: Query) -> bool:
    """Whether the rows of studies and series lack something that is to be returned."""
    filtered = {tag.attribute.tag for tag in query.tags.values() if tag.attribute.level is not Level.INSTANCE}
    own = {SERIES_INSTANCE_UID.tag} if query.level is Level.SERIES else set()
    return query.level is Level.INSTANCE or not wanted_tags(query) <= _INDEXED | filtered | own


def needs_head(query: Query, found: Found) -> bool:
    """Whether the index row lacks something that is to be returned and that the study's own rows have."""
    wanted = wanted_tags(query)
    of_series = wanted & _OF_SERIES if query.level is Level.STUDY else set()
    if of_series == {MODALITY.tag} and _only_modality(found):
        of_series = set()
    return found.head is None and bool(of_series or wanted & _COUNTS)


def _only_modality(found: Found) -> dict[str, Any]:
    """The modality of every instance of the study, when there is but one."""
    modalities = found.summary.get(MODALITIES_IN_STUDY.key, {})
    return {MODALITY.key: modalities} if len(modalities.get("Value", ())) == 1 else {}


def wanted_tags(query: Query) -> set[int]:
    wanted = {condition.attribute.tag for condition in query.conditions} | set(query.include)
    defaults = _DEFAULTS_OF_VERSION_1 if query.version_1 else _DEFAULTS
    for level in (Level(value) for value in query.levels):
        wanted |= set(defaults[level])
        if query.include_all:
            wanted |= set(_ALL[level])
    if query.study:
        wanted.add(STUDY_INSTANCE_UID.tag)
    if query.series:
        wanted.add(SERIES_INSTANCE_UID.tag)
    return wanted


def shown_keys(query: Query) -> frozenset[str]:
    """The attributes that results show, by their names in DICOM JSON."""
    return frozenset(tags.key(tag) for tag in wanted_tags(query))


def result(query: Query, shown: frozenset[str], found: Found, base_url: str) -> bytes:
    """One DICOM JSON object: from the metadata, and from the index where the index has the attribute (QIDO-114)."""
    elements = {key: line for key, line in (found.metadata or {}).items() if key in shown}
    for key, value in _index(query, found, base_url).items():
        if key in shown:
            elements[key] = b'"%s":%s' % (key.encode(), orjson.dumps(value))
    return b"{" + b",".join(elements[key] for key in sorted(elements)) + b"}"


def _index(query: Query, found: Found, base_url: str) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if query.level is Level.INSTANCE:
        known |= {key: value for key, value in found.summary.items() if key == MODALITIES_IN_STUDY.key}
    else:
        known |= found.summary
    if query.level is Level.STUDY and found.metadata is None:
        known |= _newest_series(found)
    known[STUDY_INSTANCE_UID.key] = _uid(found.study)
    url = f"{base_url}/studies/{found.study}"
    if found.series:
        known[SERIES_INSTANCE_UID.key] = _uid(found.series)
        url += f"/series/{found.series}"
    if query.level is Level.INSTANCE and found.row:
        known[SOP_INSTANCE_UID.key] = _uid(found.row.sop_instance)
        url += f"/instances/{found.row.sop_instance}"
    if found.row:
        known[tags.key(tags.AVAILABLE_TRANSFER_SYNTAX_UID)] = _uid(found.row.layout.transfer_syntax)
    if found.head and found.head.study:
        known[tags.key(tags.NUMBER_OF_STUDY_RELATED_SERIES)] = _count(found.head.study.series)
        known[tags.key(tags.NUMBER_OF_STUDY_RELATED_INSTANCES)] = _count(found.head.study.instances)
        if found.series in found.head.series:
            known[tags.key(tags.NUMBER_OF_SERIES_RELATED_INSTANCES)] = _count(found.head.series[found.series].instances)
    known[tags.key(tags.RETRIEVE_URL)] = {"vr": "UR", "Value": [url]}
    return known


def _newest_series(found: Found) -> dict[str, Any]:
    """What a study that is asked for attributes of series shows: those of its newest instance (QIDO-101)."""
    if found.head and found.head.study and (row := found.head.series.get(found.head.study.newest[0])):
        return row.summary
    return _only_modality(found)


def _uid(value: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}


def _count(number: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [number]}
