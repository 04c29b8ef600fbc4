"""The rows of a study's partition as objects, and their codecs.

`Summary` values are DICOM JSON elements by tag (`{"00100010": {"vr": "PN", "Value": [...]}}`): the searchable attributes
of the study or series, latest value wins (QIDO-110).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from shared.dicom.change_set import Changes, HeadLayout, merge
from shared.storage import keys
from shared.storage.change_feed import Change
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

_ROW_BYTES = 700 * 1024


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
        return Entity(
            partition_key,
            keys.STUDY_ROW,
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


@dataclass(frozen=True, slots=True)
class ChangeSetRow:
    """The changes of bulk updates to all instances with a version of at most `cover` (D-65).

    `version` is the version that the newest of these updates gave to the instances; `operation` is that update's id.
    """

    cover: int
    version: int
    operation: str
    changes: Changes
    etag: str = ""

    def entity(self, partition_key: str) -> Entity:
        properties: dict[str, Value] = {"cover": self.cover, "version": self.version, "operation": self.operation}
        properties |= pack("c", zlib.compress(_dump(self.changes).encode()))
        return Entity(partition_key, keys.change_set_row(self.cover), properties, self.etag)

    @classmethod
    def of(cls, entity: Entity) -> ChangeSetRow:
        row = entity.properties
        return cls(
            cover=number(row, "cover"),
            version=number(row, "version"),
            operation=text(row, "operation"),
            changes=json.loads(zlib.decompress(unpack("c", row))),
            etag=entity.etag,
        )


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One stored instance. `packed_metadata` is its DICOM JSON, compressed; empty when the row was read without it.

    `has_pixels` is known also when `frames`, which says where they are, was not read or is not to be found out.
    `bulk_data` says where the values are that metadata leaves out (shared/dicom/bulk_data.py). `metadata_blob` names the
    blob that holds the metadata, and `bulk_data` behind it, when they are too long for the row, or when the index of the
    frames is: then the blob has that behind them, in pages (shared/dicom/frame_pages.py), and `frames` just finds these.
    `request` and `batch` name the commit that stored the instance, and `replaces` says whether it took the place of another
    (D-19).
    """

    series: str
    sop_instance: str
    version: int
    request: str
    blob: str
    sop_class: str
    length: int
    number: int
    layout: HeadLayout
    frames: bytes
    packed_metadata: bytes
    bulk_data: bytes = b""
    metadata_blob: str = ""
    has_pixels: bool = False
    batch: int = 0
    replaces: bool = False
    etag: str = ""

    @property
    def blobs(self) -> list[str]:
        """The blobs that belong to this version of the instance alone."""
        return [name for name in (self.blob, self.metadata_blob) if name]

    @property
    def row_key(self) -> str:
        return keys.instance_row(self.series, self.sop_instance)

    def entity(self, partition_key: str) -> Entity:
        properties: dict[str, Value] = {
            "version": self.version,
            "request": self.request,
            "blob": self.blob,
            "sopClass": self.sop_class,
            "length": self.length,
            "number": self.number,
            "transferSyntax": self.layout.transfer_syntax,
            "headLength": self.layout.head_length,
            "charsets": "\\".join(self.layout.character_sets),
            "textBeyondHead": self.layout.text_beyond_head,
            "updatableBeyondHead": self.layout.updatable_beyond_head,
            "metadataBlob": self.metadata_blob,
            "batch": self.batch,
            "replaces": self.replaces,
            "hasPixels": self.has_pixels,
        }
        properties |= pack("f", self.frames)
        if not self.metadata_blob:
            properties |= pack("m", self.packed_metadata) | pack("b", self.bulk_data)
        return Entity(partition_key, self.row_key, properties, self.etag)

    @classmethod
    def of(cls, entity: Entity) -> InstanceRow:
        row = entity.properties
        series, sop_instance = keys.parse_instance_row(entity.row_key)
        charsets = text(row, "charsets")
        return cls(
            series=series,
            sop_instance=sop_instance,
            version=number(row, "version"),
            request=text(row, "request"),
            blob=text(row, "blob"),
            sop_class=text(row, "sopClass"),
            length=number(row, "length"),
            number=number(row, "number"),
            layout=HeadLayout(
                transfer_syntax=text(row, "transferSyntax"),
                head_length=number(row, "headLength"),
                character_sets=tuple(charsets.split("\\")) if charsets else (),
                text_beyond_head=bool(row.get("textBeyondHead", False)),
                updatable_beyond_head=bool(row.get("updatableBeyondHead", False)),
            ),
            frames=unpack("f", row),
            bulk_data=unpack("b", row),
            packed_metadata=unpack("m", row),
            metadata_blob=text(row, "metadataBlob"),
            has_pixels=bool(row.get("hasPixels", False)),
            batch=number(row, "batch"),
            replaces=bool(row.get("replaces", False)),
            etag=entity.etag,
        )

    @property
    def weight(self) -> int:
        """About how many bytes the row takes in a transaction, where binary values are base64."""
        packed = 0 if self.metadata_blob else len(self.packed_metadata) + len(self.bulk_data)
        return 2048 + (len(self.frames) + packed) * 4 // 3

    def fits(self) -> bool:
        """Whether the row, with its metadata in it, stays below what one entity may hold."""
        return len(self.frames) + len(self.packed_metadata) + len(self.bulk_data) < _ROW_BYTES


INSTANCE_PROPERTIES_WITHOUT_METADATA = (
    "PartitionKey",
    "RowKey",
    "version",
    "request",
    "blob",
    "sopClass",
    "length",
    "number",
    "transferSyntax",
    "headLength",
    "charsets",
    "textBeyondHead",
    "updatableBeyondHead",
    "metadataBlob",
    "hasPixels",
    "batch",
    "replaces",
)


@dataclass(frozen=True, slots=True)
class Outbox:
    """What is left to do after a commit, written by the commit itself; whoever finds it does it and removes it.

    `lookups` are lookup rows that hold no longer, as (table, PartitionKey, RowKey); `changes` are to be appended to the
    change feed by `writer`; `blobs` are the files of instances that are deleted or replaced.
    """

    name: str
    lookups: Sequence[tuple[str, str, str]] = ()
    writer: str = ""
    changes: Sequence[Change] = ()
    blobs: Sequence[str] = ()

    def entity(self, partition_key: str) -> Entity:
        by_row = sorted(self.lookups, key=itemgetter(2))  # a study may have thousands: so they compress well
        content = [by_row, self.writer, [astuple(change) for change in self.changes], list(self.blobs)]
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
        return Entity(partition_key, keys.outbox_row(self.name), pack("k", packed), "*")

    @classmethod
    def of(cls, entity: Entity) -> Outbox:
        lookups, writer, changes, blobs = json.loads(zlib.decompress(unpack("k", entity.properties)))
        return cls(
            entity.row_key.removeprefix(keys.outbox_row("")),
            [(table, partition, row) for table, partition, row in lookups],
            writer,
            [Change(*change) for change in changes],
            blobs,
        )


@dataclass(slots=True)
class StudyHead:
    """What a study's partition holds in front of its instances.

    An instance is there if its version is above the floors of its study and its series (DEL-15).
    `series` are those that are there, `removed` those that are deleted and have rows that are not removed yet.
    """

    study: StudyRow | None = None
    series: dict[str, SeriesRow] = field(default_factory=dict)
    removed: dict[str, SeriesRow] = field(default_factory=dict)
    change_sets: list[ChangeSetRow] = field(default_factory=list)
    fences: set[str] = field(default_factory=set)
    outbox: list[Outbox] = field(default_factory=list)

    @classmethod
    def of(cls, entities: Iterable[Entity]) -> StudyHead:
        head = cls()
        series: list[SeriesRow] = []
        for entity in entities:
            match keys.row_kind(entity.row_key):
                case "S":
                    head.study = StudyRow.of(entity)
                case "E":
                    series.append(SeriesRow.of(entity))
                case "C":
                    head.change_sets.append(ChangeSetRow.of(entity))
                case "F":
                    head.fences.add(keys.fenced_request(entity.row_key))
                case "X":
                    head.outbox.append(Outbox.of(entity))
        floor = head.study.floor if head.study else 0
        for row in series:
            (head.series if row.version > max(floor, row.floor) else head.removed)[row.series] = row
        return head

    @property
    def exists(self) -> bool:
        return self.study is not None and self.study.instances > 0

    def holds(self, row: InstanceRow) -> bool:
        """Whether an instance is there: not one that has been deleted and whose row is not removed yet (DEL-15)."""
        series = self.series.get(row.series) or self.removed.get(row.series)
        floors = (self.study.floor if self.study else 0, series.floor if series else 0)
        return row.version > max(floors)

    def changes_to(self, version: int) -> Changes:
        """What the latest version of the instance that was stored as `version` has changed."""
        changes: Changes = {}
        for change_set in sorted(self._covering(version), key=lambda row: row.version):
            changes = merge(changes, change_set.changes)
        return changes

    def current_version(self, version: int) -> int:
        """The version of the latest state of the instance that was stored as `version`."""
        return max([version, *(row.version for row in self._covering(version))])

    def _covering(self, version: int) -> list[ChangeSetRow]:
        """The change sets of an instance; if its study has been deleted and stored again, only those from the time of each."""
        floor = self.study.floor if self.study else 0
        return [row for row in self.change_sets if row.cover >= version and (row.cover > floor) == (version > floor)]


def _pack_tags(tags: TagValues) -> dict[str, Value]:
    return pack("t", zlib.compress(json.dumps(tags, separators=(",", ":")).encode())) if tags else {}


def _unpack_tags(row: dict[str, Value]) -> TagValues:
    packed = unpack("t", row)
    return {int(tag): TagValue(*value) for tag, value in json.loads(zlib.decompress(packed)).items()} if packed else {}


def _dump(value: dict[str, dict[str, Any]]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
