"""The storage and the settings of this process, opened at the first request and kept."""

from __future__ import annotations

import asyncio
import os

from ..settings import Settings
from ..storage.account import StorageAccount
from ..storage.storage import Storage

settings = Settings.from_environment(os.environ)

_opening: dict[asyncio.AbstractEventLoop, asyncio.Task[Storage]] = {}


async def storage() -> Storage:
    """The connection to the storage account that belongs to the running event loop."""
    loop = asyncio.get_running_loop()
    task = _opening.get(loop)
    if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
        task = _opening[loop] = loop.create_task(Storage.open(StorageAccount.from_environment(os.environ)))
    return await asyncio.shield(task)
