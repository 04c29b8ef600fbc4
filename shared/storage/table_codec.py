"""The JSON of table entities, and the multipart bodies of entity group transactions."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import orjson

type Value = str | int | float | bool | bytes


@dataclass(slots=True)
class Entity:
    """A row. An int is stored as Edm.Int64, bytes as Edm.Binary."""

    partition_key: str
    row_key: str
    properties: dict[str, Value] = field(default_factory=dict)
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A write. `update` replaces and `delete` removes the entity, both only if its ETag still holds (`*`: whatever it is)."""

    kind: Literal["insert", "update", "upsert", "delete"]
    entity: Entity


_METHODS = {"insert": "POST", "update": "PUT", "upsert": "PUT", "delete": "DELETE"}


def encode(entity: Entity) -> bytes:
    row: dict[str, Any] = {"PartitionKey": entity.partition_key, "RowKey": entity.row_key}
    for name, value in entity.properties.items():
        if isinstance(value, bool):
            row[name] = value
        elif isinstance(value, int):
            row[name] = str(value)
            row[f"{name}@odata.type"] = "Edm.Int64"
        elif isinstance(value, bytes):
            row[name] = base64.b64encode(value).decode()
            row[f"{name}@odata.type"] = "Edm.Binary"
        elif isinstance(value, float):
            row[name] = value
            row[f"{name}@odata.type"] = "Edm.Double"
        else:
            row[name] = value
    return orjson.dumps(row)


def decode(row: dict[str, Any], etag: str = "") -> Entity:
    properties: dict[str, Value] = {}
    for name, value in row.items():
        if value is None or name in ("PartitionKey", "RowKey", "Timestamp") or "odata." in name:
            continue
        match row.get(f"{name}@odata.type"):
            case "Edm.Int64":
                properties[name] = int(value)
            case "Edm.Binary":
                properties[name] = base64.b64decode(value)
            case "Edm.Double":
                properties[name] = float(value)
            case _:
                properties[name] = value
    return Entity(row["PartitionKey"], row["RowKey"], properties, row.get("odata.etag", etag))


def path_of(table: str, partition_key: str, row_key: str) -> str:
    return f"{table}(PartitionKey='{_quoted(partition_key)}',RowKey='{_quoted(row_key)}')"


def request_of(table: str, operation: Operation) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path below the account, headers and body of one write."""
    entity = operation.entity
    method = _METHODS[operation.kind]
    headers = {"Accept": "application/json;odata=nometadata"}
    if operation.kind == "insert":
        path = table
        headers["Prefer"] = "return-no-content"
    else:
        path = path_of(table, entity.partition_key, entity.row_key)
    if operation.kind in ("update", "delete"):
        headers["If-Match"] = entity.etag or "*"
    body = b""
    if operation.kind != "delete":
        headers["Content-Type"] = "application/json"
        body = encode(entity)
    return method, path, headers, body


def batch(endpoint: str, table: str, operations: Sequence[Operation]) -> tuple[str, bytes]:
    """Content-Type and body of an entity group transaction."""
    boundary, changes = f"batch_{uuid.uuid4()}", f"changeset_{uuid.uuid4()}"
    parts = [f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()]
    for number, operation in enumerate(operations):
        method, path, headers, body = request_of(table, operation)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        parts.append(
            f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n{method} {endpoint}/{path} HTTP/1.1\r\n{lines}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        parts += [body, b"\r\n"]
    parts.append(f"--{changes}--\r\n\r\n--{boundary}--\r\n".encode())
    return f"multipart/mixed; boundary={boundary}", b"".join(parts)


_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_ETAG = re.compile(rb"^etag: *(.+?)\r?$", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(rb'"code" *: *"([^"]+)"')
_INDEX = re.compile(rb'"value" *: *"(\d+):')


@dataclass(frozen=True, slots=True)
class BatchFailure:
    index: int
    status: int
    code: str


def batch_result(body: bytes) -> list[str] | BatchFailure:
    """The new ETags in the order of the operations ("" after a delete), or the operation that failed."""
    answers = _STATUS.split(body)[1:]
    etags: list[str] = []
    for status, rest in zip(answers[::2], answers[1::2], strict=True):
        if int(status) >= 400:
            index, code = _INDEX.search(rest), _CODE.search(rest)
            return BatchFailure(
                int(index.group(1)) if index else 0, int(status), code.group(1).decode() if code else ""
            )
        etag = _ETAG.search(rest)
        etags.append(etag.group(1).decode() if etag else "")
    return etags


def _quoted(key: str) -> str:
    """A key in a URL path. What RFC 3986 allows there stays as it is: the emulator signs it that way."""
    return quote(key.replace("'", "''"), safe="!$&'()*,;=:@")
