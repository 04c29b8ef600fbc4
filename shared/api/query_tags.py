"""Extended query tags (EQT-1 to EQT-9)."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from shared.api.change_feed import timestamp
from shared.api.operations import begun, check_enabled, href
from shared.api.requests import page, read_body
from shared.errors import UnsupportedMediaType
from shared.services import query_tags
from shared.services.operations import orchestration_status
from shared.services.service import storage
from shared.services.tag_request import parse_entries, parse_path, parse_query_status
from shared.settings import Action
from shared.storage.query_tags import QueryTag
from shared.telemetry import carrier
from shared.web.routing import Call, endpoint

ORCHESTRATOR = "reindex"
MOST_BODY_BYTES = 1 << 20
MOST_RESULTS = 200
DEFAULT_RESULTS = 100


@endpoint("add-extended-query-tag", Action.MANAGE_QUERY_TAGS)
async def post_tags(call: Call) -> Response:
    """Registers tags and starts their re-index (EQT-1, EQT-40), or says why not."""
    check_enabled()
    entries = parse_entries(await _json_body(call))
    client = call.durable
    assert client is not None

    async def start(operation_id: str) -> None:
        await client.start_new(ORCHESTRATOR, operation_id, {"operation": operation_id, "trace": carrier()})

    return await begun(call, query_tags.add(await storage(), entries, orchestration_status(client), start))


@endpoint("get-all-extended-query-tag", Action.READ)
async def get_tags(call: Call) -> Response:
    """EQT-2, EQT-7, EQT-71."""
    offset, limit = page(call, DEFAULT_RESULTS, MOST_RESULTS)
    found = await query_tags.every(await storage(), offset, limit)
    return _json([_tag(call, tag, errors) for tag, errors in found])


@endpoint("get-extended-query-tag", Action.READ)
async def get_tag(call: Call) -> Response:
    """EQT-3."""
    path = parse_path(call.path("tag"))
    return _json(_tag(call, *await query_tags.get(await storage(), path)))


@endpoint("update-extended-query-tag", Action.MANAGE_QUERY_TAGS)
async def patch_tag(call: Call) -> Response:
    """EQT-5, EQT-95 to EQT-99."""
    path = parse_path(call.path("tag"))
    enabled = parse_query_status(await _json_body(call))
    return _json(_tag(call, *await query_tags.set_query_status(await storage(), path, enabled)))


@endpoint("remove-extended-query-tag", Action.MANAGE_QUERY_TAGS)
async def delete_tag(call: Call) -> Response:
    """EQT-4, EQT-105 to EQT-107."""
    await query_tags.delete(await storage(), parse_path(call.path("tag")))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@endpoint("get-extended-query-tag-errors", Action.READ)
async def get_errors(call: Call) -> Response:
    """EQT-6, EQT-90. The errors are those of all partitions, and may name any."""
    call.caller.may_use_all()
    path = parse_path(call.path("tag"))
    offset, limit = page(call, DEFAULT_RESULTS, MOST_RESULTS)
    found = await query_tags.errors(await storage(), path, offset, limit)
    return _json(
        [
            {
                "partitionName": error.partition,
                "studyInstanceUid": error.study,
                "seriesInstanceUid": error.series,
                "sopInstanceUid": error.sop_instance,
                "createdTime": timestamp(error.created),
                "errorMessage": error.message,
            }
            for error in found
        ]
    )


async def _json_body(call: Call) -> bytes:
    content_type = call.header("content-type") or ""
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"The specified content type '{content_type}' is not supported.")
    return await read_body(call, MOST_BODY_BYTES)


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _tag(call: Call, tag: QueryTag, errors: int) -> dict[str, Any]:
    """EQT-70; members without a value are left out."""
    attribute = tag.attribute
    own: dict[str, Any] = {"path": attribute.key, "vr": attribute.vr}
    if attribute.creator:
        own["privateCreator"] = attribute.creator
    own |= {"level": attribute.level.name.lower(), "status": tag.status}
    if errors:
        own["errors"] = {"count": errors, "href": f"{call.service_url}/extendedquerytags/{attribute.key}/errors"}
    if tag.operation:
        own["operation"] = {"id": tag.operation, "href": href(call, tag.operation)}
    return own | {"queryStatus": "enabled" if tag.enabled else "disabled"}
