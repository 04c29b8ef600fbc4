"""WADO-RS: files, metadata and frames of studies, series and instances."""

from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus

from fastapi import Response

from shared.api.requests import (
    ORIGINAL,
    accept,
    accept_query,
    identifiers,
    wants_bulk_data_uris,
    wants_original,
)
from shared.errors import BadRequest, NotAcceptable
from shared.services import frames, partitions, retrieve, transcode
from shared.services.races import steadily
from shared.services.retrieve import Resource
from shared.services.service import storage
from shared.services.stored_file import sized_file
from shared.services.transcode import NotTranscodable
from shared.settings import Action
from shared.storage.instance_row import InstanceRow
from shared.storage.instances import Metadata
from shared.storage.storage import Storage
from shared.web import multipart, representations
from shared.web.conditional import is_current
from shared.web.negotiation import json_media_type, negotiate, ranked
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
        wanted = _unless_conditional(call, False)
        found = await retrieve.find(
            account, partition, study, series, instance, original=wants_original(call), wanted=wanted
        )
        choice, rows = await _files_to_send(account, found, choices)
        headers = {"ETag": found.etag(choice.tag), "Vary": f"Accept, {ORIGINAL}"}
        if is_current(call.header("if-none-match"), headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if choice.multipart:
            boundary = multipart.new_boundary()
            chunks = await primed(_parts(account, call, found, rows, choice, boundary))
            return streamed(chunks, multipart.content_type(boundary, representations.DICOM), headers)
        assert found.row
        return await _single_part(account, call, found, found.row, choice, headers)

    return await steadily(answer)


@endpoint("retrieve-metadata", Action.READ)
async def get_metadata(call: Call) -> Response:
    """The metadata of a study, series or instance (WADO-4, WADO-80 to WADO-94)."""
    media_type = json_media_type(accept(call), accept_query(call))
    study, series, instance = identifiers(call)
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        with_uris = wants_bulk_data_uris(call)
        wanted = _unless_conditional(call, True if with_uris else "only")
        found = await retrieve.find(
            account, partition, study, series, instance, original=wants_original(call), wanted=wanted
        )
        etag, bulk_data_of = found.etag(), ""
        if with_uris:
            etag, bulk_data_of = f'{etag[:-1]}-bulkdata"', f"{call.base_url}/studies/{found.study}"
        headers = {"ETag": json_entity_tag(call.request, etag), "Vary": f"Accept, Accept-Encoding, {ORIGINAL}"}
        if is_current(call.header("if-none-match"), headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return await json_stream(call.request, retrieve.metadata(account, found, bulk_data_of), media_type, headers)

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


def _unless_conditional(call: Call, wanted: Metadata) -> Metadata | None:
    """Whoever has the representation already will hardly need the instances."""
    return None if call.header("if-none-match") else wanted


async def _files_to_send(
    account: Storage, found: Resource, choices: list[Choice]
) -> tuple[Choice, AsyncIterator[InstanceRow]]:
    """The first choice that all instances can be had in, and the instances: still to be read if any will do (D-21).

    Raises NotAcceptable, by what metadata say of the pixels: before the first byte.
    """
    if choices[0].target is None:
        return choices[0], retrieve.rows(account, found, metadata=False)
    rows = [row async for row in retrieve.rows(account, found, metadata=False)]
    described: list[InstanceRow] = []
    for choice in ranked(choices, *{row.layout.transfer_syntax for row in rows}):
        if all(choice.fits(row.layout.transfer_syntax) for row in rows):
            return choice, _iterate(rows)
        described = described or [row async for row in retrieve.rows(account, found, metadata=True)]
        others = [row for row in described if not choice.fits(row.layout.transfer_syntax)]
        if await _can_transcode(account, others, choice.transfer_syntax):
            return choice, _iterate(described)
    raise NotAcceptable(_NOT_TRANSCODED)


async def _can_transcode(account: Storage, rows: list[InstanceRow], transfer_syntax: str) -> bool:
    try:
        for row in rows:
            await transcode.check(account, row, transfer_syntax)
    except NotTranscodable:
        return False
    return True


async def _iterate(rows: list[InstanceRow]) -> AsyncIterator[InstanceRow]:
    for row in rows:
        yield row


async def _parts(
    account: Storage, call: Call, found: Resource, rows: AsyncIterator[InstanceRow], choice: Choice, boundary: str
) -> AsyncIterator[bytes]:
    first = True
    async for row, chunks in retrieve.files(account, found, rows, choice.target):
        media_type = choice.content_type(row.layout.transfer_syntax)
        yield multipart.part_header(boundary, media_type, _location(call, found, row), first=first)
        first = False
        async for chunk in chunks:
            yield chunk
    yield multipart.closing(boundary)


async def _single_part(
    account: Storage, call: Call, found: Resource, row: InstanceRow, choice: Choice, headers: dict[str, str]
) -> Response:
    """One file, or the range of it that is asked for (D-29)."""
    media_type = choice.content_type(row.layout.transfer_syntax)
    is_stored_so = choice.fits(row.layout.transfer_syntax)
    file = await sized_file(account, row, found.changes(row)) if is_stored_so else None
    if file is None:
        chunks = retrieve.file(account, found, row, choice.target)
        return streamed(await primed(chunks), media_type, headers)
    response = await ranged(call.request, media_type, headers["ETag"], file.length, partial(file.read, account))
    response.headers.update(headers)
    return response


async def _frames(
    account: Storage, call: Call, found: Resource, row: InstanceRow, numbers: list[int], choices: list[Choice]
) -> Response:
    if row.layout.transfer_syntax in representations.VIDEO:
        raise NotAcceptable(_VIDEO)
    stored = row.layout.transfer_syntax
    if len(numbers) > 1:
        choices = _only_multipart(choices)
    choice = await _choice_of_frames(account, row, choices)
    index = await frames.located(account, row, frames.frame_index(row), numbers)
    media_type = choice.content_type(stored)
    # Updates never touch the pixels: the entity tag is that of the stored file.
    headers = {"ETag": f'"{row.version}-{choice.tag}"', "Vary": "Accept"}
    if is_current(call.header("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    sent = frames.read_frames(account, row, index, numbers)
    if not choice.fits(stored):
        sent = transcode.transcoded_frames(account, row, index, numbers, choice.transfer_syntax)
    if not choice.multipart:
        if choice.fits(stored):
            headers["Content-Length"] = str(index.length(numbers[0]))
        return streamed(await primed(_chunks(sent)), media_type, headers)
    boundary = multipart.new_boundary()
    location = f"{_location(call, found, row)}/frames/"

    async def parts() -> AsyncIterator[bytes]:
        first = True
        async for number, chunks in sent:
            yield multipart.part_header(boundary, media_type, f"{location}{number}", first=first)
            first = False
            async for chunk in chunks:
                yield chunk
        yield multipart.closing(boundary)

    return streamed(await primed(parts()), multipart.content_type(boundary, choice.media_type), headers)


def _only_multipart(choices: list[Choice]) -> list[Choice]:
    """The choices that several frames can be sent in; raises BadRequest when there are none (WADO-64)."""
    if several := [choice for choice in choices if choice.multipart]:
        return several
    raise BadRequest(
        "The request accept header is only supported for single frame retrieval. "
        "For multiple frames, use a multipart accept header."
    )


async def _choice_of_frames(account: Storage, row: InstanceRow, choices: list[Choice]) -> Choice:
    """The first choice that the frames can be had in. Raises NotAcceptable."""
    for choice in ranked(choices, row.layout.transfer_syntax):
        if choice.fits(row.layout.transfer_syntax) or await _can_transcode(account, [row], choice.transfer_syntax):
            return choice
    raise NotAcceptable(_NOT_TRANSCODED)


async def _chunks(frames: AsyncIterator[tuple[int, AsyncIterator[bytes]]]) -> AsyncIterator[bytes]:
    async for _, chunks in frames:
        async for chunk in chunks:
            yield chunk


def _location(call: Call, found: Resource, row: InstanceRow) -> str:
    return f"{call.base_url}/studies/{found.study}/series/{row.series}/instances/{row.sop_instance}"
