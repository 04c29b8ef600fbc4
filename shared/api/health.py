"""`GET /health/check` (HC-1 to HC-3)."""

import asyncio
import time
from http import HTTPStatus

import orjson
from fastapi import Response

from shared.errors import ServiceError
from shared.services import health
from shared.services.health import DEGRADED, HEALTHY, UNHEALTHY, Check
from shared.services.service import storage
from shared.storage.wire import StorageError
from shared.web.routing import Call, endpoint

EXPIRY_SECONDS = 1.0


class _Cache:
    """However many ask, and they may be anybody, storage is asked once a second at the most (HC-6)."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._found: list[Check] = []
        self._expires = 0.0

    async def checks(self) -> list[Check]:
        async with self._lock:
            if time.monotonic() >= self._expires:
                self._found = await _checks()
                self._expires = time.monotonic() + EXPIRY_SECONDS
            return self._found


_cache = _Cache()


@endpoint("health", None)
async def get_health(call: Call) -> Response:
    found = await _cache.checks()
    worst = max((check.status for check in found), key=(HEALTHY, DEGRADED, UNHEALTHY).index)
    body = {
        "overallStatus": worst,
        "details": [{"name": c.name, "status": c.status, "description": c.description} for c in found],
    }
    status = HTTPStatus.SERVICE_UNAVAILABLE if worst == UNHEALTHY else HTTPStatus.OK
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


async def _checks() -> list[Check]:
    try:
        return await health.checks(await storage())
    except (StorageError, ServiceError, OSError, ExceptionGroup):
        return [Check("DataStoreHealthCheck", UNHEALTHY, "The storage account cannot be reached.")]
