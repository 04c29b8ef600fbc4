"""Changes of the list of extended query tags, which is compared and swapped as a whole."""

from __future__ import annotations

from collections.abc import Callable

from shared.services.races import ATTEMPTS, contended, lost
from shared.storage.query_tags import TagList
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed


async def change(storage: Storage, edit: Callable[[TagList], object]) -> TagList:
    """Has `edit` change the list as it is now, and writes it if that made a difference; again when another was faster.

    Returns the list. Raises what `edit` raises, and Unavailable when other writers win too often.
    """
    for attempt in ATTEMPTS:
        tags = await storage.query_tags.read()
        before = (tags.version, [*tags.tags])
        edit(tags)
        if (tags.version, tags.tags) == before:
            return tags
        try:
            await storage.query_tags.save(tags)
        except TransactionFailed as error:
            await lost(error, attempt)
        else:
            return tags
    raise contended()
