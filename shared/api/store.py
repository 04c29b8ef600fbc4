"""STOW-RS: `POST` and `PUT` of `studies` and `studies/{study}`."""

from http import HTTPStatus

import orjson
from fastapi import Response

from shared.api.requests import accept
from shared.dicom import tags
from shared.dicom.identifiers import check_uid
from shared.services import partitions
from shared.services.receive import Received
from shared.services.service import settings, storage
from shared.services.store import StoreResult, store
from shared.services.strict import strict_attributes
from shared.settings import Action
from shared.web.body import dicom_files
from shared.web.data_sets import Element, data_set, element, failed_attributes
from shared.web.negotiation import store_response_media_type
from shared.web.responses import dicom_json
from shared.web.routing import Call, endpoint


@endpoint("store", Action.WRITE)
async def post_instances(call: Call) -> Response:
    """Stores the instances of the body (STOW-1, STOW-2)."""
    return await _store(call, replacing=False)


@endpoint("store", Action.WRITE)
async def put_instances(call: Call) -> Response:
    """Stores the instances of the body in place of those that exist (D-19)."""
    return await _store(call, replacing=True)


async def _store(call: Call, *, replacing: bool) -> Response:
    files = dicom_files(call.request, settings.max_request_bytes)
    media_type = store_response_media_type(accept(call))
    study = check_uid(call.path("study"), "StudyInstanceUID") if "study" in call.request.path_params else None
    account = await storage()
    partition = await partitions.create(account, call.partition)
    strict = await strict_attributes(account) if call.version == "v1" else ()
    result = await store(account, settings, files, partition, study, replacing=replacing, strict=strict)
    call.audit["studies"] = sorted({item.study for item in result.stored})
    call.audit["stored"], call.audit["failed"] = len(result.stored), len(result.failed)
    if not result.files:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {}
    if any(item.multiple_values for item in result.stored):
        text = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
        headers["Warning"] = f'299 {call.request.url.hostname}: "{text}"'
    return dicom_json(orjson.dumps(_response(call, result, study)), media_type, _status(call, result), headers)


def _status(call: Call, result: StoreResult) -> HTTPStatus:
    """STOW-111 to STOW-114; in v1 warnings change nothing (VER-21)."""
    if not result.stored:
        return HTTPStatus.CONFLICT
    if result.failed or (call.version != "v1" and any(item.warning for item in result.stored)):
        return HTTPStatus.ACCEPTED
    return HTTPStatus.OK


def _response(call: Call, result: StoreResult, study: str | None) -> dict[str, Element]:
    """PS3.18 10.5.3.2, STOW-120 to STOW-125."""
    elements: dict[int, Element] = {}
    if study and result.stored:
        elements[tags.RETRIEVE_URL] = element("UR", f"{call.base_url}/studies/{study}")
    if result.failed:
        elements[tags.FAILED_SOP_SEQUENCE] = element("SQ", *map(_failed, result.failed))
    if result.stored:
        elements[tags.REFERENCED_SOP_SEQUENCE] = element("SQ", *(_stored(call, item) for item in result.stored))
    return data_set(elements)


def _stored(call: Call, item: Received) -> dict[str, Element]:
    """STOW-123; FailedAttributesSequence is there also when it is empty (STOW-92), but never in v1 (VER-22)."""
    assert item.row is not None
    path = f"studies/{item.study}/series/{item.row.series}/instances/{item.sop_instance}"
    elements = _references(item)
    elements[tags.RETRIEVE_URL] = element("UR", f"{call.base_url}/{path}")
    if call.version != "v1":
        elements[tags.FAILED_ATTRIBUTES_SEQUENCE] = failed_attributes(item.comments)
    if item.warning:
        elements[tags.WARNING_REASON] = element("US", item.warning)
    return data_set(elements)


def _failed(item: Received) -> dict[str, Element]:
    """STOW-124."""
    elements = _references(item)
    elements[tags.FAILURE_REASON] = element("US", item.failure)
    if item.comments:
        elements[tags.FAILED_ATTRIBUTES_SEQUENCE] = failed_attributes(item.comments)
    return data_set(elements)


def _references(item: Received) -> dict[int, Element]:
    """The instance that the item is about, as far as it could be read."""
    known = {tags.REFERENCED_SOP_CLASS_UID: item.sop_class, tags.REFERENCED_SOP_INSTANCE_UID: item.sop_instance}
    return {tag: element("UI", uid) for tag, uid in known.items() if uid}
