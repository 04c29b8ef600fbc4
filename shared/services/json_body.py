"""The JSON of request bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Of objects and arrays in each other (LIM-24)."""


def parse_json(text: str | bytes) -> Any:
    """The value of a text. Raises ValueError for what is no JSON (RFC 8259), half a surrogate pair, or nested too deeply."""
    try:
        parsed = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None
    json.dumps(parsed, ensure_ascii=False).encode()
    inner = _containers([parsed])
    for _ in range(MAX_DEPTH):
        inner = [child for item in inner for child in _containers(item.values() if isinstance(item, dict) else item)]
    if inner:
        raise ValueError("The JSON is nested too deeply.")
    return parsed


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON.")
