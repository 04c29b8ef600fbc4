"""What a client sees of storage that is out of order (ERR-21; tests/services/test_outages.py tries each request)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import requests

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, store
from tests.support.host import Host
from tests.support.storage_proxy import StorageProxy


async def test_store_while_storage_is_out_of_order(proxy: StorageProxy, tmp_path: Path) -> None:
    """503 with Retry-After once the retries are used up; the same request works when storage does."""
    host = Host(proxy.connection_string, tmp_path)
    await asyncio.to_thread(host.start)
    try:
        file = builders.instance()
        proxy.fail(len(proxy.log) + 3, 503)
        refused = await asyncio.to_thread(store, host, file)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"
        assert refused.headers["Content-Type"] == "application/problem+json"
        proxy.reset()
        path = f"/v2{Uids.of(file).instance_path}"
        assert (await get(host, path)).status_code == 404
        assert (await asyncio.to_thread(store, host, file)).status_code == 200
        assert (await get(host, path)).content == file
    finally:
        assert await asyncio.to_thread(host.stop) == 0


async def get(host: Host, path: str) -> requests.Response:
    return await asyncio.to_thread(lambda: host.get(path, Accept=ANY_FILE))
