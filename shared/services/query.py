"""The query string of a search (QIDO-20 to QIDO-35, QIDO-60 to QIDO-80): parsed into typed conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.dicom import tags
from shared.dicom.searchable import (
    MODALITIES_IN_STUDY,
    MODALITY,
    SEARCHABLE,
    Attribute,
    Level,
    fold,
    values,
    words,
)
from shared.errors import BadRequest

MOST_RESULTS = 200
DEFAULT_RESULTS = 100

_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "SH", "PN"})
_NOT_SEARCHED = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBER_VRS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
_HINT = (
    "If the parameter is an attribute keyword, check the casing as they are case-sensitive. "
    "The conformance statement has a list of supported query parameters, attributes and the levels."
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter on one attribute; `matches` takes one value of it as text.

    What an index can start from: `equal` (folded values, any of them), `between` (dates, inclusive), `prefix` (folded) or
    `word` (the folded first word of a fuzzy search).
    """

    attribute: Attribute
    matches: Callable[[str], bool]
    equal: tuple[str, ...] = ()
    between: tuple[str, str] | None = None
    prefix: str = ""
    word: str = ""

    def accepts(self, element: dict[str, Any] | None) -> bool:
        """Only the first value of an attribute is searched (QIDO-72), but every modality of a study."""
        found = values(element)
        if self.attribute is not MODALITIES_IN_STUDY:
            found = found[:1]
        return any(self.matches(value) for value in found)


@dataclass(slots=True)
class Query:
    """`study` and `series` come from the path; `level` is that of the results."""

    level: Level
    study: str | None = None
    series: str | None = None
    conditions: list[Condition] = field(default_factory=list)
    include: list[int] = field(default_factory=list)
    include_all: bool = False
    limit: int = DEFAULT_RESULTS
    offset: int = 0

    @property
    def levels(self) -> range:
        """The levels whose attributes are filtered and returned (QIDO-1 to QIDO-6, QIDO-88 to QIDO-93)."""
        above = Level.INSTANCE if self.series else Level.SERIES if self.study else Level.STUDY
        return range(above, self.level + 1)


def parse(query: Query, parameters: Sequence[tuple[str, str]]) -> Query:
    """Fills `query`, which has the level and the path's UIDs, from decoded query parameters. Raises BadRequest."""
    fuzzy = False
    filters: dict[str, list[str]] = {}
    for name, value in parameters:
        match name.strip().lower():
            case "limit":
                query.limit = _integer("Limit", value, 1, MOST_RESULTS)
            case "offset":
                query.offset = _integer("Offset", value, 0, 2**63 - 1)
            case "fuzzymatching":
                fuzzy = _boolean("FuzzyMatching", value)
            case "includefield":
                _include(query, value)
            case _:
                filters.setdefault(name.strip(), []).append(value.strip())
    for name, given in filters.items():
        condition = _condition(query, name, given, fuzzy)
        if any(condition.attribute.tag == other.attribute.tag for other in query.conditions):
            raise BadRequest(f"Invalid query: AttributeId '{name}' has been specified more than once.")
        query.conditions.append(condition)
    return query


def _integer(name: str, value: str, least: int, most: int) -> int:
    problem = f"The query parameter '{name}' is invalid."
    if not re.fullmatch(r"-?[0-9]{1,30}", digits := value.strip()):
        raise BadRequest(f"{problem} The value '{value}' is not valid for {name}.")
    if not least <= int(digits) <= most:
        raise BadRequest(f"{problem} The field {name} must be between {least} and {most}.")
    return int(digits)


def _boolean(name: str, value: str) -> bool:
    known: Mapping[str, bool] = {"true": True, "false": False}
    if value.strip().lower() not in known:
        raise BadRequest(f"The query parameter '{name}' is invalid. The value '{value}' is not valid for {name}.")
    return known[value.strip().lower()]


def _include(query: Query, value: str) -> None:
    for item in value.split(","):
        if item.strip().lower() == "all":
            query.include_all = True
            continue
        try:
            query.include.append(tags.tag_of(item.strip()))
        except (KeyError, ValueError):
            raise BadRequest(f"Invalid query: IncludeField has unknown attribute '{item.strip()}'.") from None


def _condition(query: Query, name: str, given: list[str], fuzzy: bool) -> Condition:
    try:
        tag = tags.tag_of(name)
    except (KeyError, ValueError):
        raise BadRequest(f"Invalid query: unknown query parameter '{name}'. {_HINT}") from None
    attribute = _attribute(query, name, tag)
    if attribute.vr == "UI":
        given = [part.strip() for value in given for part in re.split(r"[,\\]", value)]
    elif len(given) > 1:
        raise BadRequest(f"Invalid query: AttributeId '{name}' has been specified more than once.")
    elif attribute in (MODALITIES_IN_STUDY, MODALITY):
        given = [part.strip() for part in given[0].split(",")]
    if not all(value.strip(" \0") for value in given):
        raise BadRequest(f"Invalid query: AttributeId '{name}' has empty string value that is not supported.")
    return _typed(attribute, given, fuzzy)


def _attribute(query: Query, name: str, tag: int) -> Attribute:
    """The attribute, if the route can be filtered by it (QIDO-32, QIDO-57, CL-4)."""
    attribute = SEARCHABLE.get(tag)
    if attribute and attribute.level in query.levels:
        return attribute
    if not attribute and query.study and _NOT_SEARCHED.isdisjoint((vr := tags.vr_of(tag)).split(" or ")):
        return Attribute(tag, vr, query.level)
    raise BadRequest(f"Invalid query: AttributeId {name} is not queryable.  {_HINT}")


def _typed(attribute: Attribute, given: list[str], fuzzy: bool) -> Condition:
    [first, *_] = given
    if attribute.vr in ("DA", "DT", "TM"):
        return _temporal(attribute, first.rstrip(" \0"))
    if attribute.vr in _NUMBER_VRS:
        return _numeric(attribute, first)
    if attribute.vr == "PN" and fuzzy and not any(character in first for character in "*?"):
        return _fuzzy(attribute, first)
    wanted = tuple(dict.fromkeys(fold(value, attribute.vr) for value in given))
    if attribute.vr in _WILDCARD_VRS and any(character in value for value in wanted for character in "*?"):
        pattern = re.compile("|".join(f"(?:{_pattern(value)})" for value in wanted), re.DOTALL)
        prefix = re.split(r"[*?]", wanted[0])[0] if len(wanted) == 1 else ""
        return Condition(attribute, lambda value: bool(pattern.fullmatch(fold(value, attribute.vr))), prefix=prefix)
    return Condition(attribute, lambda value: fold(value, attribute.vr) in wanted, equal=wanted)


def _pattern(value: str) -> str:
    """A wildcard value (PS3.4 C.2.2.2.4) as a regular expression.

    What a `*` covers ends where the text up to the next `*` first follows. To look further never helps, and could take
    for ever, so the groups are atomic.
    """
    first, *others = [re.sub(r"[^?]+|\?", _literal, part) for part in re.split(r"\*+", value)]
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"


def _literal(part: re.Match[str]) -> str:
    return "." if part[0] == "?" else re.escape(part[0])


def _fuzzy(attribute: Attribute, value: str) -> Condition:
    """QIDO-76: consecutive words of the name begin with the consecutive words of the query."""
    if '"' in value:
        raise BadRequest(f"Invalid query: the value of '{attribute.keyword}' contains a double quote.")
    wanted = words(value)
    if not wanted:
        raise BadRequest(
            f"Invalid query: AttributeId '{attribute.keyword}' has empty string value that is not supported."
        )

    def matches(name: str) -> bool:
        found = words(name)
        return any(
            all(word.startswith(prefix) for word, prefix in zip(found[start:], wanted, strict=False))
            for start in range(len(found) - len(wanted) + 1)
        )

    return Condition(attribute, matches, word=wanted[0])


def _temporal(attribute: Attribute, value: str) -> Condition:
    if "-" not in value:
        wanted = _moment(attribute, value)
        return Condition(attribute, lambda found: found.rstrip(" \0") == wanted, equal=(wanted,))
    parts = [part.strip() for part in value.split("-")]
    if len(parts) != 2:
        _moment(attribute, value)
    first, last = (_moment(attribute, part) if part else "" for part in parts)
    if not first and not last:
        raise BadRequest(f"Invalid query: invalid range '{value}'. Both parts in the range cannot be empty.")
    if first and last and first > last:
        raise BadRequest(
            f"Invalid query: the range '{value}' is invalid. The first part {first} should be lesser than or equal to "
            f"the second part {last}."
        )
    upper = last + "~" if attribute.vr != "DA" and last else last
    return Condition(
        attribute,
        lambda found: first <= found.rstrip(" \0") <= (upper or "~"),
        between=(first or "0", last or "99999999"),
    )


def _moment(attribute: Attribute, value: str) -> str:
    """A date (QIDO-64), date-time or time in its DICOM form."""
    if attribute.vr == "DA":
        try:
            if not re.fullmatch(r"[0-9]{8}", value):
                raise ValueError
            datetime.strptime(value, "%Y%m%d")
        except ValueError:
            raise BadRequest(
                f"Invalid query: specified Date value '{value}' is invalid for attribute '{attribute.keyword}'. "
                "Date should be valid and formatted as yyyyMMdd."
            ) from None
    elif not re.fullmatch(r"[0-9]{2,14}(\.[0-9]{1,6})?", value):
        raise BadRequest(f"Invalid query: the value '{value}' is invalid for attribute '{attribute.keyword}'.")
    return value


def _numeric(attribute: Attribute, value: str) -> Condition:
    try:
        wanted = float(value)
    except ValueError:
        raise BadRequest(
            f"Invalid query: the value '{value}' is invalid for attribute '{attribute.keyword}'."
        ) from None

    def matches(found: str) -> bool:
        try:
            return float(found) == wanted
        except ValueError:
            return False

    return Condition(attribute, matches)
