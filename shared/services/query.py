"""The query string of a search (QIDO-20 to QIDO-35, QIDO-54, QIDO-60 to QIDO-80): parsed into typed conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.dicom import tags
from shared.dicom.comparable import DECIMALS, INTEGERS, MOMENTS, comparable
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
from shared.storage.query_tags import READY, QueryTag

MOST_RESULTS = 200
DEFAULT_RESULTS = 100
MOST_VALUES = 200
"""In a list of UIDs or modalities: each may be a search of its own."""

_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "SH", "PN"})
_NOT_SEARCHED = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_PARAMETERS = frozenset({"limit", "offset", "fuzzymatching", "includefield"})
_LAST_MOMENT = "99999999"
_HINT = (
    "If the parameter is an attribute keyword, check the casing as they are case-sensitive. "
    "The conformance statement has a list of supported query parameters, attributes and the levels."
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter on one attribute; `matches` takes one value of it as text.

    What an index can start from: `equal` (folded values, any of them), `between` (dates, inclusive), `prefix` (folded) or
    `word` (the folded first word of a fuzzy search). `parts` are folded texts that every matching value contains.
    """

    attribute: Attribute
    matches: Callable[[str], bool]
    equal: tuple[str, ...] = ()
    between: tuple[str, str] | None = None
    prefix: str = ""
    word: str = ""
    parts: tuple[str, ...] = ()

    def accepts(self, element: dict[str, Any] | None) -> bool:
        """Only the first value of an attribute is searched (QIDO-72), but every modality of a study."""
        found = values(element)
        if self.attribute is not MODALITIES_IN_STUDY:
            found = found[:1]
        return any(self.matches(value) for value in found)


@dataclass(slots=True)
class Query:
    """`study` and `series` come from the path; `level` is that of the results.

    `tags` are the extended query tags that are filtered by, each under the name that the query gives it. `version_1` asks for
    the longer results of the API v1 (VER-24).
    """

    level: Level
    study: str | None = None
    series: str | None = None
    conditions: list[Condition] = field(default_factory=list)
    include: list[int] = field(default_factory=list)
    include_all: bool = False
    limit: int = DEFAULT_RESULTS
    offset: int = 0
    tags: dict[str, QueryTag] = field(default_factory=dict)
    version_1: bool = False

    @property
    def levels(self) -> range:
        """The levels whose attributes are filtered and returned (QIDO-1 to QIDO-6, QIDO-88 to QIDO-93)."""
        above = Level.INSTANCE if self.series else Level.SERIES if self.study else Level.STUDY
        return range(above, self.level + 1)


def may_use_tags(parameters: Sequence[tuple[str, str]]) -> bool:
    """Whether a filter names an attribute that only an extended query tag can make searchable on every route."""
    for name, _ in parameters:
        if name.strip().lower() not in _PARAMETERS:
            try:
                if tags.tag_of(name.strip()) not in SEARCHABLE:
                    return True
            except KeyError:
                continue
    return False


def parse(query: Query, parameters: Sequence[tuple[str, str]], extended: Sequence[QueryTag] = ()) -> Query:
    """Fills `query`, which has the level and the path's UIDs, from decoded query parameters. Raises BadRequest.

    `extended` are the extended query tags; none are needed unless `may_use_tags`.
    """
    known = {tag.attribute.tag: tag for tag in extended}
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
        condition = _condition(query, name, given, fuzzy, known)
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


def _condition(query: Query, name: str, given: list[str], fuzzy: bool, extended: Mapping[int, QueryTag]) -> Condition:
    try:
        tag = tags.tag_of(name)
    except (KeyError, ValueError):
        raise BadRequest(f"Invalid query: unknown query parameter '{name}'. {_HINT}") from None
    attribute = _attribute(query, name, tag, extended.get(tag))
    if attribute.vr == "UI":
        given = [part.strip() for value in given for part in re.split(r"[,\\]", value)]
    elif len(given) > 1:
        raise BadRequest(f"Invalid query: AttributeId '{name}' has been specified more than once.")
    elif attribute in (MODALITIES_IN_STUDY, MODALITY):
        given = [part.strip() for part in given[0].split(",")]
    if len(given) > MOST_VALUES:
        raise BadRequest(f"Invalid query: AttributeId '{name}' has more than {MOST_VALUES} values.")
    if not all(value.strip(" \0") for value in given):
        raise BadRequest(f"Invalid query: AttributeId '{name}' has empty string value that is not supported.")
    return _typed(attribute, given, fuzzy)


def _attribute(query: Query, name: str, tag: int, extended: QueryTag | None) -> Attribute:
    """The attribute, if the route can be filtered by it (QIDO-32, QIDO-54 to QIDO-57, CL-4)."""
    attribute = SEARCHABLE.get(tag)
    if attribute and attribute.level in query.levels:
        return attribute
    if extended and extended.status == READY and extended.attribute.level in query.levels:
        if not extended.enabled:
            raise BadRequest(f"Invalid query: Query is disabled on specified attribute '{name}'.")
        query.tags[name] = extended
        return extended.attribute
    if not attribute and query.study and _NOT_SEARCHED.isdisjoint((vr := tags.vr_of(tag)).split(" or ")):
        return Attribute(tag, vr, query.level)
    raise BadRequest(f"Invalid query: AttributeId {name} is not queryable.  {_HINT}")


def _typed(attribute: Attribute, given: list[str], fuzzy: bool) -> Condition:
    [first, *_] = given
    if attribute.vr in MOMENTS:
        return _temporal(attribute, first.rstrip(" \0"))
    if attribute.vr in INTEGERS | DECIMALS and comparable(first, attribute.vr) is None:
        raise BadRequest(f"Invalid query: the value '{first}' is invalid for attribute '{attribute.keyword}'.")
    if attribute.vr == "PN" and fuzzy and not any(character in first for character in "*?"):
        return _fuzzy(attribute, first)
    wanted = tuple(dict.fromkeys(fold(value, attribute.vr) for value in given))
    if attribute.vr in _WILDCARD_VRS and any(character in value for value in wanted for character in "*?"):
        pattern = re.compile("|".join(f"(?:{_pattern(value)})" for value in wanted), re.DOTALL)
        parts = tuple(re.split(r"[*?]", wanted[0])) if len(wanted) == 1 else ("",)

        def matches(value: str) -> bool:
            return bool(pattern.fullmatch(fold(value, attribute.vr)))

        return Condition(attribute, matches, prefix=parts[0], parts=parts)
    parts = wanted if len(wanted) == 1 else ()
    return Condition(attribute, lambda value: fold(value, attribute.vr) in wanted, equal=wanted, parts=parts)


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

    return Condition(attribute, matches, word=wanted[0], parts=tuple(wanted))


def _temporal(attribute: Attribute, value: str) -> Condition:
    """A date, time or date-time, or an inclusive range of them (QIDO-64 to QIDO-67)."""
    vr = attribute.vr
    if "-" not in value:
        wanted = _moment(attribute, value)
        return Condition(attribute, lambda found: fold(found, vr) == wanted, equal=(wanted,))
    parts = [part.strip() for part in value.split("-")]
    if len(parts) != 2:
        raise _not_a_moment(attribute, value)
    first, last = (_moment(attribute, part) if part else "" for part in parts)
    if not first and not last:
        raise BadRequest(f"Invalid query: invalid range '{value}'. Both parts in the range cannot be empty.")
    if first and last and first > last:
        raise BadRequest(
            f"Invalid query: the range '{value}' is invalid. The first part {parts[0]} should be lesser than or equal to "
            f"the second part {parts[1]}."
        )
    least, most = first or "0", last or _LAST_MOMENT
    return Condition(attribute, lambda found: least <= fold(found, vr) <= most, between=(least, most))


def _moment(attribute: Attribute, value: str) -> str:
    """The form in which the moment is compared."""
    if attribute.vr == "DT" and re.search(r"[+-][0-9]{4}$", value) and comparable(value, "DT"):
        raise BadRequest(f"Invalid query: the value '{value}' contains offset which is not supported.")
    if (moment := comparable(value, attribute.vr)) is None:
        raise _not_a_moment(attribute, value)
    return moment


def _not_a_moment(attribute: Attribute, value: str) -> BadRequest:
    if attribute.vr == "DA":
        return BadRequest(
            f"Invalid query: specified Date value '{value}' is invalid for attribute '{attribute.keyword}'. "
            "Date should be valid and formatted as yyyyMMdd."
        )
    return BadRequest(f"Invalid query: the value '{value}' is invalid for attribute '{attribute.keyword}'.")
