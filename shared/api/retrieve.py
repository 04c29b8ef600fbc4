"""WADO-RS: files, metadata and frames of studies, series and instances."""

from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers, wants_original
from shared.errors import BadRequest, NotAcceptable
from shared.services import frames, partitions, retrieve
from shared.services.retrieve import Resource, find
from shared.services.service import storage
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.web import multipart, representations
from shared.web.conditional import is_current
from shared.web.negotiation import choose, json_media_type, negotiate
from shared.web.responses import json_stream, primed, streamed
from shared.web.routing import Call

_NOT_TRANSCODED = "The specified transcoding is not supported. Use transfer-syntax=* to retrieve instances as stored."


async def get_instances(call: Call) -> Response:
    """The files of a study, series or instance (WADO-1 to WADO-3, WADO-40 to WADO-46)."""
    study, series, instance = identifiers(call)
    offered = representations.INSTANCE if instance else representations.INSTANCES
    choices = negotiate(accept(call), offered, accept_query(call))
    account = await storage()
    partition = await partitions.use(account, call.partition)
    found = await find(account, partition, study, series, instance, original=wants_original(call))
    choice = choose(choices, *{row.layout.transfer_syntax for row in found.rows})
    if choice is None:
        raise NotAcceptable(_NOT_TRANSCODED)
    headers = {"ETag": found.etag()}
    if is_current(call.header("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if choice.multipart:
        boundary = multipart.new_boundary()
        chunks = await primed(_parts(account, call, found, boundary))
        return streamed(chunks, multipart.content_type(boundary, representations.DICOM), headers)
    [row] = found.rows
    if not found.changes(row):
        headers["Content-Length"] = str(row.length)
    chunks = await primed(retrieve.file(account, found, row))
    return streamed(chunks, _media_type(representations.DICOM, row), headers)


async def get_metadata(call: Call) -> Response:
    """The metadata of a study, series or instance (WADO-4, WADO-80 to WADO-94)."""
    media_type = json_media_type(accept(call), accept_query(call))
    study, series, instance = identifiers(call)
    account = await storage()
    partition = await partitions.use(account, call.partition)
    found = await find(account, partition, study, series, instance, original=wants_original(call), metadata=True)
    headers = {"ETag": found.etag()}
    if is_current(call.header("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return await json_stream(call.request, retrieve.metadata(account, found), media_type, headers)


async def get_frames(call: Call) -> Response:
    """Frames by their numbers, from 1 (WADO-5, WADO-60 to WADO-67)."""
    study, series, instance = identifiers(call)
    numbers = frames.parse_frames(call.path("frames"))
    choices = negotiate(accept(call), representations.FRAMES, accept_query(call))
    account = await storage()
    partition = await partitions.use(account, call.partition)
    found = await find(account, partition, study, series, instance)
    [row] = found.rows
    choice = choose(choices, row.layout.transfer_syntax)
    if choice is None:
        raise NotAcceptable(_NOT_TRANSCODED)
    if not choice.multipart and len(numbers) > 1:
        raise BadRequest(
            "The request accept header is only supported for single frame retrieval. "
            "For multiple frames, use a multipart accept header."
        )
    index = await frames.frame_index(account, row)
    frames.check(index, numbers)
    media_type = choice.content_type(row.layout.transfer_syntax)
    if not choice.multipart:
        headers = {"Content-Length": str(sum(length for _, length in index.ranges(numbers[0])))}
        return streamed(await primed(frames.read_frame(account, row, index, numbers[0])), media_type, headers)
    boundary = multipart.new_boundary()
    location = f"{_location(call, study, row)}/frames/"

    async def parts() -> AsyncIterator[bytes]:
        for position, number in enumerate(numbers):
            yield multipart.part_header(boundary, media_type, f"{location}{number}", first=position == 0)
            async for chunk in frames.read_frame(account, row, index, number):
                yield chunk
        yield multipart.closing(boundary)

    return streamed(await primed(parts()), multipart.content_type(boundary, choice.media_type))


async def _parts(account: Storage, call: Call, found: Resource, boundary: str) -> AsyncIterator[bytes]:
    first = True
    async for row, chunks in retrieve.files(account, found):
        media_type = _media_type(representations.DICOM, row)
        yield multipart.part_header(boundary, media_type, _location(call, found.study, row), first=first)
        first = False
        async for chunk in chunks:
            yield chunk
    yield multipart.closing(boundary)


def _location(call: Call, study: str, row: InstanceRow) -> str:
    return f"{call.base_url}/studies/{study}/series/{row.series}/instances/{row.sop_instance}"


def _media_type(media_type: str, row: InstanceRow) -> str:
    """WADO-43, CL-6: clients read the transfer syntax from here."""
    return f"{media_type}; transfer-syntax={row.layout.transfer_syntax}"
