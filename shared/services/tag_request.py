"""The bodies of requests about extended query tags, validated in the order of EQT-21 to EQT-37 and EQT-95 to EQT-98."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.dicom import tags
from shared.dicom.query_tag_rules import SUPPORTED_VRS, is_long_string
from shared.dicom.searchable import SEARCHABLE, Level
from shared.dicom.vr import LONG_LENGTH, SHORT_LENGTH
from shared.errors import BadRequest
from shared.services.json_body import parse_json

_VRS: Final = SHORT_LENGTH | LONG_LENGTH
_LEVELS: Final = {"instance": Level.INSTANCE, "series": Level.SERIES, "study": Level.STUDY}
_HEX_PATH: Final = re.compile(r"[0-9A-Fa-f]{8}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag to be added, as it was given: nothing but `path` and `level` is sure to be there."""

    path: str
    level: Level
    vr: str = ""
    creator: str = ""


@dataclass(frozen=True, slots=True)
class NewTag:
    """A tag that may be registered (EQT-41)."""

    tag: int
    vr: str
    level: Level
    creator: str


def parse_entries(body: bytes) -> list[Entry]:
    """The entries of a POST. Raises BadRequest for what is no array of complete entries (EQT-21 to EQT-24)."""
    parsed = _json(body)
    if not isinstance(parsed, list):
        raise _invalid("$", "The request body must be an array of extended query tags.")
    fields = [_fields(index, entry) for index, entry in enumerate(parsed)]
    levels = [_level(index, entry) for index, entry in enumerate(fields)]
    problem: BadRequest | None = None
    for index, (entry, level) in enumerate(zip(fields, levels, strict=True)):
        if not entry.get("path", "").strip():
            problem = _missing(index, "Path")
        if level is None:
            problem = _missing(index, "Level")
    if problem:
        raise problem
    return [
        Entry(entry["path"].strip(), level, entry.get("vr", "").strip(), entry.get("privatecreator", "").strip())
        for entry, level in zip(fields, levels, strict=True)
        if level is not None
    ]


def check_entries(entries: Sequence[Entry]) -> list[NewTag]:
    """What the entries ask for. Raises BadRequest when one cannot be a tag (EQT-26 to EQT-37)."""
    if not entries:
        raise BadRequest("The extended query tag(s) is missing.")
    checked: list[NewTag] = []
    seen: set[str] = set()
    for entry in entries:
        checked.append(_check(entry))
        if entry.path.lower() in seen:
            raise BadRequest(f"The extended query tag '{entry.path}' has been specified before.")
        seen.add(entry.path.lower())
    if len({tag.tag for tag in checked}) < len(checked):
        raise BadRequest("The same extended query tag has been specified by its tag and by its keyword.")
    return checked


def parse_path(path: str) -> str:
    """The path of a registered tag, as eight upper-case hexadecimal digits, from a URL (EQT-8)."""
    if _HEX_PATH.fullmatch(path):
        return path.upper()
    try:
        return tags.key(tags.tag_of(path))
    except KeyError:
        raise _unparsable(path) from None


def parse_query_status(body: bytes) -> bool:
    """Whether a PATCH enables (or disables) queries. Raises BadRequest (EQT-95 to EQT-98)."""
    parsed = _json(body)
    if not isinstance(parsed, dict):
        raise _invalid("$", "The request body must be an object.")
    for name in parsed:
        if name.lower() != "querystatus":
            raise _invalid(f"$.{name}", f'The field is not supported: "{name}".')
    if not parsed:
        raise _invalid("$.queryStatus", "The field is required.")
    known = {"enabled": True, "disabled": False}
    [value] = parsed.values()
    if not isinstance(value, str) or value.lower() not in known:
        raise _invalid("$.queryStatus", 'The value is not valid. It need to be one of "Disabled","Enabled".')
    return known[value.lower()]


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        raise _invalid("$", "The syntax of the request body is invalid.") from None


def _fields(index: int, entry: Any) -> dict[str, str]:
    """The members of an entry by their lower-case names; the level under the name `level` keeps its spelling beside it."""
    if not isinstance(entry, Mapping):
        raise _invalid(f"$[{index}]", "An extended query tag must be an object.")
    fields: dict[str, str] = {}
    for name, value in entry.items():
        if name.lower() not in ("path", "vr", "privatecreator", "level") or value is None:
            continue
        if not isinstance(value, str):
            if name.lower() == "level":
                raise _unknown_level(index, name, value)
            raise _invalid(f"$[{index}].{name}", "The value must be a string.")
        if name.lower() == "level" and value.strip() and value.strip().lower() not in _LEVELS:
            raise _unknown_level(index, name, value)
        fields[name.lower()] = value
    return fields


def _level(index: int, entry: Mapping[str, str]) -> Level | None:
    return _LEVELS.get(entry.get("level", "").strip().lower())


def _check(entry: Entry) -> NewTag:
    path, vr = entry.path, entry.vr.upper()
    try:
        tag = tags.tag_of(path)
    except KeyError:
        raise _unparsable(path) from None
    dictionary = tags.vr_of(tag)
    private = tags.is_private(tag)
    creator_element = private and 0x10 <= tag & 0xFFFF <= 0xFF
    if not private and (dictionary == "UN" or tag & 0xFFFF == 0):
        raise _unparsable(path)
    if tag in SEARCHABLE:
        raise BadRequest(f"The query tag '{path}' is already supported.")
    if entry.creator and not private:
        raise BadRequest(f"The extended query tag '{path}' is a standard tag. The private creator must be empty.")
    if entry.creator and creator_element:
        raise BadRequest(
            f"The extended query tag '{path}' identifies a private creator. The private creator must be empty."
        )
    if private and not creator_element and not entry.creator:
        raise BadRequest(f"The private creator for the private tag '{path}' is missing.")
    if not is_long_string(entry.creator):
        raise BadRequest(f"The private creator of the tag '{path}' is not a valid LO value.")
    if vr and vr not in _VRS:
        raise BadRequest(f"The VR code '{entry.vr}' for tag '{path}' is invalid.")
    known = [] if dictionary == "UN" else dictionary.split(" or ")
    if vr and known and vr not in known:
        raise BadRequest(
            f"The VR code '{entry.vr}' is incorrectly specified for '{path}'. The expected VR is '{dictionary}'."
        )
    if not vr and not known:
        raise BadRequest(f"The VR for the tag '{path}' is missing.")
    vr = vr or known[0]
    if vr not in SUPPORTED_VRS:
        raise BadRequest(f"The VR code '{vr}' specified for tag '{path}' is not supported.")
    return NewTag(tag, vr, entry.level, entry.creator)


def _unparsable(path: str) -> BadRequest:
    return BadRequest(f"The extended query tag '{path}' is invalid as it cannot be parsed into a valid Dicom Tag.")


def _invalid(field: str, reason: str) -> BadRequest:
    return BadRequest(f"The field '{field}' in request body is invalid: {reason}")


def _missing(index: int, name: str) -> BadRequest:
    return _invalid(
        f"[{index}].{name}",
        f"The Dicom Tag Property {name} must be specified and must not be null, empty or whitespace.",
    )


def _unknown_level(index: int, name: str, value: Any) -> BadRequest:
    expected = "['Instance', 'Series', 'Study']"
    return _invalid(f"$[{index}].{name}", f"Expected value '{value}' to be one of the following values: {expected}")
