"""The table `querytags`: the list of extended query tags, one row that is compared and swapped as a whole.

So adding is all or nothing (EQT-42), and one read tells everything. Values and errors of a tag are in a table of the tag's
own (storage/lookups.py), which deleting the tag deletes.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from shared.dicom.searchable import ExtendedAttribute, Level
from shared.storage import keys
from shared.storage.lookups import table_of
from shared.storage.properties import number, pack, text, unpack
from shared.storage.wire import Entity, Operation, StorageError, Value, Wire, literal

TABLE = "querytags"

ADDING, READY, DELETING = "adding", "ready", "deleting"
"""EQT-72 to EQT-74."""

_PARTITION, _ROW = "tags", "list"
_ERRORS = "|errors"  # no partition's name begins like that, so it is no key of a value


@dataclass(frozen=True, slots=True)
class QueryTag:
    """A registered tag (EQT-70). `operation` is the re-index that makes it ready; `enabled` its query status.

    `erroneous` says that errors have been recorded for it; how many are left, only `QueryTags.errors` knows.
    """

    attribute: ExtendedAttribute
    status: str = ADDING
    enabled: bool = True
    erroneous: bool = False
    operation: str = ""


@dataclass(slots=True)
class TagList:
    """All tags in the order of their creation (EQT-71). `version` grows with what writers of values need to know."""

    version: int = 0
    next_id: int = 1
    tags: list[QueryTag] = field(default_factory=list)
    etag: str = ""

    @property
    def indexed(self) -> list[ExtendedAttribute]:
        """The attributes whose values are to be indexed (EQT-110)."""
        return [tag.attribute for tag in self.tags if tag.status != DELETING]

    def find(self, key: str) -> QueryTag | None:
        """The tag with this path: eight upper-case hexadecimal digits."""
        return next((tag for tag in self.tags if tag.attribute.key == key), None)

    def replace(self, tag: QueryTag) -> None:
        """Puts `tag` in the place of the one with the same id, if that is still there."""
        self.tags = [tag if known.attribute.id == tag.attribute.id else known for known in self.tags]


@dataclass(frozen=True, slots=True)
class TagError:
    """An instance whose value could not be indexed; `created` in microseconds since 1970 (EQT-90)."""

    partition: str
    study: str
    series: str
    sop_instance: str
    message: str = ""
    created: int = 0


class QueryTags:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known: TagList | None = None

    async def read(self) -> TagList:
        """The list as it is now."""
        entity = await self._wire.get_entity(TABLE, _PARTITION, _ROW)
        found = _tag_list(entity) if entity else TagList()
        if self._known is None or found.version >= self._known.version:
            self._known = found
        return replace(found, tags=list(found.tags))

    async def known(self, version: int) -> TagList:
        """The list as it was at this version or later, not to be changed; read only when this process has not seen it."""
        if self._known is None or self._known.version < version:
            return await self.read()
        return self._known

    async def save(self, tags: TagList) -> None:
        """Writes a list that was read and changed; raises `wire.TransactionFailed` when another was faster."""
        content = [
            [a.id, a.key, a.vr, a.level, a.creator, tag.status, tag.enabled, tag.erroneous, tag.operation]
            for tag in tags.tags
            for a in (tag.attribute,)
        ]
        properties = {"version": tags.version, "nextId": tags.next_id} | pack(
            "t", zlib.compress(json.dumps(content).encode())
        )
        entity = Entity(_PARTITION, _ROW, properties, tags.etag)
        [tags.etag] = await self._wire.transact(TABLE, [Operation("update" if tags.etag else "insert", entity)])

    async def create_table(self, attribute: ExtendedAttribute) -> None:
        await self._wire.create_table(table_of(attribute))

    async def delete_table(self, attribute: ExtendedAttribute) -> None:
        """A table that is gone, or about to go, is fine."""
        try:
            await self._wire.delete_table(table_of(attribute))
        except StorageError as error:
            if error.code != "TableBeingDeleted":
                raise

    async def add_error(self, attribute: ExtendedAttribute, error: TagError) -> None:
        """Records an error, once for each tag and instance (EQT-82)."""
        properties: dict[str, Value] = {"message": error.message, "created": time.time_ns() // 1000}
        await self._apply(attribute, Operation("insert", Entity(_ERRORS, _row_key(error), properties)))

    async def remove_errors(self, attribute: ExtendedAttribute, errors: Iterable[TagError]) -> None:
        for error in errors:
            await self._apply(attribute, Operation("delete", Entity(_ERRORS, _row_key(error), {}, "*")))

    async def errors(self, attribute: ExtendedAttribute) -> list[TagError]:
        """All errors of a tag, by the time when they were recorded (EQT-90)."""
        condition = f"PartitionKey eq {literal(_ERRORS)}"
        found = [_error(entity) async for entity in self._wire.entities(table_of(attribute), condition)]
        return sorted(found, key=lambda error: (error.created, error.sop_instance))

    async def _apply(self, attribute: ExtendedAttribute, operation: Operation) -> None:
        """An error that is there already, or gone already, is fine; so is a table that went with its tag."""
        try:
            await self._wire.transact(table_of(attribute), [operation])
        except StorageError as error:
            if error.status not in (404, 409):
                raise


def _tag_list(entity: Entity) -> TagList:
    row = entity.properties
    tags = [
        QueryTag(ExtendedAttribute(int(key, 16), vr, Level(level), tag, creator), status, enabled, erroneous, operation)
        for tag, key, vr, level, creator, status, enabled, erroneous, operation in json.loads(
            zlib.decompress(unpack("t", row))
        )
    ]
    return TagList(number(row, "version"), number(row, "nextId"), tags, entity.etag)


def _row_key(error: TagError) -> str:
    return keys.SEPARATOR.join((error.partition, error.study, error.series, error.sop_instance))


def _error(entity: Entity) -> TagError:
    row = entity.properties
    partition, study, series, sop_instance = entity.row_key.split(keys.SEPARATOR)
    return TagError(partition, study, series, sop_instance, text(row, "message"), number(row, "created"))
