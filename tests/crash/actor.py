"""A process that does one thing with the services, to be killed in the middle of it.

Prints `ready` when it is connected, and starts when a line comes on its standard input: the action and its arguments as
JSON. `AzureWebJobsStorage` says where.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from shared.services import bulk_update, delete
from shared.services.bulk_update import StudyUpdate
from shared.services.store import ALREADY_EXISTS, store
from shared.services.tag_index import index_study
from shared.settings import Settings
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage


async def main() -> None:
    storage = await Storage.open(StorageAccount.from_environment(os.environ))
    print("ready", flush=True)
    action, *arguments = json.loads(await asyncio.to_thread(sys.stdin.readline))
    actions = {
        "store": do_store,
        "replace": do_replace,
        "delete": do_delete,
        "update": do_update,
        "index": do_index,
    }
    await actions[action](storage, *arguments)
    print("done", flush=True)
    await storage.close()


async def do_replace(storage: Storage, paths: list[str]) -> None:
    await do_store(storage, paths, replacing=True)


async def do_store(storage: Storage, paths: list[str], *, replacing: bool = False) -> None:
    async def files() -> AsyncIterator[AsyncIterator[bytes]]:
        for path in paths:
            yield content(path)

    async def content(path: str) -> AsyncIterator[bytes]:
        yield await asyncio.to_thread(Path(path).read_bytes)

    result = await store(storage, Settings(), files(), DEFAULT, None, replacing=replacing)
    assert all(item.failure in (None, ALREADY_EXISTS) for item in result.files)


async def do_delete(storage: Storage, study: str, *below: str) -> None:
    await delete.delete(storage, DEFAULT, study, *below)


async def do_update(storage: Storage, operation: str, study: str, changes: dict[str, Any]) -> None:
    await bulk_update.update_study(storage, StudyUpdate(operation, 0, DEFAULT, study, changes))


async def do_index(storage: Storage, study: str) -> None:
    tags = await storage.query_tags.read()
    await index_study(storage, keys.study_partition(DEFAULT, study), tags, tags.indexed)


if __name__ == "__main__":
    asyncio.run(main())
