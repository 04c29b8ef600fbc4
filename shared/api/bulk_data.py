"""Bulk data: the values that metadata refers to by BulkDataURI (D-29, PS3.18 10.4.3.3.5)."""

from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers
from shared.dicom import tags
from shared.dicom.bulk_data import BulkValue, Path, path_text
from shared.dicom.head import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable
from shared.services import bulk_data, frames, partitions, retrieve
from shared.services.races import steadily
from shared.services.retrieve import Resource
from shared.services.service import storage
from shared.settings import Action
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage
from shared.web import multipart, representations
from shared.web.conditional import is_current
from shared.web.negotiation import negotiate
from shared.web.representations import Choice
from shared.web.responses import primed, ranged, streamed
from shared.web.routing import Call, endpoint


@endpoint("retrieve", Action.READ)
async def get_bulk_data(call: Call) -> Response:
    """One value. Updates do not change it, so the original's is the same (D-65)."""
    study, series, instance = identifiers(call)
    negotiate(accept(call), representations.BULK_DATA, accept_query(call))
    name = call.request.path_params.get("path", "").removesuffix("/")  # of the rest of a path, the host keeps that
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        found = await retrieve.find(account, partition, study, series, instance)
        assert found.row
        path, value = await bulk_data.find_value(account, found.row, name)
        return await _value(account, call, found, found.row, path, value)

    return await steadily(answer)


async def _value(
    account: Storage, call: Call, found: Resource, row: InstanceRow, path: Path, value: BulkValue
) -> Response:
    syntax = row.layout.transfer_syntax if value.is_encapsulated else EXPLICIT_VR_LITTLE_ENDIAN
    choice = await _choice(account, call, row, path, value, syntax)
    headers = {"ETag": f'"{row.version}-{choice.tag}"', "Vary": "Accept"}
    if is_current(call.header("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    is_document = choice.media_type in representations.DOCUMENTS
    media_type = choice.media_type if is_document else choice.content_type(syntax)
    if not choice.multipart:
        read = partial(bulk_data.read_value, account, row, value)
        response = await ranged(call.request, media_type, headers["ETag"], value.length, read)
        response.headers.update(headers)
        return response
    boundary = multipart.new_boundary()
    instance_url = f"{call.base_url}/studies/{found.study}/series/{row.series}/instances/{row.sop_instance}"
    location = f"{instance_url}/bulkdata/{path_text(path)}"

    async def parts() -> AsyncIterator[bytes]:
        first = True
        async for chunks in _payloads(account, row, path, value):
            yield multipart.part_header(boundary, media_type, location, first=first)
            first = False
            async for chunk in chunks:
                yield chunk
        yield multipart.closing(boundary)

    return streamed(await primed(parts()), multipart.content_type(boundary, choice.media_type), headers)


async def _choice(account: Storage, call: Call, row: InstanceRow, path: Path, value: BulkValue, syntax: str) -> Choice:
    """How to send the value, of all that the client accepts; an encapsulated document may be sent as what it is."""
    offered = representations.BULK_FRAMES if value.is_encapsulated else representations.BULK_VALUE
    if path == (tags.ENCAPSULATED_DOCUMENT,) and not value.is_encapsulated:
        offered = representations.DOCUMENTS.get(await bulk_data.document_type(account, row), offered)
    for choice in negotiate(accept(call), offered, accept_query(call)):
        if choice.fits(syntax):
            return choice
    raise NotAcceptable("The request headers are not acceptable")


async def _payloads(
    account: Storage, row: InstanceRow, path: Path, value: BulkValue
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The value, or its frames if it is compressed pixel data. Without knowledge of frames, as of video, it is one piece."""
    if not value.is_encapsulated:
        yield bulk_data.read_value(account, row, value, 0, value.length)
    elif path == (tags.PIXEL_DATA,) and row.frames and row.layout.transfer_syntax not in representations.VIDEO:
        index = frames.frame_index(row)
        numbers = range(1, index.count + 1)
        index = await frames.located(account, row, index, numbers)
        async for _, chunks in frames.read_frames(account, row, index, numbers):
            yield chunks
    else:
        yield bulk_data.read_fragments(account, row, value)
