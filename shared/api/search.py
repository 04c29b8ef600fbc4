"""QIDO-RS: the six search routes."""

from http import HTTPStatus

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers
from shared.dicom.searchable import Level
from shared.services import partitions, query_tags
from shared.services.query import Query, may_use_tags, parse
from shared.services.search import search
from shared.services.service import storage
from shared.settings import Action
from shared.web.negotiation import json_media_type
from shared.web.responses import json_array
from shared.web.routing import Call, Endpoint, endpoint

_NO_FILTERS = frozenset({"accept"})


def search_at(level: Level) -> Endpoint:
    """What searches for studies, series or instances below what the path names (QIDO-1 to QIDO-6)."""

    @endpoint("query", Action.READ)
    async def get(call: Call) -> Response:
        media_type = json_media_type(accept(call), accept_query(call))
        study, series, _ = identifiers(call)
        parameters = [
            (name, value) for name, value in call.request.query_params.multi_items() if name.lower() not in _NO_FILTERS
        ]
        account = await storage()
        tags = await query_tags.read(account) if may_use_tags(parameters) else ()
        query = parse(Query(level, study or None, series, version_1=call.version == "v1"), parameters, tags)
        partition = await partitions.use(account, call.partition)
        results = await search(account, partition, query, call.base_url)
        found = (
            json_array(call.request, results, media_type) if results else Response(status_code=HTTPStatus.NO_CONTENT)
        )
        if erroneous := [name for name, tag in query.tags.items() if await query_tags.error_count(account, tag)]:
            found.headers["erroneous-dicom-attributes"] = ",".join(erroneous)
        return found

    return get
