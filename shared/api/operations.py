"""`GET operations/{operation}`: how far a long-running operation has come (OPS-1 to OPS-19)."""

import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from shared.errors import BadRequest
from shared.services import operations
from shared.services.operations import OperationActive, orchestration_status
from shared.services.service import settings, storage
from shared.settings import Action
from shared.storage.operations import ENDED, REINDEX, SUCCEEDED, OperationRow
from shared.web.problems import problem
from shared.web.routing import Call, endpoint

RETRY_AFTER_SECONDS = "1"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@endpoint("operation", Action.READ)
async def get_operation(call: Call) -> Response:
    """202 with `Location` while the operation is under way, then 200 (OPS-4, OPS-5, D-6)."""
    try:
        operation_id = uuid.UUID(call.path("operation")).hex
    except ValueError:
        raise BadRequest("The operation id must be a GUID.") from None
    assert call.durable is not None
    row = await operations.find(await storage(), operation_id, orchestration_status(call.durable))
    body = orjson.dumps(_state(call, row))
    if row.status in ENDED:
        return Response(body, media_type="application/json")
    return Response(
        body, status_code=HTTPStatus.ACCEPTED, media_type="application/json", headers=poll(call, operation_id)
    )


def poll(call: Call, operation_id: str) -> dict[str, str]:
    """The headers that tell a client where and when to ask again."""
    return {"Location": href(call, operation_id), "Retry-After": RETRY_AFTER_SECONDS}


def check_enabled() -> None:
    """Raises BadRequest when the operator has switched operations off (UPD-5, OPS-24)."""
    if not settings.operations:
        raise BadRequest("Asynchronous operations are temporarily disabled. Please try again later.")


async def begun(call: Call, start: Awaitable[str]) -> Response:
    """202 with a reference to the operation whose id `start` returns (OPS-18); 409 with the Location of the one of its type
    that has not ended (EQT-25, UPD-17).
    """
    try:
        operation_id = await start
    except OperationActive as error:
        response = problem(HTTPStatus.CONFLICT, error.detail)
        response.headers["Location"] = href(call, error.operation_id)
        return response
    return Response(
        orjson.dumps({"id": operation_id, "href": href(call, operation_id)}),
        status_code=HTTPStatus.ACCEPTED,
        media_type="application/json",
        headers=poll(call, operation_id),
    )


def href(call: Call, operation_id: str) -> str:
    return f"{call.service_url}/operations/{operation_id}"


def _state(call: Call, row: OperationRow) -> dict[str, Any]:
    """OPS-10 to OPS-17."""
    state: dict[str, Any] = {
        "operationId": row.id,
        "type": row.type,
        "createdTime": _time(row.created),
        "lastUpdatedTime": _time(row.updated),
        "status": "completed" if row.status == SUCCEEDED and call.version == "v1" else row.status,  # VER-27
        "percentComplete": row.percent,
    }
    if row.type == REINDEX:
        state["resources"] = [f"{call.service_url}/extendedquerytags/{path}" for path in row.resources]
    else:
        state["results"] = _results(row)
    return state


def _results(row: OperationRow) -> dict[str, Any]:
    """UPD-35."""
    results: dict[str, Any] = {
        "studyProcessed": row.results.study_processed,
        "studyUpdated": row.results.study_updated,
        "studyFailed": row.results.study_failed,
        "instanceUpdated": row.results.instance_updated,
    }
    if row.results.errors:
        results["errors"] = row.results.errors
    return results


def _time(microseconds: int) -> str:
    """OPS-12."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"
