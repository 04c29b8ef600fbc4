"""`POST studies/$bulkUpdate` (UPD-1 to UPD-25)."""

from http import HTTPStatus

import orjson
from fastapi import Response

from shared.api.operations import href, orchestration_status, poll
from shared.dicom import tags
from shared.errors import PayloadTooLarge, UnsupportedMediaType
from shared.services import operations, partitions
from shared.services.operations import UpdateActive
from shared.services.service import storage
from shared.services.update_request import InvalidChanges, parse
from shared.settings import Action
from shared.web.data_sets import data_set, failed_attributes
from shared.web.problems import problem
from shared.web.routing import Call, endpoint

ORCHESTRATOR = "bulk_update"
MOST_BODY_BYTES = 1 << 20


@endpoint("update-study", Action.WRITE)
async def post_bulk_update(call: Call) -> Response:
    """Starts the operation, or says why not."""
    content_type = call.header("content-type")
    if content_type and content_type.split(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"The specified content type '{content_type}' is not supported.")
    body = bytearray()
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise PayloadTooLarge(f"The request exceeded the allowed limit of {MOST_BODY_BYTES} bytes.")
    try:
        update = parse(bytes(body))
    except InvalidChanges as error:
        return _rejected(error.comments)
    call.audit["studies"] = update.studies
    account = await storage()
    partition = await partitions.use(account, call.partition)
    client = call.durable
    assert client is not None

    async def start(operation_id: str) -> None:
        task = {"operation": operation_id, "partition": partition, "studies": update.studies, "changes": update.changes}
        await client.start_new(ORCHESTRATOR, operation_id, task)

    try:
        operation_id = await operations.start_update(account, orchestration_status(client), start)
    except UpdateActive as error:
        response = problem(HTTPStatus.CONFLICT, error.detail)
        response.headers["Location"] = href(call, error.operation_id)
        return response
    reference = {"id": operation_id, "href": href(call, operation_id)}
    return Response(
        orjson.dumps(reference),
        status_code=HTTPStatus.ACCEPTED,
        media_type="application/json",
        headers=poll(call, operation_id),
    )


def _rejected(comments: list[str]) -> Response:
    """UPD-20."""
    body = orjson.dumps(data_set({tags.FAILED_ATTRIBUTES_SEQUENCE: failed_attributes(comments)}))
    return Response(body, status_code=HTTPStatus.BAD_REQUEST, media_type="application/json")
