"""Reading and writing the properties of table entities."""

from __future__ import annotations

from collections.abc import Mapping

from shared.storage.wire import Value

PROPERTY_BYTES = 60_000


def text(row: Mapping[str, Value], name: str) -> str:
    return str(row.get(name, ""))


def number(row: Mapping[str, Value], name: str) -> int:
    return int(row.get(name, 0))


def pack(prefix: str, data: bytes) -> dict[str, Value]:
    """Binary properties `{prefix}0`, `{prefix}1` ... of at most 64 KiB each."""
    starts = range(0, len(data), PROPERTY_BYTES)
    return {f"{prefix}{i}": data[start : start + PROPERTY_BYTES] for i, start in enumerate(starts)}


def unpack(prefix: str, row: dict[str, Value]) -> bytes:
    parts: list[bytes] = []
    while isinstance(part := row.get(f"{prefix}{len(parts)}"), bytes):
        parts.append(part)
    return b"".join(parts)
