"""STOW-RS: `POST studies` and `POST studies/{study}`."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from shared.api.requests import accept
from shared.dicom.identifiers import check_uid
from shared.services import partitions
from shared.services.receive import Received
from shared.services.service import settings, storage
from shared.services.store import StoreResult, store
from shared.web.body import dicom_files
from shared.web.negotiation import store_response_media_type
from shared.web.responses import dicom_json
from shared.web.routing import Call


async def post_instances(call: Call) -> Response:
    """Stores the instances of the body (STOW-1, STOW-2)."""
    store_response_media_type(accept(call))
    study = check_uid(call.path("study"), "StudyInstanceUID") if "study" in call.request.path_params else None
    files = dicom_files(call.request, settings.max_request_bytes)
    account = await storage()
    partition = await partitions.create(account, call.partition)
    result = await store(account, settings, files, partition, study)
    if not result.files:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {}
    if any(item.multiple_values for item in result.stored):
        text = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
        headers["Warning"] = f'299 {call.request.url.hostname}: "{text}"'
    return dicom_json(orjson.dumps(_dataset(call, result, study)), _status(result), headers)


def _status(result: StoreResult) -> HTTPStatus:
    """STOW-111 to STOW-114."""
    if not result.stored:
        return HTTPStatus.CONFLICT
    if result.failed or any(item.warning for item in result.stored):
        return HTTPStatus.ACCEPTED
    return HTTPStatus.OK


def _dataset(call: Call, result: StoreResult, study: str | None) -> dict[str, Any]:
    """PS3.18 10.5.3.2, STOW-120 to STOW-125."""
    dataset: dict[str, Any] = {}
    if study and result.stored:
        dataset["00081190"] = _element("UR", f"{call.base_url}/studies/{study}")
    if result.failed:
        dataset["00081198"] = {"vr": "SQ", "Value": [_failed(item) for item in result.failed]}
    if result.stored:
        dataset["00081199"] = {"vr": "SQ", "Value": [_stored(call, item) for item in result.stored]}
    return dataset


def _stored(call: Call, item: Received) -> dict[str, Any]:
    assert item.row is not None
    path = f"studies/{item.study}/series/{item.row.series}/instances/{item.sop_instance}"
    dataset = _references(item) | {"00081190": _element("UR", f"{call.base_url}/{path}")}
    if item.warning:
        dataset["00081196"] = _element("US", item.warning)
    return dataset | {"00741048": _failed_attributes(item.comments)}


def _failed(item: Received) -> dict[str, Any]:
    dataset = _references(item) | {"00081197": _element("US", item.failure)}
    if item.comments:
        dataset["00741048"] = _failed_attributes(item.comments)
    return dataset


def _references(item: Received) -> dict[str, Any]:
    """The instance that the item is about, as far as it could be read."""
    known = {"00081150": item.sop_class, "00081155": item.sop_instance}
    return {tag: _element("UI", uid) for tag, uid in known.items() if uid}


def _failed_attributes(comments: list[str]) -> dict[str, Any]:
    """STOW-92, STOW-93: there also when it is empty."""
    items = [{"00000902": _element("LO", comment)} for comment in comments]
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def _element(vr: str, value: object) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
