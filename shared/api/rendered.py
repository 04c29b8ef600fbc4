"""Rendered images and thumbnails of studies, series, instances and frames (WADO-6, WADO-7, D-28, D-29)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers
from shared.dicom.rendering import MediaType, Rendition
from shared.errors import BadRequest, NotAcceptable
from shared.services import frames, partitions, rendering_parameters, retrieve
from shared.services.races import steadily
from shared.services.rendered import NOT_RENDERED, etag, rendered_frame, representative
from shared.services.service import storage
from shared.settings import Action
from shared.web import representations
from shared.web.conditional import is_current
from shared.web.negotiation import negotiate
from shared.web.routing import Call, endpoint

# Patients' images stay out of shared caches, and one in a browser's is asked about again: it may have been replaced.
_CACHING = {"Cache-Control": "private, no-cache", "Vary": "Accept"}


@endpoint("retrieve-rendered", Action.READ)
async def get_rendered(call: Call) -> Response:
    """A frame as it is to be looked at: the first, unless the path names one (WADO-72)."""
    return await _image(call, rendering_parameters.rendition, lambda count: 1)


@endpoint("retrieve-rendered", Action.READ)
async def get_thumbnail(call: Call) -> Response:
    """A small image: of the middle frame, unless the path names one."""
    return await _image(call, rendering_parameters.thumbnail, lambda count: count // 2 + 1)


async def _image(
    call: Call, parse: Callable[[Mapping[str, str]], Rendition], default_frame: Callable[[int], int]
) -> Response:
    study, series, instance = identifiers(call)
    named_frame = _frame(call)
    rendition = parse(call.request.query_params)
    [choice, *_] = negotiate(accept(call), representations.RENDERED, accept_query(call))
    media_type = cast(MediaType, choice.media_type)
    account = await storage()
    partition = await partitions.use(account, call.partition)

    async def answer() -> Response:
        row = await representative(account, await retrieve.find(account, partition, study, series, instance))
        if row.layout.transfer_syntax in representations.VIDEO:
            raise NotAcceptable(NOT_RENDERED)
        index = frames.frame_index(row)
        frame = named_frame or default_frame(index.count)
        index = await frames.located(account, row, index, [frame])
        headers = {"ETag": etag(row, frame, rendition, media_type)} | _CACHING
        if is_current(call.header("if-none-match"), headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        image = await rendered_frame(account, row, index, frame, rendition, media_type)
        return Response(image, headers=headers, media_type=media_type)

    return await steadily(answer)


def _frame(call: Call) -> int | None:
    """The frame that the path names."""
    if "frames" not in call.request.path_params:
        return None
    numbers = frames.parse_frames(call.path("frames"))
    if len(numbers) > 1:
        raise BadRequest("The specified frames value is not valid. Only one frame can be rendered at a time.")
    return numbers[0]
