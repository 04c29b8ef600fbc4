from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devhost.azurite import Azurite
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    """The services' storage in this process, where what it sends can be counted."""
    account = StorageAccount.from_environment({"AzureWebJobsStorage": azurite.connection_string})
    opened = await Storage.open(account)
    yield opened
    await opened.close()
