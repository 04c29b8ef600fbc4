"""`GET partitions` (PART-10)."""

import orjson
from fastapi import Response

from shared.api.change_feed import timestamp
from shared.services import partitions
from shared.services.service import storage
from shared.settings import Action
from shared.web.routing import Call, endpoint


@endpoint("partition", Action.READ)
async def get_partitions(call: Call) -> Response:
    found = [
        {
            "partitionKey": partition.key,
            "partitionName": partition.name,
            "createdDate": timestamp(partition.created),
        }
        for partition in await partitions.every(await storage())
        if call.caller.sees(partition.name)
    ]
    return Response(orjson.dumps(found), media_type="application/json")
