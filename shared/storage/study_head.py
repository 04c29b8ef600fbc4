"""What a study's partition holds in front of its instances: the study, its series, change sets, and work in progress."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from operator import itemgetter

from shared.dicom.change_set import Changes, merge
from shared.storage import keys
from shared.storage.bundles import Extent
from shared.storage.change_feed import Change
from shared.storage.instance_row import InstanceRow
from shared.storage.properties import number, pack, text, unpack
from shared.storage.study_rows import SeriesRow, StudyRow
from shared.storage.wire import Entity, Value


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
        changes = json.dumps(self.changes, ensure_ascii=False, separators=(",", ":"))
        properties |= pack("c", zlib.compress(changes.encode()))
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
class Outbox:
    """What is left to do after a commit, written by the commit itself; whoever finds it does it and removes it.

    `lookups` are lookup rows that hold no longer, as (table, PartitionKey, RowKey); `changes` are to be appended to the
    change feed by `writer`; `extents` are the files of instances that are deleted or replaced.
    """

    name: str
    lookups: Sequence[tuple[str, str, str]] = ()
    writer: str = ""
    changes: Sequence[Change] = ()
    extents: Sequence[Extent] = ()

    def entity(self, partition_key: str) -> Entity:
        by_row = sorted(self.lookups, key=itemgetter(2))  # a study may have thousands: so they compress well
        content = [by_row, self.writer, [astuple(change) for change in self.changes], list(self.extents)]
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
        return Entity(partition_key, keys.outbox_row(self.name), pack("k", packed), "*")

    @classmethod
    def of(cls, entity: Entity) -> Outbox:
        lookups, writer, changes, extents = json.loads(zlib.decompress(unpack("k", entity.properties)))
        return cls(
            entity.row_key.removeprefix(keys.outbox_row("")),
            [(table, partition, row) for table, partition, row in lookups],
            writer,
            [Change(*change) for change in changes],
            [Extent(*extent) for extent in extents],
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
