"""Extended query tags: registering, showing, enabling and deleting them (EQT-1 to EQT-42, EQT-95 to EQT-107)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from shared.dicom.searchable import ExtendedAttribute
from shared.errors import BadRequest, Conflict, NotFound
from shared.services import operations
from shared.services.operations import OrchestrationStatus
from shared.services.races import ATTEMPTS, contended, lost
from shared.services.tag_list import change
from shared.services.tag_request import Entry, NewTag, check_entries
from shared.storage.operations import CANCELED, REINDEX
from shared.storage.query_tags import ADDING, DELETING, QueryTag, TagError, TagList
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed

MOST_TAGS = 128
"""EQT-38, D-81."""


async def add(
    storage: Storage, entries: Sequence[Entry], status: OrchestrationStatus, start: Callable[[str], Awaitable[None]]
) -> str:
    """Registers tags, starts the re-index that makes them ready, and returns the id of its operation.

    Raises OperationActive while another re-index has not ended (EQT-25), BadRequest (EQT-26 to EQT-38) and Conflict (EQT-39).
    """
    await operations.check_inactive(storage, REINDEX, status)
    new = check_entries(entries)
    resources = [f"{tag.tag:08X}" for tag in new]
    _check_room(await storage.query_tags.read(), len(new))

    async def begin(operation_id: str) -> None:
        await _register(storage, new, operation_id)
        await start(operation_id)

    return await operations.start(storage, REINDEX, status, begin, resources)


async def _register(storage: Storage, new: Sequence[NewTag], operation_id: str) -> None:
    """Adds the tags to the list. Their tables come first: whoever sees a tag may write to its table.

    Tags whose re-index has been canceled, or never came to be, give way.
    """
    for attempt in ATTEMPTS:
        tags = await storage.query_tags.read()
        replaced: list[QueryTag] = []
        for tag in new:
            if known := tags.find(f"{tag.tag:08X}"):
                if not await _is_abandoned(storage, known):
                    raise Conflict("One or more extended query tags already exist.")
                replaced.append(known)
        tags.tags = [tag for tag in tags.tags if tag not in replaced]
        _check_room(tags, len(new))
        for tag in new:
            attribute = ExtendedAttribute(tag.tag, tag.vr, tag.level, tags.next_id, tag.creator)
            await storage.query_tags.create_table(attribute)
            tags.tags.append(QueryTag(attribute, operation=operation_id))
            tags.next_id += 1
        tags.version += 1
        try:
            await storage.query_tags.save(tags)
        except TransactionFailed as error:
            await lost(error, attempt)
            continue
        for known in replaced:
            await storage.query_tags.delete_table(known.attribute)
        return
    raise contended()


async def _is_abandoned(storage: Storage, tag: QueryTag) -> bool:
    if tag.status != ADDING:
        return False
    operation = await storage.operations.get(tag.operation)
    return operation is None or operation.status == CANCELED


def _check_room(tags: TagList, count: int) -> None:
    if len(tags.tags) + count > MOST_TAGS:
        raise BadRequest(f"Extended query tags exceeds max allowed count '{MOST_TAGS}'.")


async def read(storage: Storage) -> list[QueryTag]:
    """All tags in the order of their creation (EQT-71)."""
    return (await storage.query_tags.read()).tags


async def every(storage: Storage, offset: int, limit: int) -> list[tuple[QueryTag, int]]:
    """A page of the tags in the order of their creation, each with the number of its errors (EQT-2, EQT-71)."""
    page = (await read(storage))[offset : offset + limit]
    return [(tag, await error_count(storage, tag)) for tag in page]


async def get(storage: Storage, path: str) -> tuple[QueryTag, int]:
    """A tag and the number of its errors. Raises NotFound (EQT-8)."""
    tag = _find(await storage.query_tags.read(), path)
    return tag, await error_count(storage, tag)


async def errors(storage: Storage, path: str, offset: int, limit: int) -> list[TagError]:
    """A page of a tag's errors (EQT-6, EQT-90). Raises NotFound."""
    tag = _find(await storage.query_tags.read(), path)
    return await storage.query_tags.errors(tag.attribute, offset, limit) if tag.erroneous else []


async def error_count(storage: Storage, tag: QueryTag) -> int:
    return await storage.query_tags.count_errors(tag.attribute) if tag.erroneous else 0


async def set_query_status(storage: Storage, path: str, enabled: bool) -> tuple[QueryTag, int]:
    """Lets a tag be searched by, or not (EQT-95). Raises NotFound."""
    tags = await change(storage, lambda tags: tags.replace(replace(_find(tags, path), enabled=enabled)))
    tag = _find(tags, path)
    return tag, await error_count(storage, tag)


async def delete(storage: Storage, path: str) -> None:
    """Deletes a tag with its table, its errors included (EQT-105). Raises NotFound."""

    def give_up(tags: TagList) -> None:
        tags.replace(replace(_find(tags, path), status=DELETING))
        tags.version += 1

    tags = await change(storage, give_up)
    await storage.change_feed.announce_tags(tags.version)
    await _finish_delete(storage, _find(tags, path))


async def finish_deletes(storage: Storage) -> None:
    """Completes deletes that a crash has interrupted."""
    for tag in (await storage.query_tags.read()).tags:
        if tag.status == DELETING:
            await _finish_delete(storage, tag)


async def _finish_delete(storage: Storage, tag: QueryTag) -> None:
    await storage.query_tags.delete_table(tag.attribute)
    await change(storage, lambda tags: tags.remove(tag))


def _find(tags: TagList, path: str) -> QueryTag:
    if (tag := tags.find(path)) is None:
        raise NotFound(f"The specified extended query tag with tag path {path} cannot be found.")
    return tag
