"""Hypothesis strategies for data sets, with elements of every VR at any depth."""

from __future__ import annotations

import math
from typing import Any, Final

from hypothesis import strategies as st
from pydicom import config
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

# Values of SpecificCharacterSet, with characters that they have (beside those of ASCII).
CHARACTER_SETS: Final[dict[tuple[str, ...], str]] = {
    (): "",
    ("ISO_IR 100",): "äéñÅß",
    ("ISO_IR 144",): "ЛюкСкай",
    ("ISO_IR 192",): "äЛ山\N{MUSICAL SYMBOL G CLEF}길\N{COMBINING ACUTE ACCENT}",
    ("GB18030",): "王小东誠\N{EURO SIGN}",
    ("", "ISO 2022 IR 87"): "山田太郎やまだ",
    ("", "ISO 2022 IR 149"): "洪吉洞홍길동",
}

_TEXT_LENGTHS: Final = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "UC": 80, "UR": 80, "LT": 200, "ST": 200, "UT": 200}
_MULTIPLE: Final = {"AE", "CS", "LO", "SH", "UC", "DS", "IS", "PN", "UI", "DA", "TM", "AS", "DT"}
_INTEGERS: Final = {
    "US": (0, 2**16 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "UL": (0, 2**32 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "UV": (0, 2**64 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "IS": (-(2**31), 2**31 - 1),
    "AT": (0, 2**32 - 1),
}
_FLOATS: Final = {"FL": 32, "FD": 64}
_FORMATTED: Final = {
    "DA": ["20240131", "19000101"],
    "TM": ["10", "101112.123456"],
    "DT": ["2024", "20240131101112.5+0100"],
    "AS": ["012D", "045Y"],
    "UI": ["1.2.840.10008.1.1", "2.25.1", "1.22.333"],
}


def _tags_by_vr() -> dict[str, list[int]]:
    """Some public tags of each VR; not those that say how others are to be read."""
    special = {0x00080005, 0x00280103, 0x00281101, 0x00281102, 0x00281103, 0x00283002}
    found: dict[str, list[int]] = {}
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        if 0x0008 <= tag >> 16 < 0x7FE0 and tag not in special and len(vr) == 2 and len(found.get(vr, [])) < 6:
            found.setdefault(vr, []).append(tag)
    return found


TAGS: Final = _tags_by_vr()


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """A data set with its own character sets."""
    character_sets = draw(st.sampled_from(list(CHARACTER_SETS)))
    content = _elements(draw, character_sets, depth)
    if character_sets:
        content.SpecificCharacterSet = list(character_sets)
    return content


def _elements(draw: st.DrawFn, character_sets: tuple[str, ...], depth: int) -> Dataset:
    content = Dataset()
    for vr in draw(st.lists(st.sampled_from(sorted(TAGS)), max_size=8)):
        tag = draw(st.sampled_from(TAGS[vr]))
        if vr == "SQ":
            items = [_elements(draw, character_sets, depth - 1) for _ in range(draw(st.integers(0, 2 if depth else 0)))]
            content.add_new(tag, "SQ", items)
            content[tag].is_undefined_length = draw(st.booleans())
            for each in items:
                each.is_undefined_length_sequence_item = draw(st.booleans())
        else:
            with config.disable_value_validation():
                content.add_new(tag, vr, draw(_values(vr, CHARACTER_SETS[character_sets])))
    if draw(st.booleans()):
        content.add_new(0x00090010, "LO", "MAKER")
        content.add_new(0x00091001, "OB", draw(st.binary(max_size=6)))
        content.add_new(0x00091002, "SH", "private")
    return content


def _values(vr: str, characters: str) -> st.SearchStrategy[Any]:
    value = _value(vr, characters)
    return st.one_of(value, st.lists(value, min_size=2, max_size=3)) if vr in _MULTIPLE else value


def _value(vr: str, characters: str) -> st.SearchStrategy[Any]:
    if vr in _INTEGERS:
        return st.integers(*_INTEGERS[vr])
    if vr in _FLOATS:
        return st.floats(width=_FLOATS[vr], allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    if vr in _FORMATTED:
        return st.sampled_from(_FORMATTED[vr])
    if vr == "DS":
        numbers = st.floats(min_value=-1e20, max_value=1e20).filter(math.isfinite)
        return numbers.map(lambda number: format_number_as_ds(number))
    if vr == "PN":
        components = st.text("Ab ." + characters, max_size=5)
        groups = st.lists(components, max_size=3).map("^".join)
        names = st.lists(groups, min_size=1, max_size=3).map("=".join)
        return names.filter(lambda name: bool(name.strip(" =")))  # pydicom has no JSON for several names without groups
    if vr in _TEXT_LENGTHS:
        takes_all = vr not in ("AE", "CS", "UR")
        return st.text("AB z_0" + (characters if takes_all else ""), max_size=_TEXT_LENGTHS[vr] // 4)
    return st.binary(max_size=6).map(lambda value: value + bytes(len(value) % 8 and 8 - len(value) % 8))
