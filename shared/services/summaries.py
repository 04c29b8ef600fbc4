"""Reads single elements out of stored metadata without parsing the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shared.dicom import tags
from shared.dicom.searchable import Attribute, values
from shared.storage.rows import Summary


def element(lines: Mapping[str, bytes], tag: int) -> dict[str, Any] | None:
    """The DICOM JSON element with this tag, or None."""
    key = tags.key(tag)
    line = lines.get(key)
    if line is None:
        return None
    parsed: dict[str, dict[str, Any]] = json.loads(b"{" + line + b"}")
    return parsed[key]


def summary_of(lines: Mapping[str, bytes], attributes: Iterable[Attribute]) -> Summary:
    """The elements of these attributes that the metadata has."""
    found = {attribute.key: element(lines, attribute.tag) for attribute in attributes}
    return {key: value for key, value in found.items() if value}


def integer(lines: Mapping[str, bytes], tag: int) -> int:
    """The first value of an IS element; 0 when there is none."""
    found = values(element(lines, tag))
    try:
        return int(found[0])
    except (IndexError, ValueError):
        return 0
