"""WADO-RS: files, metadata and frames of studies, series and instances."""

from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers, wants_original
from shared.errors import BadRequest, NotAcceptable
from shared.services import frames, partitions, retrieve
from shared.services.races import steadily
from shared.services.retrieve import Resource
from shared.services.service import storage
from shared.services.stored_file import read_file, sized_file
from shared.settings import Action
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.web import multipart, representations
from shared.web.conditional import is_current
from shared.web.negotiation import choose, json_media_type, negotiate
from shared.web.representations import Choice
from shared.web.responses import json_entity_tag, json_stream, primed, ranged, streamed
from shared.web.routing import Call, endpoint

_NOT_TRANSCODED = "The specified transcoding is not supported. Use transfer-syntax=* to retrieve instances as stored."
_VIDEO = "The frames of a video cannot be retrieved one by one. Retrieve the instance with transfer-syntax=* instead."


@endpoint("retrieve", Action.READ)
async def get_instances(call: Call) -> Response:
    """The files of a study, series or instance (WADO-1 to WADO-3, WADO-40 to WADO-46)."""
    study, series, instance = identifiers(call)
    offered = representations.INSTANCE if instance else representations.INSTANCES
    choices = negotiate(accept(call), offered, accept_query(call))
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        found = await retrieve.find(account, partition, study, series, instance, original=wants_original(call))
        choice, rows = await _files_to_send(account, found, choices)
        headers = {"ETag": found.etag(), "Vary": "Accept"}
        if is_current(call.header("if-none-match"), headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if choice.multipart:
            boundary = multipart.new_boundary()
            chunks = await primed(_parts(account, call, found, rows, boundary))
            return streamed(chunks, multipart.content_type(boundary, representations.DICOM), headers)
        assert found.row
        return await _single_part(account, call, found, found.row, headers)

    return await steadily(answer)


@endpoint("retrieve-metadata", Action.READ)
async def get_metadata(call: Call) -> Response:
    """The metadata of a study, series or instance (WADO-4, WADO-80 to WADO-94)."""
    media_type = json_media_type(accept(call), accept_query(call))
    study, series, instance = identifiers(call)
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        found = await retrieve.find(account, partition, study, series, instance, original=wants_original(call))
        headers = {"ETag": json_entity_tag(call.request, found.etag()), "Vary": "Accept, Accept-Encoding"}
        if is_current(call.header("if-none-match"), headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return await json_stream(call.request, retrieve.metadata(account, found), media_type, headers)

    return await steadily(answer)


@endpoint("retrieve", Action.READ)
async def get_frames(call: Call) -> Response:
    """Frames by their numbers, from 1 (WADO-5, WADO-60 to WADO-67)."""
    study, series, instance = identifiers(call)
    numbers = frames.parse_frames(call.path("frames"))
    choices = negotiate(accept(call), representations.FRAMES, accept_query(call))
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        found = await retrieve.find(account, partition, study, series, instance)
        assert found.row
        return await _frames(account, call, found, found.row, numbers, choices)

    return await steadily(answer)


async def _files_to_send(
    account: Storage, found: Resource, choices: list[Choice]
) -> tuple[Choice, AsyncIterator[InstanceRow]]:
    """The first choice that all instances can be sent in, and the instances: still to be read if any will do (D-21)."""
    if choices[0].transfer_syntax == representations.AS_STORED:
        return choices[0], retrieve.rows(account, found, metadata=False)
    rows = [row async for row in retrieve.rows(account, found, metadata=False)]
    choice = choose(choices, *{row.layout.transfer_syntax for row in rows})
    if choice is None:
        raise NotAcceptable(_NOT_TRANSCODED)
    return choice, _iterate(rows)


async def _iterate(rows: list[InstanceRow]) -> AsyncIterator[InstanceRow]:
    for row in rows:
        yield row


async def _parts(
    account: Storage, call: Call, found: Resource, rows: AsyncIterator[InstanceRow], boundary: str
) -> AsyncIterator[bytes]:
    first = True
    async for row, chunks in retrieve.files(account, found, rows):
        media_type = _media_type(representations.DICOM, row)
        yield multipart.part_header(boundary, media_type, _location(call, found, row), first=first)
        first = False
        async for chunk in chunks:
            yield chunk
    yield multipart.closing(boundary)


async def _single_part(
    account: Storage, call: Call, found: Resource, row: InstanceRow, headers: dict[str, str]
) -> Response:
    """One file, or the range of it that is asked for (D-29)."""
    media_type = _media_type(representations.DICOM, row)
    changes = found.changes(row)
    file = await sized_file(account, row, changes)
    if file is None:
        return streamed(await primed(read_file(account, row, changes)), media_type, headers)
    response = await ranged(call.request, media_type, headers["ETag"], file.length, partial(file.read, account))
    response.headers.update(headers)
    return response


async def _frames(
    account: Storage, call: Call, found: Resource, row: InstanceRow, numbers: list[int], choices: list[Choice]
) -> Response:
    if row.layout.transfer_syntax in representations.VIDEO:
        raise NotAcceptable(_VIDEO)
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
    # Updates never touch the pixels: the entity tag is that of the stored file.
    headers = {"ETag": f'"{row.version}-{media_type.rpartition("=")[2]}"', "Vary": "Accept"}
    if is_current(call.header("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not choice.multipart:
        headers["Content-Length"] = str(index.length(numbers[0]))
        return streamed(await primed(frames.read_frame(account, row, index, numbers[0])), media_type, headers)
    boundary = multipart.new_boundary()
    location = f"{_location(call, found, row)}/frames/"

    async def parts() -> AsyncIterator[bytes]:
        first = True
        async for number, chunks in frames.read_frames(account, row, index, numbers):
            yield multipart.part_header(boundary, media_type, f"{location}{number}", first=first)
            first = False
            async for chunk in chunks:
                yield chunk
        yield multipart.closing(boundary)

    return streamed(await primed(parts()), multipart.content_type(boundary, choice.media_type), headers)


def _location(call: Call, found: Resource, row: InstanceRow) -> str:
    return f"{call.base_url}/studies/{found.study}/series/{row.series}/instances/{row.sop_instance}"


def _media_type(media_type: str, row: InstanceRow) -> str:
    """WADO-43, CL-6: clients read the transfer syntax from here."""
    return f"{media_type}; transfer-syntax={row.layout.transfer_syntax}"
