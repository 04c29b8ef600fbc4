"""The rows of a study and of its series as objects, and their codecs.

`Summary` values are DICOM JSON elements by tag (`{"00100010": {"vr": "PN", "Value": [...]}}`): the searchable attributes
of the study or series, latest value wins (QIDO-110).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.storage import keys
from shared.storage.properties import number, pack, text, unpack
from shared.storage.wire import Entity, Value

type Summary = dict[str, dict[str, Any]]


class TagValue(NamedTuple):
    """The value that an extended query tag has in a study or series: that of the instance stored as `version` (EQT-63).

    `key` is the attribute's name in DICOM JSON, `element` its DICOM JSON element with the one value that is indexed.
    """

    version: int
    key: str
    element: dict[str, Any]


type TagValues = dict[int, TagValue]
"""Values by the id of the tag. Rows may name tags that are gone, or that a process does not know yet."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """`instances == 0` is a placeholder that keeps an ETag for writers to collide on; readers see no study.

    Instances with a version of at most `floor` are deleted, whether their rows are still there or not (DEL-15).
    """

    created: int
    version: int
    instance_version: int
    instances: int
    series: int
    summary: Summary
    newest: tuple[str, str]
    etag: str = ""
    floor: int = 0
    tags: TagValues = field(default_factory=dict)

    def entity(self, partition_key: str) -> Entity:
        _, study = keys.parse_study_partition(partition_key)
        return Entity(
            partition_key,
            keys.study_row(study),
            {
                "created": self.created,
                "version": self.version,
                "instanceVersion": self.instance_version,
                "instances": self.instances,
                "series": self.series,
                "summary": _dump(self.summary),
                "newest": keys.SEPARATOR.join(self.newest),
                "floor": self.floor,
                **_pack_tags(self.tags),
            },
            self.etag,
        )

    @classmethod
    def of(cls, entity: Entity) -> StudyRow:
        row = entity.properties
        series, sop_instance = text(row, "newest").split(keys.SEPARATOR)
        return cls(
            created=number(row, "created"),
            version=number(row, "version"),
            instance_version=number(row, "instanceVersion"),
            instances=number(row, "instances"),
            series=number(row, "series"),
            summary=json.loads(text(row, "summary")),
            newest=(series, sop_instance),
            etag=entity.etag,
            floor=number(row, "floor"),
            tags=_unpack_tags(row),
        )


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """`version` is that of the newest instance, `floor` as in the study's row: at or below one, the series is deleted."""

    series: str
    created: int
    version: int
    instances: int
    number: int
    summary: Summary
    newest: str
    etag: str = ""
    floor: int = 0
    tags: TagValues = field(default_factory=dict)

    def entity(self, partition_key: str) -> Entity:
        return Entity(
            partition_key,
            keys.series_row(self.series),
            {
                "created": self.created,
                "version": self.version,
                "instances": self.instances,
                "number": self.number,
                "summary": _dump(self.summary),
                "newest": self.newest,
                "floor": self.floor,
                **_pack_tags(self.tags),
            },
            self.etag,
        )

    @classmethod
    def of(cls, entity: Entity) -> SeriesRow:
        row = entity.properties
        return cls(
            series=keys.series_of(entity.row_key),
            created=number(row, "created"),
            version=number(row, "version"),
            instances=number(row, "instances"),
            number=number(row, "number"),
            summary=json.loads(text(row, "summary")),
            newest=text(row, "newest"),
            etag=entity.etag,
            floor=number(row, "floor"),
            tags=_unpack_tags(row),
        )


def _pack_tags(tags: TagValues) -> dict[str, Value]:
    return pack("t", zlib.compress(json.dumps(tags, separators=(",", ":")).encode())) if tags else {}


def _unpack_tags(row: dict[str, Value]) -> TagValues:
    packed = unpack("t", row)
    return {int(tag): TagValue(*value) for tag, value in json.loads(zlib.decompress(packed)).items()} if packed else {}


def _dump(value: dict[str, dict[str, Any]]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
