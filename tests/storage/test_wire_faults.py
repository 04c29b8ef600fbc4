"""What the wire does when the storage is busy, silent or gone."""

from __future__ import annotations

import asyncio
import time

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from shared.storage import pipeline
from shared.storage.account import StorageAccount
from shared.storage.pipeline import RETRIES
from shared.storage.wire import Entity, Operation, StorageError, TransactionFailed, Wire
from tests.support.storage_proxy import Exchange, StorageProxy


def insert(row_key: str) -> Operation:
    return Operation("insert", Entity("p", row_key, {"n": 1}))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_busy_service_is_asked_again(proxied: Wire, proxy: StorageProxy, table: str, status: int) -> None:
    proxy.answer(1, status)
    await proxied.transact(table, [insert("a"), insert("b")])
    proxy.answer(3, status)
    assert await proxied.get_entity(table, "p", "a")
    proxy.answer(5, status, body=b"<Error><Code>ServerBusy</Code></Error>")
    await proxied.delete_blob("missing")
    assert [exchange.method for exchange in proxy.log] == ["POST", "POST", "GET", "GET", "DELETE", "DELETE"]


async def test_a_service_that_says_when_to_ask_again(proxied: Wire, proxy: StorageProxy, table: str) -> None:
    proxy.answer(1, 503, {"Retry-After": "1"})
    begin = time.monotonic()
    assert await proxied.get_entity(table, "p", "r") is None
    assert time.monotonic() - begin >= 0.9


async def test_a_service_that_stays_busy(
    proxied: Wire, proxy: StorageProxy, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(transport: object, seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(AioHttpTransport, "sleep", sleep)
    for number in range(1, 20):
        proxy.answer(number, 503, {"x-ms-error-code": "ServerBusy"})
    with pytest.raises(StorageError) as error:
        await proxied.query(table, "")
    assert (error.value.status, error.value.code) == (503, "ServerBusy")
    assert len(proxy.log) == RETRIES + 1
    assert slept == [0.4, 0.8, 1.6, 3.2]


async def test_an_error_is_no_reason_to_ask_again(proxied: Wire, proxy: StorageProxy, table: str) -> None:
    proxy.answer(1, 403, {"x-ms-error-code": "AuthenticationFailed"})
    with pytest.raises(StorageError) as error:
        await proxied.query(table, "")
    assert (error.value.status, error.value.code) == (403, "AuthenticationFailed")
    assert len(proxy.log) == 1


async def test_a_read_survives_a_broken_connection(proxied: Wire, proxy: StorageProxy, table: str) -> None:
    await proxied.transact(table, [insert("a")])
    proxy.reset()
    proxy.lose_answer(1)
    proxy.break_body(2, 10)
    assert len((await proxied.query(table, "")).entities) == 1
    assert len(proxy.log) == 3


async def test_a_write_whose_answer_got_lost_meets_its_own_traces(
    proxied: Wire, proxy: StorageProxy, table: str
) -> None:
    """Documented in wire.py: whoever inserts looks at what is there."""
    proxy.lose_answer(1)
    with pytest.raises(TransactionFailed) as error:
        await proxied.transact(table, [insert("a"), insert("b")])
    assert (error.value.index, error.value.status) == (0, 409)
    assert await proxied.get_entity(table, "p", "b")


async def test_a_blob_whose_answer_got_lost_is_written(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    proxy.lose_answer(1)
    await proxied.put_blob(prefix, b"data" * 500_000, {})
    assert [exchange.method for exchange in proxy.log] == ["PUT", "PUT", "HEAD"]
    assert b"".join([chunk async for chunk in proxied.read_blob(prefix)]) == b"data" * 500_000


async def test_a_block_list_whose_answer_got_lost_is_written(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    await proxied.put_block(prefix, "AAAA", b"data")
    proxy.reset()
    proxy.lose_answer(1)
    await proxied.put_block_list(prefix, ["AAAA"], {})
    assert [exchange.method for exchange in proxy.log] == ["PUT", "PUT", "GET"]


async def test_a_transaction_that_is_refused_for_the_moment_inside_of_its_answer(
    proxied: Wire, proxy: StorageProxy, table: str
) -> None:
    busy = b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"odata.error":{"code":"ServerBusy","message":{"value":"0:Busy"}}}'
    proxy.answer(1, 202, body=b"--batchresponse\r\n\r\n--changesetresponse\r\n\r\n" + busy)
    await proxied.transact(table, [insert("a"), insert("b")])
    assert len(proxy.log) == 2


async def test_a_storage_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "RETRIES", 1)
    wire = Wire.open(StorageAccount("acme", "http://127.0.0.1:1/acme", "http://127.0.0.1:1/acme", "a2V5"))
    try:
        with pytest.raises(StorageError) as error:
            await wire.get_entity("table", "p", "r")
    finally:
        await wire.close()
    assert (error.value.status, error.value.code) == (0, "Unreachable")


async def test_no_compressed_answer_is_asked_for() -> None:
    """The wire would not understand one."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/acme"
        wire = Wire.open(StorageAccount("acme", endpoint, endpoint, "a2V5"))
        with pytest.raises(StorageError, match="403"):
            await wire.get_entity("table", "p", "r")
        await wire.close()
    assert b"accept-encoding" not in heads[0].lower()


async def test_a_storage_that_is_silent(proxy: StorageProxy, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep_silent(exchange: Exchange) -> None:
        await asyncio.sleep(1)

    monkeypatch.setattr(pipeline, "READ_SECONDS", 0.2)
    wire = Wire.open(StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string}))
    proxy.before(1, keep_silent)
    try:
        assert await wire.get_entity(table, "p", "r") is None
    finally:
        await wire.close()
    assert len(proxy.log) == 2


async def test_many_requests_at_once(proxied: Wire, proxy: StorageProxy, table: str) -> None:
    await asyncio.gather(*(proxied.transact(table, [insert(f"{number}")]) for number in range(200)))
    assert len((await proxied.query(table, "")).entities) == 200
    assert proxied.counters.transactions == len(proxy.log) == 201


async def test_slow_readers_of_blobs_do_not_hold_up_tables(proxied: Wire, table: str, prefix: str) -> None:
    await proxied.put_blob(prefix, bytes(1_000_000), {})
    streams = [proxied.read_blob(prefix) for _ in range(pipeline.CONNECTIONS)]
    for stream in streams:
        await anext(stream)
    async with asyncio.timeout(10):
        await proxied.get_entity(table, "p", "r")
    for stream in streams:
        await stream.aclose()
