"""The table `querytags`: the list of extended query tags, one row that is compared and swapped as a whole.

So adding is all or nothing (EQT-42), and one read tells everything. Values and errors of a tag are in a table of the tag's
own (storage/lookups.py), which deleting the tag deletes.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from shared.dicom.searchable import ExtendedAttribute, Level
from shared.storage import keys
from shared.storage.lookups import table_of
from shared.storage.properties import number, pack, text, unpack
from shared.storage.wire import Entity, Operation, StorageError, TransactionFailed, Value, Wire, literal

TABLE = "querytags"

ADDING, READY, DELETING = "adding", "ready", "deleting"
"""EQT-72 to EQT-74."""

_PARTITION, _ROW = "tags", "list"
_COUNT, _NUMBER, _NAME = "count", "e", "i"
_ERRORS = "|errors"  # no partition's name begins like that, so it is no key of a value


@dataclass(frozen=True, slots=True)
class QueryTag:
    """A registered tag (EQT-70). `operation` is the re-index that makes it ready; `enabled` its query status.

    `erroneous` says that errors have been recorded for it; how many are left, only `QueryTags.count_errors` knows.
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

    def remove(self, tag: QueryTag) -> None:
        """Takes out the tag with the same id, if it is still there."""
        self.tags = [known for known in self.tags if known.attribute.id != tag.attribute.id]

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
        while True:
            count = await self._error_count(attribute)
            place = number(count.properties, "next")
            count.properties |= {"count": number(count.properties, "count") + 1, "next": place + 1}
            properties: dict[str, Value] = {"name": _name(error), "message": error.message}
            properties["created"] = time.time_ns() // 1000
            named = Operation("insert", Entity(_ERRORS, _NAME + _name(error), {"number": place}))
            numbered = Operation("insert", Entity(_ERRORS, _numbered(place), properties))
            if await self._apply(attribute, [named, numbered], count):
                return

    async def remove_errors(self, attribute: ExtendedAttribute, errors: Iterable[TagError]) -> None:
        """Errors that are not there are fine."""
        for error in errors:
            while named := await self._get(attribute, _NAME + _name(error)):
                count = await self._error_count(attribute)
                count.properties["count"] = number(count.properties, "count") - 1
                numbered = Entity(_ERRORS, _numbered(number(named.properties, "number")), {}, "*")
                if await self._apply(attribute, [Operation("delete", named), Operation("delete", numbered)], count):
                    break

    async def count_errors(self, attribute: ExtendedAttribute) -> int:
        """How many errors a tag has."""
        return number((await self._error_count(attribute)).properties, "count")

    async def errors(self, attribute: ExtendedAttribute, offset: int, limit: int) -> list[TagError]:
        """Some errors of a tag, in the order in which they were recorded (EQT-90)."""
        condition = (
            f"PartitionKey eq {literal(_ERRORS)} and RowKey ge {literal(_NUMBER)} "
            f"and RowKey lt {literal(keys.after(_NUMBER))}"
        )
        found: list[TagError] = []
        async for entity in self._wire.entities(table_of(attribute), condition):
            found.append(_error(entity))
            if len(found) == offset + limit:
                break
        return found[offset:]

    async def _error_count(self, attribute: ExtendedAttribute) -> Entity:
        """The row that every change of the errors replaces: how many there are, and the number of the next one."""
        return await self._get(attribute, _COUNT) or Entity(_ERRORS, _COUNT, {"count": 0, "next": 1})

    async def _get(self, attribute: ExtendedAttribute, row_key: str) -> Entity | None:
        try:
            return await self._wire.get_entity(table_of(attribute), _ERRORS, row_key)
        except StorageError as error:
            if error.status != 404:
                raise
            return None  # the table went with its tag

    async def _apply(self, attribute: ExtendedAttribute, operations: Sequence[Operation], count: Entity) -> bool:
        """Changes an error and the count. False when another has changed the count.

        An error that is there already, or gone already, is fine; so is a table that went with its tag.
        """
        counted = Operation("update" if count.etag else "insert", count)
        try:
            await self._wire.transact(table_of(attribute), [*operations, counted])
        except TransactionFailed as error:
            return error.index == 0 and error.is_race
        except StorageError as error:
            if error.status not in (404, 409):
                raise
        return True


def _tag_list(entity: Entity) -> TagList:
    row = entity.properties
    tags = [
        QueryTag(ExtendedAttribute(int(key, 16), vr, Level(level), tag, creator), status, enabled, erroneous, operation)
        for tag, key, vr, level, creator, status, enabled, erroneous, operation in json.loads(
            zlib.decompress(unpack("t", row))
        )
    ]
    return TagList(number(row, "version"), number(row, "nextId"), tags, entity.etag)


def _numbered(number: int) -> str:
    return f"{_NUMBER}{number:020d}"


def _name(error: TagError) -> str:
    return keys.SEPARATOR.join((error.partition, error.study, error.series, error.sop_instance))


def _error(entity: Entity) -> TagError:
    row = entity.properties
    partition, study, series, sop_instance = text(row, "name").split(keys.SEPARATOR)
    return TagError(partition, study, series, sop_instance, text(row, "message"), number(row, "created"))
