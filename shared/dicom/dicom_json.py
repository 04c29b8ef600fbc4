"""Data sets as DICOM JSON (PS3.18 F.2), one top-level element a line, so that it can be taken apart without parsing.

Bulk values and group lengths are left out at every depth (WADO-82, WADO-84).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import isfinite, isnan
from struct import iter_unpack, unpack
from typing import Final

import orjson

from shared.dicom import tags, vr
from shared.dicom.charset import decode, split_character_sets
from shared.dicom.element import Element

type _Json = str | int | float | dict[str, str] | orjson.Fragment | None

_NUL_MEANS_NOTHING: Final = frozenset({"DA", "DS", "DT", "IS", "TM"})
_LEADING_SPACES_MEAN_NOTHING: Final = frozenset({"AE", "CS", "DS", "IS"})

_PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}")
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

# The first of the three values is a number of entries, whatever the VR of the others (PS3.3 C.7.6.3.1.5, C.11.1.1.1).
_LUT_DESCRIPTORS: Final = frozenset({0x00281101, 0x00281102, 0x00281103, 0x00283002})


def encode(dataset: Iterable[Element], character_sets: Sequence[str], little_endian: bool) -> bytes:
    """The DICOM JSON object of a data set, in UTF-8, in ascending order of tags (WADO-82 to WADO-85, D-7).

    `character_sets` are the values of SpecificCharacterSet, [] when absent; items that have their own use it.
    """
    return join(dict(_lines(dataset, character_sets, little_endian)))


def lines(text: bytes) -> dict[str, bytes]:
    """The lines of an object that `encode` or `join` has made, by tag: `00100010` -> `"00100010":{...}`."""
    return {line[1:9].decode(): line.removesuffix(b",") for line in text.split(b"\n")[1:-1]}


def join(lines: Mapping[str, bytes]) -> bytes:
    """The object that consists of these lines, in ascending order of tags. The inverse of `lines`."""
    if not lines:
        return b"{\n}"
    return b"{\n" + b",\n".join(lines[key] for key in sorted(lines)) + b"\n}"


def _lines(
    dataset: Iterable[Element], character_sets: Sequence[str], little_endian: bool
) -> Iterator[tuple[str, bytes]]:
    for element in dataset:
        value = element.value
        if value is None or element.vr in vr.BULK or element.tag & 0xFFFF == 0:
            continue
        if isinstance(value, list):
            items = [_item(item, character_sets, little_endian) for item in value]
            values = b"[%b]" % b",".join(items) if items else b""
        else:
            decoded = _values(element.tag, element.vr, value, character_sets, little_endian)
            if decoded is None:
                continue
            values = orjson.dumps(decoded) if decoded else b""
        key, start = _start(element.tag, element.vr)
        yield key, b'%b,"Value":%b}' % (start, values) if values else start + b"}"


@lru_cache(maxsize=8192)
def _start(tag: int, vr: str) -> tuple[str, bytes]:
    key = tags.key(tag)
    return key, f'"{key}":{{"vr":"{vr}"'.encode()


def _item(item: Sequence[Element], character_sets: Sequence[str], little_endian: bool) -> bytes:
    own = next((element.value for element in item if element.tag == tags.SPECIFIC_CHARACTER_SET), None)
    if isinstance(own, bytes):
        character_sets = split_character_sets(own)
    encoded = dict(_lines(item, character_sets, little_endian))
    return b"{%b}" % b",".join(encoded[key] for key in sorted(encoded))


def _values(
    tag: int, name: str, value: bytes, character_sets: Sequence[str], little_endian: bool
) -> list[_Json] | None:
    """The values of an element as JSON, [] when it is empty; None when its length does not fit its VR."""
    order = "<" if little_endian else ">"
    if number := vr.NUMBER.get(name):
        code, width = number
        if len(value) % width:
            return None
        numbers = unpack(f"{order}{len(value) // width}{code}", value)
        if name in ("FD", "FL"):
            return [_float(number) for number in numbers]
        if tag in _LUT_DESCRIPTORS and numbers and numbers[0] < 0:
            return [numbers[0] + 0x10000, *numbers[1:]]
        return list(numbers)
    if name == "AT":
        return (
            None
            if len(value) % 4
            else [f"{group:04X}{number:04X}" for group, number in iter_unpack(order + "HH", value)]
        )
    return _strings(name, decode(value, name, character_sets))


def _float(number: float) -> _Json:
    """JSON has no numbers for these values; the strings are those that the reference service gives."""
    if isfinite(number):
        return number
    return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _strings(name: str, text: str) -> list[_Json]:
    """The values of a string, each without its padding; missing ones are null (PS3.18 F.2.5).

    NULs are kept where spaces should pad the value (STOW-70, WADO-83); in numbers and dates they mean nothing.
    """
    if name == "UI":
        text = text.removesuffix("\0")
    convert = _CONVERTERS.get(name)
    padding = " \0" if name in _NUL_MEANS_NOTHING else " "
    values: list[_Json] = []
    for each in text.split("\\") if "\\" in text and name not in vr.SINGLE_VALUE else (text,):
        stripped = each.strip(padding) if name in _LEADING_SPACES_MEAN_NOTHING else each.rstrip(padding)
        values.append((convert(stripped) if convert else stripped) if stripped else None)
    return values if len(values) > 1 or values[0] is not None else []


def _person_name(text: str) -> _Json:
    """The groups of a name that are not empty (PS3.18 F.2.2)."""
    groups = zip(_PERSON_NAME_GROUPS, text.split("="), strict=False)
    return {name: stripped for name, group in groups if (stripped := group.rstrip(" "))} or None


def _integer(text: str) -> _Json:
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(text: str) -> _Json:
    """A number with all the digits that the file has; what is no number, or a larger one than FD has, is a string."""
    is_json = _JSON_NUMBER.fullmatch(text)
    if not (is_json or _DECIMAL.fullmatch(text)) or not isfinite(number := float(text)):
        return text
    return orjson.Fragment(text) if is_json else number


_CONVERTERS: Final[dict[str, Callable[[str], _Json]]] = {"DS": _decimal, "IS": _integer, "PN": _person_name}
