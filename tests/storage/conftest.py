"""Fixtures for tests against Azurite: fresh names for each test, and the SDKs' clients to compare with."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient

from devhost.azurite import Azurite
from shared.storage.account import CONTAINER, StorageAccount
from shared.storage.wire import Wire
from tests.support.storage_proxy import StorageProxy


@pytest.fixture
async def wire(account: StorageAccount) -> AsyncIterator[Wire]:
    """A client; the container exists."""
    wire = Wire.open(account)
    await wire.create_container()
    yield wire
    await wire.close()


@pytest.fixture
async def proxied(wire: Wire, proxy: StorageProxy) -> AsyncIterator[Wire]:
    """A client that goes through the proxy; the container exists."""
    proxied = Wire.open(StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string}))
    yield proxied
    await proxied.close()


@pytest.fixture
async def table(wire: Wire) -> AsyncIterator[str]:
    """The name of a table of the test's own."""
    name = f"t{uuid.uuid4().hex}"
    await wire.create_table(name)
    yield name
    await wire.delete_table(name)


@pytest.fixture
def prefix() -> str:
    """Of the names of the test's own blobs."""
    return f"{uuid.uuid4().hex}/"


@pytest.fixture
async def sdk_table(azurite: Azurite, table: str) -> AsyncIterator[TableClient]:
    """The SDK's client of the same table."""
    async with TableClient.from_connection_string(azurite.connection_string, table) as client:
        yield client


@pytest.fixture
async def sdk_container(azurite: Azurite, wire: Wire) -> AsyncIterator[ContainerClient]:
    """The SDK's client of the same container."""
    async with ContainerClient.from_connection_string(azurite.connection_string, CONTAINER) as client:
        yield client
