"""The proxy that other tests trust: what goes through it, and what it does at a chosen request."""

from __future__ import annotations

import random

import aiohttp
import pytest

from shared.storage.wire import Entity, Operation, StorageError, Wire
from tests.support.storage_proxy import Exchange, StorageProxy, Traffic

ROW = Operation("upsert", Entity("p", "it's ~ 日本", {"n": 1}))


async def test_traffic_of_both_services_is_counted_and_logged(
    proxied: Wire, proxy: StorageProxy, table: str, prefix: str
) -> None:
    data = random.Random(1).randbytes(3_000_000)
    await proxied.put_blob(prefix, data, {})
    await proxied.transact(table, [ROW])
    assert b"".join([chunk async for chunk in proxied.read_blob(prefix)]) == data
    assert proxy.traffic["blob"] == Traffic(2, 3_000_000, 3_000_000)
    assert proxy.traffic["table"].requests == 1
    assert [(each.number, each.service, each.method) for each in proxy.log] == [
        (1, "blob", "PUT"),
        (2, "table", "PUT"),
        (3, "blob", "GET"),
    ]
    assert proxy.log[1].path.startswith(f"/devstoreaccount1/{table}(PartitionKey='p',RowKey='it''s%20~%20%E6")
    proxy.reset()
    assert (proxy.log, proxy.traffic["blob"]) == ([], Traffic())


async def test_hooks_see_the_storage_before_and_after_the_request(
    wire: Wire, proxied: Wire, proxy: StorageProxy, table: str
) -> None:
    seen: list[tuple[str, bool]] = []

    async def look(exchange: Exchange) -> None:
        seen.append((exchange.method, await wire.get_entity(table, "p", ROW.entity.row_key) is not None))

    proxy.before(2, look)
    proxy.after(2, look)
    await proxied.query(table, "")
    await proxied.transact(table, [ROW])
    assert seen == [("PUT", False), ("PUT", True)]


async def test_an_answer_of_its_own_is_not_forwarded(
    wire: Wire, proxied: Wire, proxy: StorageProxy, table: str
) -> None:
    proxy.answer(1, 418, {"x-ms-error-code": "Teapot"})
    with pytest.raises(StorageError) as error:
        await proxied.transact(table, [ROW])
    assert (error.value.status, error.value.code) == (418, "Teapot")
    assert await wire.get_entity(table, "p", ROW.entity.row_key) is None


async def test_a_lost_answer_is_a_broken_connection_after_the_deed(wire: Wire, proxy: StorageProxy, table: str) -> None:
    proxy.lose_answer(1)
    endpoint = dict(part.split("=", 1) for part in proxy.connection_string.split(";") if part)["TableEndpoint"]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"{endpoint}/Tables", data=b"{}")
    assert proxy.traffic["table"].requests == 1


async def test_a_body_breaks_where_it_should(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    await proxied.put_blob(prefix, bytes(200_000), {})
    proxy.reset()
    proxy.break_body(1, 150_000)
    stream = proxied.read_blob(prefix)
    assert sum([len(chunk) async for chunk in stream]) == 200_000
    assert proxy.traffic["blob"] == Traffic(2, 0, 200_000)
