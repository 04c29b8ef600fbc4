"""Entities of Table Storage as JSON (OData, minimal metadata), and their addresses."""

from __future__ import annotations

import base64
import math
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson

type Value = str | int | float | bool | bytes

_MOST = 2**63 - 1
_LEAST = -(2**63)
# Signatures cover the path as it is sent, and aiohttp sends these characters as they are.
_PLAIN_IN_PATH = "!$&'()*,;=:@"

_FROM_TEXT: Final[Mapping[str | None, Callable[[Any], Value]]] = {
    "Edm.Int64": int,
    "Edm.Binary": a2b_base64,
    "Edm.Double": float,
}


@dataclass(slots=True)
class Entity:
    """A row. An int is stored as Edm.Int64, bytes as Edm.Binary, a float as Edm.Double."""

    partition_key: str
    row_key: str
    properties: dict[str, Value] = field(default_factory=dict)
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A write. `update` replaces and `delete` removes the entity, if its ETag is still the one given (`*`: any).

    `insert` needs that there is none, `upsert` inserts or replaces.
    """

    kind: Literal["insert", "update", "upsert", "delete"]
    entity: Entity


def encode(entity: Entity) -> bytes:
    """One line of JSON in UTF-8. Raises ValueError for an int of more than 64 bits."""
    row: dict[str, Any] = {"PartitionKey": entity.partition_key, "RowKey": entity.row_key}
    for name, value in entity.properties.items():
        if isinstance(value, str | bool):
            row[name] = value
        elif isinstance(value, int):
            if not _LEAST <= value <= _MOST:
                raise ValueError(f"The property {name} does not fit into 64 bits.")
            row[name] = str(value)
            row[f"{name}@odata.type"] = "Edm.Int64"
        elif isinstance(value, bytes):
            row[name] = base64.b64encode(value).decode()
            row[f"{name}@odata.type"] = "Edm.Binary"
        else:
            row[name] = value if math.isfinite(value) else _not_finite(value)
            row[f"{name}@odata.type"] = "Edm.Double"
    # JSON allows these two as they are, but they end lines in JavaScript, where the emulator takes transactions apart.
    return orjson.dumps(row).replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")


def decode(row: dict[str, Any]) -> Entity:
    """The keys must have been selected. Types that are not in `Value` (times, GUIDs) stay text."""
    properties: dict[str, Value] = {}
    for name, value in row.items():
        if value is None or "odata." in name:
            continue
        convert = _FROM_TEXT.get(row.get(f"{name}@odata.type"))
        properties[name] = convert(value) if convert else value
    properties.pop("Timestamp", None)
    partition_key, row_key = str(properties.pop("PartitionKey")), str(properties.pop("RowKey"))
    return Entity(partition_key, row_key, properties, row["odata.etag"])


def entity_path(table: str, partition_key: str, row_key: str) -> str:
    """The path of an entity below the account's."""
    return f"{table}(PartitionKey='{_in_path(partition_key)}',RowKey='{_in_path(row_key)}')"


def literal(text: str) -> str:
    """An OData string literal, for filters."""
    return "'" + text.replace("'", "''") + "'"


def request_of(table: str, operation: Operation) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path below the account's, headers and body of one write.

    Raises ValueError when an update or a delete has no ETag: what it replaces must be said.
    """
    entity = operation.entity
    path = entity_path(table, entity.partition_key, entity.row_key)
    headers = {"Content-Type": "application/json"}
    match operation.kind:
        case "insert":
            return "POST", table, headers | {"Prefer": "return-no-content"}, encode(entity)
        case "upsert":
            return "PUT", path, headers, encode(entity)
    if not entity.etag:
        raise ValueError(f"To {operation.kind} the entity {entity.row_key!r} needs an ETag.")
    if operation.kind == "update":
        return "PUT", path, headers | {"If-Match": entity.etag}, encode(entity)
    return "DELETE", path, {"If-Match": entity.etag}, b""


def _in_path(key: str) -> str:
    return quote(key.replace("'", "''"), safe=_PLAIN_IN_PATH)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
