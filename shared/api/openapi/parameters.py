"""The parameters of paths, queries and headers (OpenAPI 3.1 4.8.12)."""

from __future__ import annotations

from typing import Any, Final

from shared.api import change_feed
from shared.api.openapi.schemas import GUID, TEXT, UID, Schema
from shared.dicom.searchable import SEARCHABLE, Level
from shared.services import query

type Parameter = dict[str, Any]

_BOOLEAN: Final[Schema] = {"type": "boolean", "default": False}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}


def _integer(least: int, most: int | None = None, default: int | None = None) -> Schema:
    bounds = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return {name: bound for name, bound in bounds.items() if bound is not None}


_PATH: Final[dict[str, tuple[Schema, str]]] = {
    "study": (UID, "StudyInstanceUID"),
    "series": (UID, "SeriesInstanceUID"),
    "instance": (UID, "SOPInstanceUID"),
    "frames": (
        {"type": "string", "pattern": "^[1-9][0-9]{0,5}(,[1-9][0-9]{0,5}){0,99}$"},
        "Frame numbers from 1, separated by commas; only one where an image is drawn",
    ),
    "path": (
        {"type": "string", "pattern": "^[0-9A-F]{8}(/[0-9]{1,4}/[0-9A-F]{8})*$"},
        "What stands behind `bulkdata/` in a BulkDataURI: a tag, or tags and numbers of items with slashes between them",
    ),
    "partition": ({"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}, "The name of a data partition"),
    "tag": (
        {"type": "string", "pattern": "^([0-9A-Fa-f]{8}|[A-Z][A-Za-z]{1,64})$"},
        "An attribute: eight hexadecimal digits or a keyword",
    ),
    "operation": (GUID, "The id that the request which started the operation was answered with"),
}

_QUERY: Final[dict[str, tuple[Schema, str]]] = {
    "limit": (_integer(1, query.MOST_RESULTS, query.DEFAULT_RESULTS), "The most results to return"),
    "offset": (_integer(0, default=0), "How many results to leave out"),
    "fuzzymatching": (_BOOLEAN, "Whether the words of a person's name are matched by their beginnings, in any place"),
    "includefield": (TEXT, "`all`, or attributes to return besides, by tag or keyword, separated by commas"),
    "accept": (TEXT, "Wins over the Accept header"),
    "includebulkdatauri": (_BOOLEAN, "Whether elements with bulk values are there, with a BulkDataURI"),
    "quality": (_integer(1, 100), "Of a JPEG"),
    "viewport": (TEXT, "`width,height[,left,top,width,height]`: pixels of the image, then the region to draw"),
    "window": (TEXT, "`center,width[,function]`: what is drawn from black to white; linear, linear-exact or sigmoid"),
    "startTime": (_MOMENT, "The first moment, with a time zone"),
    "endTime": (_MOMENT, "The moment after the last, with a time zone"),
    "includeMetadata": ({"type": "boolean", "default": True}, "Whether entries have the instance's current metadata"),
    "wait": (
        _integer(1, change_feed.LONGEST_WAIT_SECONDS),
        "How many seconds to wait for an entry rather than to answer with an empty array",
    ),
    "dryRun": (_BOOLEAN, "Whether to answer with what would change, and to change nothing"),
}

_HEADERS: Final[dict[str, tuple[Schema, str]]] = {
    "If-None-Match": (TEXT, "Entity tags of what the client has: 304 if it is still the same"),
    "If-Range": (TEXT, "An entity tag: without effect, Range is, too, if it is another one by now"),
    "Range": (TEXT, "`bytes=first-last`: the part of the file to send"),
    "msdicom-request-original": (_BOOLEAN, "Whether bulk updates are to be ignored"),
}


def _parameter(place: str, name: str, schema: Schema, description: str) -> Parameter:
    parameter: Parameter = {"name": name, "in": place, "description": description, "schema": schema}
    return parameter | {"required": True} if place == "path" else parameter


PARAMETERS: Final[dict[str, Parameter]] = {
    name: _parameter(place, name, schema, description)
    for place, known in (("path", _PATH), ("query", _QUERY), ("header", _HEADERS))
    for name, (schema, description) in known.items()
} | {
    attribute.keyword: _parameter("query", attribute.keyword, TEXT, f"Matches {attribute.keyword} ({attribute.vr})")
    for attribute in SEARCHABLE.values()
}
PARAMETERS["feedLimit"] = _parameter(
    "query",
    "limit",
    _integer(1, change_feed.MOST_ENTRIES_OF_VERSION_1, change_feed.DEFAULT_ENTRIES_OF_VERSION_1),
    "How many sequence numbers to look at",
)
"""By the name under which `#/components/parameters` has them."""


def filters(*levels: Level) -> tuple[str, ...]:
    """The parameters that filter searches for what has attributes of these levels (QIDO-40 to QIDO-53)."""
    return tuple(attribute.keyword for attribute in SEARCHABLE.values() if attribute.level in levels)
