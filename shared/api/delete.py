"""`DELETE` of a study, a series or an instance."""

from http import HTTPStatus

from fastapi import Response
from starlette.background import BackgroundTask

from shared.api.requests import identifiers
from shared.services import partitions
from shared.services.delete import clear_rest, delete
from shared.services.service import storage
from shared.settings import Action
from shared.web.routing import Call, endpoint


@endpoint("delete", Action.DELETE)
async def delete_resource(call: Call) -> Response:
    """DEL-1 to DEL-5."""
    study, series, instance = identifiers(call)
    account = await storage()
    partition = await partitions.use(account, call.partition)
    rest = await delete(account, partition, study, series, instance)
    return Response(
        status_code=HTTPStatus.NO_CONTENT, background=BackgroundTask(clear_rest, account, rest) if rest else None
    )
