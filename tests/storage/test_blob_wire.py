"""The wire's blobs against the SDK's, in the same container: the same bytes, the same errors, whoever wrote or reads."""

from __future__ import annotations

import base64
import random

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import ContainerClient

from shared.storage import blob_wire
from shared.storage.pipeline import CHUNK
from shared.storage.wire import BlobNotFound, StorageError, Wire
from tests.support.storage_proxy import StorageProxy

METADATA = {"study": "1.2.3", "instance": "1.2.3.4", "a": "1", "a1": "2", "ab": "with spaces"}
NAMES = ["abc/1-0.dcm", "a b+c&d=e", "it's (1)", "日本語/é", "50%", "~!$*,;:@"]


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def block_id(number: int) -> str:
    return base64.b64encode(f"{number:06}".encode()).decode()


async def read(wire: Wire, name: str, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in wire.read_blob(name, offset, length)])


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 5_000_000])
async def test_a_blob_written_by_the_wire(wire: Wire, sdk_container: ContainerClient, prefix: str, size: int) -> None:
    await wire.put_blob(prefix, content(size), METADATA)
    blob = sdk_container.get_blob_client(prefix)
    assert await (await blob.download_blob()).readall() == content(size)
    assert await read(wire, prefix) == content(size)
    properties = await blob.get_blob_properties()
    assert properties.metadata == METADATA
    assert properties.content_settings.content_type == "application/dicom"


async def test_a_blob_written_by_the_sdk(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    settings = ContentSettings(content_type="text/plain", content_encoding="gzip")
    await sdk_container.upload_blob(prefix, content(300_000), content_settings=settings)
    assert await read(wire, prefix) == content(300_000)


async def test_names(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    for name in NAMES:
        await wire.put_blob(prefix + name, name.encode(), {})
    assert {prefix + name for name in NAMES} == {name async for name in wire.list_blobs(prefix)}
    for name in NAMES:
        downloaded = await sdk_container.download_blob(prefix + name)
        assert await downloaded.readall() == await read(wire, prefix + name) == name.encode()
        await wire.delete_blob(prefix + name)
    assert [name async for name in wire.list_blobs(prefix)] == []


async def test_names_of_the_sdk(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    for name in NAMES:
        await sdk_container.upload_blob(prefix + name, name.encode())
    for name in NAMES:
        assert await read(wire, prefix + name) == name.encode()
        assert [found async for found in wire.list_blobs(prefix + name)] == [prefix + name]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (0, 1000), (1, 998), (999, 1), (400, None), (0, None), (990, 100), (5, 0)]
)
async def test_ranges(wire: Wire, prefix: str, offset: int, length: int | None) -> None:
    data = content(1000)
    await wire.put_blob(prefix, data, {})
    end = None if length is None else offset + length
    assert await read(wire, prefix, offset, length) == data[offset:end]


async def test_there_is_nothing_beyond_the_end(wire: Wire, prefix: str) -> None:
    await wire.put_blob(prefix, content(10), {})
    assert await read(wire, prefix, 10) == b""
    assert await read(wire, prefix, 11, 5) == b""


async def test_chunks_are_neither_tiny_nor_large(wire: Wire, prefix: str) -> None:
    await wire.put_blob(prefix, content(8_000_000), {})
    sizes = [len(chunk) async for chunk in wire.read_blob(prefix)]
    assert max(sizes) <= CHUNK
    assert sum(sizes) / len(sizes) > 32 * 1024


async def test_a_missing_blob(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    with pytest.raises(BlobNotFound) as error:
        await read(wire, prefix)
    with pytest.raises(HttpResponseError) as expected:
        await sdk_container.download_blob(prefix)
    assert (
        (error.value.status, error.value.code) == (404, "BlobNotFound") == (expected.value.status_code, code(expected))
    )
    await wire.delete_blob(prefix)


def code(error: pytest.ExceptionInfo[HttpResponseError]) -> str:
    return str(getattr(error.value, "error_code", "")).removeprefix("StorageErrorCode.")


async def test_a_blob_is_written_once(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    await wire.put_blob(prefix, b"first", {})
    with pytest.raises(StorageError) as error:
        await wire.put_blob(prefix, b"second", {})
    with pytest.raises(HttpResponseError) as expected:
        await sdk_container.upload_blob(prefix, b"second")
    assert error.value.status == expected.value.status_code == 409
    assert await read(wire, prefix) == b"first"
    await wire.put_blob(prefix, b"again", {})
    assert await read(wire, prefix) == b"first"


async def test_blocks(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    blocks = [content(300_000 + number) for number in range(4)]
    for number, data in reversed(list(enumerate(blocks))):
        await wire.put_block(prefix, block_id(number), data)
    with pytest.raises(BlobNotFound):
        await read(wire, prefix)
    ids = [block_id(number) for number in range(4)]
    await wire.put_block_list(prefix, ids, METADATA)
    blob = sdk_container.get_blob_client(prefix)
    assert await (await blob.download_blob()).readall() == b"".join(blocks) == await read(wire, prefix)
    properties = await blob.get_blob_properties()
    assert (properties.metadata, properties.content_settings.content_type) == (METADATA, "application/dicom")

    await wire.put_block_list(prefix, ids, METADATA)
    with pytest.raises(StorageError) as error:
        await wire.put_block_list(prefix, ids[:3], METADATA)
    assert error.value.status == 409
    assert await read(wire, prefix) == b"".join(blocks)


async def test_blocks_of_the_sdk(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    blob = sdk_container.get_blob_client(prefix)
    await blob.stage_block("a", b"first ")
    await blob.stage_block("b", b"second")
    await blob.commit_block_list([BlobBlock("a"), BlobBlock("b")])
    assert await read(wire, prefix) == b"first second"


async def test_what_arrives_damaged(wire: Wire, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and bundles carry a digest, either way."""
    await wire.put_blob(prefix, content(1000), METADATA)
    bundle = await wire.get_bundle(prefix)
    assert bundle
    assert (bundle.data, bundle.metadata) == (content(1000), METADATA)

    async def digest_of_something_else(data: bytes) -> str:
        return base64.b64encode(bytes(16)).decode()

    monkeypatch.setattr(blob_wire, "_digest", digest_of_something_else)
    with pytest.raises(StorageError, match="Md5Mismatch"):
        await wire.put_block(f"{prefix}b", block_id(0), b"data")
    with pytest.raises(StorageError, match="Md5Mismatch"):
        await wire.get_bundle(prefix)
    with pytest.raises(StorageError, match="Md5Mismatch"):
        await wire.replace_bundle(prefix, content(1000), METADATA, bundle.etag)
    monkeypatch.undo()
    assert await wire.get_bundle(prefix) == bundle


async def test_a_bundle_is_replaced_by_the_first_who_has_read_it(wire: Wire, prefix: str) -> None:
    await wire.put_blob(prefix, content(1000), METADATA)
    bundle = await wire.get_bundle(prefix)
    assert bundle
    assert await wire.replace_bundle(prefix, content(2000), {"a": "2"}, bundle.etag)
    assert not await wire.replace_bundle(prefix, content(3000), {"a": "3"}, bundle.etag)
    found = await wire.get_bundle(prefix)
    assert found
    assert (found.data, found.metadata) == (content(2000), {"a": "2"})
    await wire.delete_blob(prefix)
    assert await wire.get_bundle(prefix) is None
    assert not await wire.replace_bundle(prefix, content(3000), {"a": "3"}, found.etag)


async def test_a_block_that_is_not_there(wire: Wire, sdk_container: ContainerClient, prefix: str) -> None:
    await wire.put_block(prefix, block_id(0), b"data")
    with pytest.raises(StorageError) as error:
        await wire.put_block_list(prefix, [block_id(0), block_id(1)], {})
    with pytest.raises(HttpResponseError) as expected:
        await sdk_container.get_blob_client(prefix).commit_block_list([BlobBlock(block_id(1))])
    assert (error.value.status, error.value.code) == (400, "InvalidBlockList")
    assert (expected.value.status_code, code(expected)) == (400, "INVALID_BLOCK_LIST")


async def test_listing_more_than_a_page(wire: Wire, proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    """A page has 5,000 names; the answer of the proxy has one, and says where to go on."""
    for number in range(3):
        await wire.put_blob(f"{prefix}{number}", b"", {})
    first = f"<List><Blobs><Blob><Name>{prefix}first</Name></Blob></Blobs><NextMarker>{prefix}0</NextMarker></List>"
    proxy.answer(1, 200, body=first.encode())
    names = [name async for name in proxied.list_blobs(prefix)]
    assert names[0] == f"{prefix}first"
    assert "marker=" in proxy.log[1].path
    assert prefix.rstrip("/") in proxy.log[1].path.split("marker=")[1]


async def test_a_container_that_exists_is_fine(wire: Wire) -> None:
    await wire.create_container()


async def test_a_read_that_breaks_goes_on_where_it_broke(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    data = content(3_000_000)
    await proxied.put_blob(prefix, data, {})
    proxy.reset()
    for number in range(1, 8):
        proxy.break_body(number, 300_000)
    assert await read(proxied, prefix, 100_000, 2_500_000) == data[100_000:2_600_000]
    assert len(proxy.log) == 8


async def test_a_read_that_breaks_does_not_mix_two_blobs(
    wire: Wire, proxied: Wire, proxy: StorageProxy, prefix: str
) -> None:
    await wire.put_blob(prefix, content(1_000_000), {})
    proxy.break_body(1, 500_000)
    stream = proxied.read_blob(prefix)
    await anext(stream)
    await wire.delete_blob(prefix)
    await wire.put_blob(prefix, content(1_000_001), {})
    with pytest.raises(StorageError) as error:
        async for _ in stream:
            pass
    assert (error.value.status, error.value.code) == (412, "ConditionNotMet")


async def test_a_read_that_breaks_for_good(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    await proxied.put_blob(prefix, content(100_000), {})
    proxy.reset()
    for number in range(1, 10):
        proxy.break_body(number, 0)
    with pytest.raises(StorageError) as error:
        await read(proxied, prefix)
    assert (error.value.status, error.value.code) == (0, "Unreachable")
    assert len(proxy.log) == 4


async def test_a_reader_that_stops_early_stops_the_transfer(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    await proxied.put_blob(prefix, content(40_000_000), {})
    proxy.reset()
    stream = proxied.read_blob(prefix)
    await anext(stream)
    await stream.aclose()
    assert await read(proxied, prefix, 0, 10) == content(40_000_000)[:10]
    assert proxy.traffic["blob"].bytes_received < 20_000_000
    assert proxied.counters.bytes_received < 1_000_000


async def test_bytes_are_counted(proxied: Wire, proxy: StorageProxy, prefix: str) -> None:
    before = proxied.counters.transactions
    await proxied.put_blob(prefix, content(600_000), {})
    await read(proxied, prefix, 0, 300_000)
    with pytest.raises(BlobNotFound):
        await read(proxied, prefix + "missing")
    traffic, counters = proxy.traffic["blob"], proxied.counters
    assert traffic.requests == counters.transactions - before == 3
    assert traffic.bytes_sent == counters.bytes_sent == 600_000
    assert traffic.bytes_received == counters.bytes_received > 300_000
