"""The values that extended query tags have in an instance's metadata (EQT-64, EQT-65)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from shared.dicom import dicom_json
from shared.dicom.comparable import DECIMALS, INTEGERS, comparable
from shared.dicom.query_tag_rules import broken_tag_rule
from shared.dicom.searchable import Attribute, ExtendedAttribute, values
from shared.services.summaries import element, indexable
from shared.storage.instance_row import InstanceRow

type Elements = dict[ExtendedAttribute, dict[str, Any]]
"""What is to be indexed of an instance: DICOM JSON elements with one value each."""


def tag_values(lines: Mapping[str, bytes], attributes: Iterable[ExtendedAttribute]) -> Elements:
    """The values that are there and keep the strict rules; no other is ever found (STOW-82)."""
    found = {attribute: tag_value(lines, attribute) for attribute in attributes}
    return {attribute: value for attribute, value in found.items() if value}


def tag_value(lines: Mapping[str, bytes], attribute: ExtendedAttribute) -> dict[str, Any] | None:
    value = indexable(tag_element(lines, attribute))
    if value is None or broken_tag_rule(attribute.vr, value):
        return None
    if attribute.vr in INTEGERS | DECIMALS and comparable(values(value)[0], attribute.vr) is None:
        return None  # not a number, or infinite
    return value


def tag_problem(lines: Mapping[str, bytes], attribute: ExtendedAttribute) -> str | None:
    """Why the value of an instance cannot be indexed, in the words of the errors list (EQT-90); None when it can."""
    value = indexable(tag_element(lines, attribute))
    return broken_tag_rule(attribute.vr, value) if value else None


def stored_tag_values(row: InstanceRow, attributes: Iterable[ExtendedAttribute]) -> Elements:
    """The values in an instance that is about to be stored."""
    return tag_values(dicom_json.lines(zlib.decompress(row.packed_metadata)), attributes)


def tag_element(lines: Mapping[str, bytes], attribute: Attribute) -> dict[str, Any] | None:
    """The element of an attribute, wherever its private block is."""
    if not isinstance(attribute, ExtendedAttribute) or not attribute.creator:
        return element(lines, attribute.tag)
    group = attribute.tag & 0xFFFF0000
    for key in lines:
        creator = int(key, 16)
        if creator & 0xFFFF0000 == group and 0x10 <= creator & 0xFFFF <= 0xFF:
            [name, *_] = values(element(lines, creator)) or [""]
            if name.rstrip(" \0") == attribute.creator:
                return element(lines, group | (creator & 0xFF) << 8 | attribute.tag & 0xFF)
    return None
