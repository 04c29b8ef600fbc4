"""`POST studies/$bulkUpdate` (UPD-1 to UPD-25, D-71)."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from shared.api.operations import begun, check_enabled
from shared.api.requests import read_body
from shared.dicom import tags
from shared.errors import BadRequest, UnsupportedMediaType
from shared.services import operations, partitions
from shared.services.operations import orchestration_status
from shared.services.service import storage
from shared.services.update_preview import StudyPreview, preview
from shared.services.update_request import InvalidChanges, UpdateRequest, parse
from shared.settings import Action
from shared.storage.operations import UPDATE
from shared.telemetry import carrier
from shared.web.data_sets import data_set, failed_attributes
from shared.web.routing import Call, endpoint

ORCHESTRATOR = "bulk_update"
MOST_BODY_BYTES = 1 << 20


@endpoint("update-study", Action.WRITE)
async def post_bulk_update(call: Call) -> Response:
    """Starts the operation, or says why not; with `dryRun=true` says what it would do."""
    dry_run = _dry_run(call)
    if not dry_run:
        check_enabled()
    content_type = call.header("content-type")
    if content_type and content_type.split(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(f"The specified content type '{content_type}' is not supported.")
    body = await read_body(call, MOST_BODY_BYTES)
    try:
        update = parse(body)
    except InvalidChanges as error:
        return _rejected(error.comments)
    call.audit["studies"] = update.studies
    account = await storage()
    partition = await partitions.use(account, call.partition)
    if dry_run:
        found = [await preview(account, partition, study, update.changes) for study in update.studies]
        return Response(orjson.dumps(_would(update, found)), media_type="application/json")
    client = call.durable
    assert client is not None

    async def start(operation_id: str) -> None:
        task = {
            "operation": operation_id,
            "partition": partition,
            "studies": update.studies,
            "changes": update.changes,
            "trace": carrier(),
        }
        await client.start_new(ORCHESTRATOR, operation_id, task)

    return await begun(call, operations.start(account, UPDATE, orchestration_status(client), start))


def _rejected(comments: list[str]) -> Response:
    """UPD-20."""
    body = orjson.dumps(data_set({tags.FAILED_ATTRIBUTES_SEQUENCE: failed_attributes(comments)}))
    return Response(body, status_code=HTTPStatus.BAD_REQUEST, media_type="application/json")


def _dry_run(call: Call) -> bool:
    given = {name.lower(): value for name, value in call.request.query_params.items()}.get("dryrun", "false")
    if given.strip().lower() not in ("true", "false"):
        raise BadRequest("The query parameter 'dryRun' must be true or false.")
    return given.strip().lower() == "true"


def _would(update: UpdateRequest, studies: list[StudyPreview]) -> dict[str, Any]:
    """The answer to a dry run (D-71), with the names of an operation's results where it has the same things.

    `{"studyProcessed": 2, "studyUpdated": 1, "studyFailed": 1, "instanceUpdated": 3, "studies": [{"studyInstanceUid": "1.2",
    "found": true, "instances": 3, "attributes": [...], "problems": [...]}, ...]}`. Each of the attributes to change is
    `{"tag": "00100020", "keyword": "PatientID", "new": {"vr": "LO", "Value": ["4711"]}, "current": [{"element": {"vr": "LO",
    "Value": ["4710"]}, "instances": 3}]}`: `current` has the distinct elements of the instances, the most frequent first and
    at most 10; `element` is null where instances have none.
    """
    return {
        "studyProcessed": len(studies),
        "studyUpdated": sum(study.found for study in studies),
        "studyFailed": sum(not study.found for study in studies),
        "instanceUpdated": sum(study.instances for study in studies),
        "studies": [
            {
                "studyInstanceUid": study.study,
                "found": study.found,
                "instances": study.instances,
                "attributes": [
                    {
                        "tag": tag,
                        "keyword": tags.keyword_of(int(tag, 16)),
                        "new": update.changes[tag],
                        "current": [{"element": element, "instances": number} for element, number in current],
                    }
                    for tag, current in study.current.items()
                ],
                "problems": study.problems,
            }
            for study in studies
        ],
    }
