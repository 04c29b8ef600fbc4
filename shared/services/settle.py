"""What follows a commit to a study: its lookup rows come to say what its rows say, and its outbox is emptied."""

from __future__ import annotations

from collections.abc import Mapping

from shared.services.files import remove_files
from shared.services.publish import tell
from shared.storage import keys
from shared.storage.instances import TABLE
from shared.storage.lookups import LookupKey, rows_of
from shared.storage.storage import Storage
from shared.storage.study_head import Outbox, StudyHead
from shared.storage.wire import Entity, Operation, StorageError


async def settle(storage: Storage, key: str, head: StudyHead, written: Mapping[LookupKey, str]) -> None:
    """Brings the lookup rows of the study `key` to what `head` says; `written` are the rows known to be there.

    Other writers may be at it too: whoever finds that the study has changed after his last write goes round again, so
    the last one to commit leaves what is right.
    """
    while True:
        wanted = rows_of(key, head)
        missing = {lookup: summary for lookup, summary in wanted.items() if written.get(lookup) != summary}
        stale = {lookup for outbox in head.outbox for lookup in outbox.lookups} | set(written)
        stale -= set(wanted)
        if not (missing or stale or head.outbox):
            return
        await storage.lookups.write(missing)
        await storage.lookups.remove(stale)
        for outbox in head.outbox:
            await empty(storage, key, outbox)
        settled = await storage.instances.head(key)
        if _state(settled) == _state(head) and not settled.outbox:
            return
        head, written = settled, wanted


async def empty(storage: Storage, key: str, outbox: Outbox) -> None:
    """Does what an outbox says, but for the lookup rows, and removes it."""
    if outbox.changes:
        await tell(storage, outbox.writer, outbox.changes)
    await remove_files(storage.wire, outbox.extents)
    try:
        await storage.wire.transact(TABLE, [Operation("delete", Entity(key, keys.outbox_row(outbox.name), {}, "*"))])
    except StorageError as error:
        if error.status != 404:
            raise


def _state(head: StudyHead) -> str:
    return head.study.etag if head.study else ""
