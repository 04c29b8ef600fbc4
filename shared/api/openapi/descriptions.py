"""What each method of each resource does: its parameters, its body, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.api.openapi.parameters import filters
from shared.api.openapi.schemas import Schema, array, reference
from shared.dicom.searchable import Level
from shared.web import representations
from shared.web.representations import DICOM, DICOM_JSON, JSON, Resource

type Content = dict[str, Any]
type Answer = tuple[str, Content, tuple[str, ...]]
"""What it means, what the body is, and which headers belong to it."""

_BYTES: Final[Schema] = {}  # no JSON Schema describes them
_MULTIPART: Final = "multipart/related"


def _body(schema: Schema, *media_types: str) -> Content:
    return {media_type: {"schema": schema} for media_type in media_types}


def _json(name: str) -> Content:
    return _body(reference(name), JSON)


def _files(offered: Resource) -> Content:
    """What can be sent of the representations of a resource."""
    kinds = [offer.media_type for offer in offered if offer.single]
    kinds += [_MULTIPART] if any(offer.multipart for offer in offered) else []
    return _body(_BYTES, *dict.fromkeys(kinds))


def _ok(content: Content, *headers: str, text: str = "Success.") -> Answer:
    return text, content, headers


_DATA_SET: Final = _body(reference("DataSet"), DICOM_JSON, JSON)
_DATA_SETS: Final = _body(reference("DataSets"), DICOM_JSON, JSON)
_NOT_MODIFIED: Final[Answer] = ("The client has it already.", {}, ("ETag",))
_NOTHING: Final[Answer] = ("There is nothing to return.", {}, ())


@dataclass(frozen=True, slots=True)
class Description:
    """`problems` are the statuses of its own with a problem body; those that all have are in `document.py`."""

    summary: str
    tag: str
    answers: dict[int, Answer]
    problems: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    body: Content = field(default_factory=dict)


def _search(summary: str, *levels: Level) -> Description:
    return Description(
        f"{summary} (QIDO-RS)",
        "search",
        {200: _ok(_DATA_SETS, "erroneous-dicom-attributes"), 204: _NOTHING},
        (406,),
        (*filters(*levels), "fuzzymatching", "includefield", "limit", "offset", "accept"),
    )


def _retrieve(summary: str, offered: Resource, *parameters: str) -> Description:
    return Description(
        f"{summary} (WADO-RS)",
        "retrieve",
        {200: _ok(_files(offered), "ETag"), 304: _NOT_MODIFIED},
        (404, 406),
        ("accept", "If-None-Match", *parameters),
    )


def _ranged(description: Description) -> Description:
    """Also takes Range where the answer is one part (D-29)."""
    partial = _ok(description.answers[200][1], "ETag", "Content-Range", text="The range.")
    return replace(
        description,
        answers=description.answers | {206: partial},
        problems=(*description.problems, 416),
        parameters=(*description.parameters, "Range", "If-Range"),
    )


def _delete(summary: str) -> Description:
    return Description(summary, "delete", {204: ("It is gone.", {}, ())}, (404,))


def _store(summary: str) -> Description:
    return Description(
        f"{summary} (STOW-RS)",
        "store",
        {
            200: _ok(_DATA_SET, "Warning", text="Everything is stored."),
            202: _ok(_DATA_SET, "Warning", text="Stored with warnings, or not everything."),
            204: _NOTHING,
            409: _ok(_DATA_SET, text="Nothing is stored."),
        },
        (406, 413, 415),
        body=_body(_BYTES, _MULTIPART, DICOM),
    )


_IMAGE: Final = ("quality", "viewport", "window")
_METADATA: Final = Description(
    "Retrieve metadata (WADO-RS)",
    "retrieve",
    {200: _ok(_DATA_SETS, "ETag"), 304: _NOT_MODIFIED},
    (404, 406),
    ("accept", "If-None-Match", "msdicom-request-original", "includebulkdatauri"),
)
_INSTANCES: Final = _retrieve("Retrieve instances", representations.INSTANCES, "msdicom-request-original")
_RENDERED: Final = _retrieve("Draw an image", representations.RENDERED, *_IMAGE)
_THUMBNAIL: Final = _retrieve("Draw a small image", representations.RENDERED, *_IMAGE)
_STARTED: Final[Answer] = ("The operation has started.", _json("OperationReference"), ("Location", "Retry-After"))
_YAML: Final = "application/yaml"

DESCRIPTIONS: Final[dict[tuple[str, str], Description]] = {
    ("studies", "GET"): _search("Search for studies", Level.STUDY),
    ("series", "GET"): _search("Search for series", Level.STUDY, Level.SERIES),
    ("instances", "GET"): _search("Search for instances", Level.STUDY, Level.SERIES, Level.INSTANCE),
    ("study_series", "GET"): _search("Search for series of a study", Level.SERIES),
    ("study_instances", "GET"): _search("Search for instances of a study", Level.SERIES, Level.INSTANCE),
    ("series_instances", "GET"): _search("Search for instances of a series", Level.INSTANCE),
    ("studies", "POST"): _store("Store instances"),
    ("study", "POST"): _store("Store instances of one study"),
    ("studies", "PUT"): _store("Store instances, in place of those that exist"),
    ("study", "PUT"): _store("Store instances of one study, in place of those that exist"),
    ("study", "GET"): _INSTANCES,
    ("one_series", "GET"): _INSTANCES,
    ("instance", "GET"): _ranged(
        _retrieve("Retrieve an instance", representations.INSTANCE, "msdicom-request-original")
    ),
    ("study", "DELETE"): _delete("Delete a study"),
    ("one_series", "DELETE"): _delete("Delete a series"),
    ("instance", "DELETE"): _delete("Delete an instance"),
    ("study_metadata", "GET"): _METADATA,
    ("series_metadata", "GET"): _METADATA,
    ("instance_metadata", "GET"): _METADATA,
    ("frames", "GET"): _retrieve("Retrieve frames", representations.FRAMES),
    ("bulk_data", "GET"): _ranged(_retrieve("Retrieve a bulk value", representations.BULK_DATA)),
    **{(f"{level}_rendered", "GET"): _RENDERED for level in ("study", "series", "instance", "frame")},
    **{(f"{level}_thumbnail", "GET"): _THUMBNAIL for level in ("study", "series", "instance", "frame")},
    ("bulk_update", "POST"): Description(
        "Update attributes of all instances of studies",
        "update",
        {
            200: _ok(_json("BulkUpdatePreview"), text="What a dry run has found."),
            202: _STARTED,
            400: _ok(
                _json("DataSet") | _body(reference("Problem"), "application/problem+json"),
                text="The request is wrong. A data set names attributes that cannot be changed like that.",
            ),
        },
        (409, 413, 415),
        ("dryRun",),
        _body(reference("BulkUpdate"), JSON),
    ),
    ("query_tags", "GET"): Description(
        "List the extended query tags",
        "extended query tags",
        {200: _ok(_body(array(reference("QueryTag")), JSON))},
        (),
        ("limit", "offset"),
    ),
    ("query_tags", "POST"): Description(
        "Add extended query tags",
        "extended query tags",
        {202: _STARTED},
        (409, 413, 415),
        body=_json("QueryTagEntries"),
    ),
    ("query_tag", "GET"): Description(
        "Show an extended query tag", "extended query tags", {200: _ok(_json("QueryTag"))}, (404,)
    ),
    ("query_tag", "PATCH"): Description(
        "Allow or forbid to search by an extended query tag",
        "extended query tags",
        {200: _ok(_json("QueryTag"))},
        (404, 413, 415),
        body=_json("QueryTagChange"),
    ),
    ("query_tag", "DELETE"): Description(
        "Delete an extended query tag", "extended query tags", {204: ("It is gone.", {}, ())}, (404,)
    ),
    ("query_tag_errors", "GET"): Description(
        "List the values that an extended query tag could not index",
        "extended query tags",
        {200: _ok(_body(array(reference("QueryTagError")), JSON))},
        (404,),
        ("limit", "offset"),
    ),
    ("operation", "GET"): Description(
        "Ask how far an operation has come",
        "operations",
        {
            200: _ok(_json("Operation"), text="The operation has ended."),
            202: ("The operation is under way.", _json("Operation"), ("Location", "Retry-After")),
        },
        (404,),
    ),
    ("changefeed", "GET"): Description(
        "Read changes in their order",
        "change feed",
        {200: _ok(_body(array(reference("ChangeFeedEntry")), JSON))},
        (),
        ("startTime", "endTime", "offset", "limit", "includeMetadata", "wait"),
    ),
    ("changefeed_latest", "GET"): Description(
        "Read the latest change",
        "change feed",
        {200: _ok(_json("ChangeFeedEntry")), 204: _NOTHING},
        (),
        ("includeMetadata",),
    ),
    ("partitions", "GET"): Description(
        "List the data partitions", "partitions", {200: _ok(_body(array(reference("Partition")), JSON))}
    ),
    ("health", "GET"): Description(
        "Ask whether the service works",
        "service",
        {200: _ok(_json("Health")), 503: _ok(_json("Health"), text="Storage cannot be reached.")},
    ),
    ("api_json", "GET"): Description("Read this document", "service", {200: _ok(_body({"type": "object"}, JSON))}),
    ("api_yaml", "GET"): Description("Read this document", "service", {200: _ok(_body(_BYTES, _YAML))}),
}
"""By the name of the resource in `shared/api/routes.py` and the method; HEAD and OPTIONS follow from the others."""

VERSION_1: Final[dict[tuple[str, str], Description | None]] = {
    ("bulk_update", "POST"): None,
    ("changefeed", "GET"): replace(
        DESCRIPTIONS["changefeed", "GET"], parameters=("offset", "feedLimit", "includeMetadata")
    ),
}
"""What differs in v1, None for what it does not have (VER-25, VER-28)."""
