"""Reads single elements out of stored metadata without parsing the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shared.dicom import tags
from shared.dicom.searchable import Attribute, values
from shared.storage.study_rows import Summary

_LONGEST_ELEMENT = 2048


def element(lines: Mapping[str, bytes], tag: int) -> dict[str, Any] | None:
    """The DICOM JSON element with this tag, or None."""
    key = tags.key(tag)
    line = lines.get(key)
    if line is None:
        return None
    parsed: dict[str, dict[str, Any]] = json.loads(b"{" + line + b"}")
    return parsed[key]


def summary_of(lines: Mapping[str, bytes], attributes: Iterable[Attribute]) -> Summary:
    """The elements of these attributes that the metadata has, as the index keeps them."""
    found = {attribute.key: element(lines, attribute.tag) for attribute in attributes}
    return {key: indexed for key, value in found.items() if (indexed := indexable(value))}


def indexable(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """An element with its first value: no other is indexed (QIDO-72). None when it has no value.

    Nor is a value that no VR allows, as padding can make it: a row could not hold it.
    """
    if not value or not any(text.strip(" \0") for text in values(value)[:1]):
        return None
    first = value | {"Value": value["Value"][:1]}
    return first if len(str(first)) <= _LONGEST_ELEMENT else None


def integer(lines: Mapping[str, bytes], tag: int) -> int:
    """The first value of an IS element; 0 when there is none."""
    found = values(element(lines, tag))
    try:
        return int(found[0])
    except (IndexError, ValueError):
        return 0
