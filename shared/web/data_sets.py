"""Data sets that the service itself answers with, in the DICOM JSON model (PS3.18 F.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.dicom import tags

type Element = dict[str, Any]


def data_set(elements: Mapping[int, Element]) -> dict[str, Element]:
    """A data set or an item of a sequence: its elements by key, in ascending order of the tags."""
    return {tags.key(tag): elements[tag] for tag in sorted(elements)}


def element(vr: str, *values: object) -> Element:
    """An element with these values; an empty one without any."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def failed_attributes(comments: Iterable[str]) -> Element:
    """The value of FailedAttributesSequence: an item with an ErrorComment for each (STOW-93, UPD-20)."""
    return element("SQ", *(data_set({tags.ERROR_COMMENT: element("LO", comment)}) for comment in comments))
