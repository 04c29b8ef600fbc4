"""How many values an attribute may have (PS3.6, PS3.5 6.4; STOW-6C)."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_description, dictionary_VM

from shared.dicom import tags
from shared.dicom.vr import BULK

_MOST_PATIENT_NAMES: Final = 3
_NO_LIMIT: Final = sys.maxsize

_EXEMPT: Final = BULK | {"SQ", "UC"}


def broken_multiplicity(tag: int, vr: str, count: int) -> str | None:
    """The complete text of STOW-6C when an attribute has too few or too many values.

    None when `count` is fine, and for attributes without a rule: private and unknown ones, bulk data, most names.
    """
    least, most = _limits(tag)
    if least <= count <= most or count == 0 or vr in _EXEMPT:
        return None
    if vr == "PN" and (tag != tags.PATIENT_NAME or count <= _MOST_PATIENT_NAMES):
        return None
    element = f"{tags.text(tag)} {vr} {dictionary_description(tag)}"
    reason = f"Number of items {count} does not match ValueMultiplicity {dictionary_VM(tag)}"
    return f'Content "{element}" does not validate VR {vr}: {reason}'


@lru_cache(maxsize=4096)
def _limits(tag: int) -> tuple[int, int]:
    """The least and the greatest number of values. "2-2n" and "3-3n" are taken as "2-n" and "3-n"."""
    try:
        least, _, most = dictionary_VM(tag).partition("-")
    except KeyError:
        return 0, _NO_LIMIT
    if not most:
        return int(least), int(least)
    return int(least), _NO_LIMIT if most.endswith("n") else int(most)
