"""The storage and the settings of this process, opened at the first request and kept."""

from __future__ import annotations

import asyncio
import os

from shared.settings import Settings
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage

settings = Settings.from_environment(os.environ)

_opened: dict[asyncio.AbstractEventLoop, asyncio.Future[Storage]] = {}
_holders: set[asyncio.Task[None]] = set()


async def storage() -> Storage:
    """The connection to the storage account that belongs to the running event loop."""
    loop = asyncio.get_running_loop()
    opened = _opened.get(loop)
    if opened is None or (opened.done() and (opened.cancelled() or opened.exception() is not None)):
        opened = _opened[loop] = loop.create_future()
        holder = loop.create_task(_hold(opened))
        _holders.add(holder)
        holder.add_done_callback(_holders.discard)
    return await asyncio.shield(opened)


async def _hold(opened: asyncio.Future[Storage]) -> None:
    """Keeps the storage open until the event loop ends and cancels this task: a function app has no other shutdown."""
    try:
        opened_storage = await Storage.open(StorageAccount.from_environment(os.environ))
    except Exception as error:
        opened.set_exception(error)
        return
    opened.set_result(opened_storage)
    try:
        await asyncio.Event().wait()
    finally:
        await opened_storage.close()
