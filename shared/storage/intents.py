"""The table `intents`: work in flight. A row exists from before a request's first write until its last one is done.

Whoever finds an old row finishes the work or undoes it (services/upkeep.py).
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from shared.storage.properties import number, pack, text, unpack
from shared.storage.wire import Entity, Operation, StorageError, TransactionFailed, Value, Wire

TABLE = "intents"

STORE = "store"
DELETE = "delete"
UPDATE = "update"

_STUDIES = tuple(f"s{part}" for part in range(12))  # the parts that `pack` can make of one row's studies


@dataclass(slots=True)
class Intent:
    """`studies` are PartitionKeys of `instances`; `payload` is JSON: what the kind of work needs to be finished.

    `created` and `touched` (the last time that somebody was at it) are in microseconds since 1970.
    """

    id: str
    kind: str
    studies: set[str]
    payload: Any = None
    created: int = field(default_factory=lambda: time.time_ns() // 1000)
    touched: int = 0
    etag: str = ""


def new_request_id() -> str:
    """Unique, and growing with time."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(6)}"


class Intents:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def write(self, intent: Intent) -> None:
        """Records the intent, or that its request is still alive."""
        [intent.etag] = await self._wire.transact(TABLE, [Operation("upsert", _entity(intent))])

    async def hand_over(self, intent: Intent) -> None:
        """Leaves the rest of the work to upkeep, which takes it up when it next comes by."""
        entity = _entity(intent)
        entity.properties["touched"] = 0
        await self._wire.transact(TABLE, [Operation("upsert", entity)])

    async def claim(self, intent: Intent) -> bool:
        """Marks an old intent as being worked on. False: it has changed since it was read."""
        try:
            [intent.etag] = await self._wire.transact(TABLE, [Operation("update", _entity(intent))])
        except TransactionFailed:
            return False
        return True

    async def done(self, intent: Intent) -> None:
        """Removes the intent: nothing of its work is left to do."""
        try:
            await self._wire.transact(TABLE, [Operation("delete", Entity(_bucket(intent.id), intent.id, {}, "*"))])
        except StorageError as error:
            if error.status != 404:
                raise

    async def open(self) -> list[Intent]:
        """All work in flight, here and on other hosts: the table holds nothing else, so it is short."""
        return [_intent(entity) async for entity in self._wire.entities(TABLE, "")]

    async def of_study(self, key: str) -> dict[str, str]:
        """The work in flight that touches a study: request id -> kind."""
        entities = self._wire.entities(TABLE, "", select=("kind", *_STUDIES))
        return {item.row_key: text(item.properties, "kind") async for item in entities if key in _unpacked(item, "s")}

    async def studies(self) -> set[str]:
        """The studies that work in flight touches: what lookup tables say of them may be about to change."""
        entities = self._wire.entities(TABLE, "", select=_STUDIES)
        return {study async for entity in entities for study in _unpacked(entity, "s")}


def _bucket(intent_id: str) -> str:
    return intent_id[-1]


def _entity(intent: Intent) -> Entity:
    intent.touched = time.time_ns() // 1000
    properties: dict[str, Value] = {"kind": intent.kind, "created": intent.created, "touched": intent.touched}
    properties |= pack("s", _packed(sorted(intent.studies))) | pack("p", _packed(intent.payload))
    return Entity(_bucket(intent.id), intent.id, properties, intent.etag)


def _intent(entity: Entity) -> Intent:
    row = entity.properties
    return Intent(
        id=entity.row_key,
        kind=text(row, "kind"),
        studies=set(_unpacked(entity, "s")),
        payload=_unpacked(entity, "p"),
        created=number(row, "created"),
        touched=number(row, "touched"),
        etag=entity.etag,
    )


def _packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


def _unpacked(entity: Entity, prefix: str) -> Any:
    return json.loads(zlib.decompress(unpack(prefix, entity.properties)))
