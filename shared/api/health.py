"""`GET /health/check` (HC-1 to HC-3)."""

from http import HTTPStatus

import orjson
from fastapi import Response

from shared.errors import ServiceError
from shared.services import health
from shared.services.health import DEGRADED, HEALTHY, UNHEALTHY
from shared.services.service import storage
from shared.storage.wire import StorageError
from shared.web.routing import Call, endpoint


@endpoint("health", None)
async def get_health(call: Call) -> Response:
    try:
        found = await health.checks(await storage())
    except (StorageError, ServiceError, OSError, ExceptionGroup):
        found = [health.Check("DataStoreHealthCheck", UNHEALTHY, "The storage account cannot be reached.")]
    worst = max((check.status for check in found), key=(HEALTHY, DEGRADED, UNHEALTHY).index)
    body = {
        "overallStatus": worst,
        "details": [{"name": c.name, "status": c.status, "description": c.description} for c in found],
    }
    status = HTTPStatus.SERVICE_UNAVAILABLE if worst == UNHEALTHY else HTTPStatus.OK
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")
