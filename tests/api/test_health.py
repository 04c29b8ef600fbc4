"""The health check (HC-1 to HC-8)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from shared.api.health import EXPIRY_SECONDS
from tests.support.host import Host
from tests.support.storage_proxy import StorageProxy


async def test_health_of_the_storage(proxy: StorageProxy, tmp_path: Path) -> None:
    """HC-2, HC-3, HC-4."""
    host = Host(proxy.connection_string, tmp_path)
    await asyncio.to_thread(host.start)
    try:
        healthy = await asyncio.to_thread(host.get, "/health/check")
        assert healthy.status_code == 200
        assert healthy.json() == {
            "overallStatus": "Healthy",
            "details": [
                {"name": name, "status": "Healthy", "description": "Successfully connected."}
                for name in ("DataStoreHealthCheck", "DcmHealthCheck")
            ],
        }
        await asyncio.sleep(EXPIRY_SECONDS)
        proxy.fail(1, 403)
        unhealthy = await asyncio.to_thread(host.get, "/health/check")
        assert unhealthy.status_code == 503
        assert unhealthy.json()["overallStatus"] == "Unhealthy"
        await asyncio.sleep(EXPIRY_SECONDS)
        proxy.reset()
        assert (await asyncio.to_thread(host.get, "/health/check")).status_code == 200
    finally:
        proxy.reset()
        await asyncio.to_thread(host.stop)


async def test_storage_is_asked_once_a_second(proxy: StorageProxy, tmp_path: Path) -> None:
    """HC-6: however many ask."""
    host = Host(proxy.connection_string, tmp_path)
    await asyncio.to_thread(host.start)
    try:
        started, before = time.monotonic(), len(proxy.log)
        answers = await asyncio.gather(*(asyncio.to_thread(host.get, "/health/check") for _ in range(50)))
        checks = (time.monotonic() - started) // EXPIRY_SECONDS + 1
        assert {answer.status_code for answer in answers} == {200}
        assert sum("health" in item.path for item in proxy.log[before:]) <= checks
    finally:
        await asyncio.to_thread(host.stop)
