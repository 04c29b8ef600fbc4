from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devhost.azurite import Azurite
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from tests.support import privacy
from tests.support.host import Host, running_host
from tests.support.storage_proxy import StorageProxy, running_proxy

for _name in [name for name in os.environ if name.startswith(("AzureWebJobsStorage", "DICOM_STORAGE"))]:
    del os.environ[_name]  # settings of real accounts must not reach the tests
os.environ["DICOM_AUTHENTICATION"] = "off"  # for modules that read their settings when they are imported


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One emulator for all tests of this process."""
    emulator = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def own_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An emulator for the tests of a module that look at, or change, all that an account holds."""
    emulator = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield emulator
    emulator.stop()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="session", autouse=True)
def logged() -> Iterator[list[str]]:
    """What the services log in this process, without patient data. Hosts, which log to files, are asked when they stop."""
    handler = _Lines()
    loggers = [logging.getLogger(name) for name in ("shared", "dicom")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield handler.lines
    for logger in loggers:
        logger.removeHandler(handler)
    assert privacy.leaks("\n".join(handler.lines)) == []


@pytest.fixture(scope="session")
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all tests of this process; tests keep apart by fresh UIDs."""
    with running_host(azurite.connection_string, tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture
def new_host(azurite: Azurite, tmp_path: Path) -> Iterator[Host]:
    """A host of its own for a test that kills it. Its upkeep takes silent requests for dead after a second."""
    running = Host(azurite.connection_string, tmp_path, DICOM_INTENT_TIMEOUT_SECONDS="1")
    yield running.start()
    running.stop()


@pytest.fixture
def account(azurite: Azurite) -> StorageAccount:
    return StorageAccount.from_environment({"AzureWebJobsStorage": azurite.connection_string})


@pytest.fixture
async def storage(account: StorageAccount) -> AsyncIterator[Storage]:
    """The services' storage in this process, where what it sends can be counted."""
    opened = await Storage.open(account)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """Counts, logs and disturbs what goes to the emulator."""
    async with running_proxy(azurite.connection_string) as running:
        yield running


@pytest.fixture
async def own_proxy(own_azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """The same for an emulator in which nothing else has left work to the upkeep of a host."""
    async with running_proxy(own_azurite.connection_string) as running:
        yield running


@pytest.fixture
async def behind(proxy: StorageProxy) -> AsyncIterator[Storage]:
    """A connection through the proxy."""
    opened = await Storage.open(StorageAccount.from_environment({"AzureWebJobsStorage": proxy.connection_string}))
    yield opened
    await opened.close()


@pytest.fixture
async def other_host(account: StorageAccount) -> AsyncIterator[Storage]:
    """A second connection that shares nothing in memory with the first."""
    opened = await Storage.open(account)
    yield opened
    await opened.close()
