"""QIDO-RS: the six search routes."""

from http import HTTPStatus

from fastapi import Response

from shared.api.requests import accept, accept_query, identifiers
from shared.dicom.searchable import Level
from shared.services import partitions
from shared.services.query import Query, parse
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
        query = parse(Query(level, study or None, series), parameters)
        account = await storage()
        partition = await partitions.use(account, call.partition)
        results = await search(account, partition, query, call.base_url)
        if not results:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return json_array(call.request, results, media_type)

    return get
