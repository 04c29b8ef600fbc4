"""Extended query tags through the services, with re-indexes that run in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.services import query_tags, reindex
from shared.services.query import Query, parse
from shared.services.search import search
from shared.services.tag_request import parse_entries
from shared.storage.storage import Storage

type TagEntry = tuple[str, str, str] | tuple[str, str]
"""Path, level, and VR where it has to be said."""


async def register(storage: Storage, *entries: TagEntry, creator: str = "") -> str:
    """Adds tags and returns the operation that is to re-index them."""
    body = [
        {"path": path, "level": level, "vr": vr[0] if vr else None, "privateCreator": creator or None}
        for path, level, *vr in entries
    ]

    async def status(_: str) -> str:
        return "Running"

    async def start(_: str) -> None:
        pass

    return await query_tags.add(storage, parse_entries(json.dumps(body).encode()), status, start)


async def run(storage: Storage, operation: str) -> None:
    """What the orchestration does."""
    total = await reindex.begin(storage, operation)
    assert total is not None
    after, done = await reindex.batch(storage, operation, None, 0, total)
    while after:
        after, done = await reindex.batch(storage, operation, after, done, total)
    await reindex.end(storage, operation)


async def add_tags(storage: Storage, *entries: TagEntry, creator: str = "") -> None:
    await run(storage, await register(storage, *entries, creator=creator))


async def remove_tags(storage: Storage) -> None:
    """Removes all tags, and the lock of a re-index that was left."""
    for tag in await query_tags.read(storage):
        await query_tags.delete(storage, tag.attribute.key)
    if holder := await storage.operations.lock_holder("reindex"):
        await storage.operations.release("reindex", holder[0])


async def found(
    storage: Storage, partition: str, query: Query, parameters: Sequence[tuple[str, str]]
) -> list[dict[str, dict[str, list[str]]]]:
    """The results of a search, parsed."""
    parsed = parse(query, parameters, await query_tags.read(storage))
    return [json.loads(item) for item in await search(storage, partition, parsed, "")]
