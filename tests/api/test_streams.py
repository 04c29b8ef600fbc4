"""Answers that are under way: slow readers, and files that are gone before they were sent (WADO-44)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests
from pydicom.uid import generate_uid
from requests.exceptions import ChunkedEncodingError

from shared.services import delete
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import ANY_FILES, Uids, parts
from tests.support.host import Host
from tests.support.services import store_files
from tests.support.storage_proxy import StorageProxy

MIB = 1 << 20


@pytest.fixture
async def behind_proxy(proxy: StorageProxy, tmp_path: Path) -> AsyncIterator[Host]:
    """A host that reaches its storage through the proxy, which counts what it reads."""
    host = Host(proxy.connection_string, tmp_path)
    await asyncio.to_thread(host.start)
    yield host
    assert await asyncio.to_thread(host.stop) == 0
    assert "Traceback" not in host.log.read_text()


async def settled(proxy: StorageProxy) -> int:
    """The bytes of blobs that were read, once they have not become more for a while."""
    seen = -1
    while seen != (seen := proxy.traffic["blob"].bytes_received):  # noqa: ASYNC110 - nobody tells of an end
        await asyncio.sleep(1)
    return seen


@pytest.mark.parametrize("level", ["instance", "study"])
async def test_client_that_stops_reading_stops_the_reads(
    behind_proxy: Host, proxy: StorageProxy, storage: Storage, level: str
) -> None:
    """Of 40 MiB, no more than buffers hold (those of the proxy among them); and none is read when it has gone away."""
    study, side, count = generate_uid(), 1024, 40
    files = [builders.instance(study, rows=side, columns=side, InstanceNumber=n) for n in range(count)]
    if level != "study":
        files = [builders.instance(study, rows=count * side, columns=side)]
    await store_files(storage, files)
    uids = Uids.of(files[0])
    path = uids.study_path if level == "study" else uids.instance_path
    proxy.reset()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", behind_proxy.port))
        connection.sendall(f"GET /v2{path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n".encode())
        assert await asyncio.to_thread(connection.recv, 12) == b"HTTP/1.1 200"
        read = await settled(proxy)
        assert 0 < read < 20 * MIB
    assert await settled(proxy) < read + MIB
    everything = await asyncio.to_thread(behind_proxy.get, f"/v2{path}", Accept="*/*")
    assert len(everything.content) > count * side * side - 1


@pytest.mark.parametrize("what", ["blob", "instance"])
async def test_file_that_is_gone_in_the_middle_of_a_study(new_host: Host, storage: Storage, what: str) -> None:
    """The answer breaks off where it is missing: nobody takes a part for the whole."""
    study = generate_uid()
    files = [builders.instance(study, "1.2.3", rows=1024, columns=1024, InstanceNumber=n) for n in range(40)]
    for file in files[:30]:  # blobs of their own, most of which are not opened while the first is read
        await store_files(storage, [file])
    last = (await store_files(storage, files[30:])).stored[-1].row
    assert last
    assert last.files > 1

    def begin() -> requests.Response:
        return requests.get(
            f"{new_host.url}/v2/studies/{study}", headers={"Accept": ANY_FILES}, stream=True, timeout=60
        )

    with await asyncio.to_thread(begin) as response:
        assert response.status_code == 200
        if what == "blob":
            await storage.wire.delete_blob(last.blob)
        else:
            await delete.delete(storage, DEFAULT, study, last.series, last.sop_instance)
        with pytest.raises(ChunkedEncodingError):
            await asyncio.to_thread(lambda: response.content)
    if what == "instance":
        after = await asyncio.to_thread(new_host.get, f"/v2/studies/{study}", Accept=ANY_FILES)
        assert (after.status_code, len(parts(after))) == (200, 39)
