"""Tells the change feed what commits have done to the instances of a study (CF-40 to CF-42).

A request tells of its own commits. Whoever is about to delete or to replace instances tells first of the commits of all
others that have not been told of yet: so the entries of an instance stand in the order of its versions, each of them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.services.tag_errors import forget_errors
from shared.storage import keys
from shared.storage.change_feed import CREATE, DELETE, ENTRIES_PER_TRANSACTION, UPDATE, Change
from shared.storage.instance_row import InstanceRow
from shared.storage.intents import STORE
from shared.storage.intents import UPDATE as UPDATE_INTENT
from shared.storage.storage import Storage
from shared.storage.study_head import ChangeSetRow, StudyHead


def feed_writer(request: str, batch: int) -> str:
    """The name under which a store appends what its `batch`-th commit has stored."""
    return f"{request}-{batch:06d}"


def deleted(key: str, head: StudyHead, row: InstanceRow) -> Change:
    """The entry of an instance that is deleted."""
    partition, study = keys.parse_study_partition(key)
    return Change(partition, study, row.series, row.sop_instance, DELETE, head.current_version(row.version))


async def tell(storage: Storage, writer: str, changes: Sequence[Change]) -> None:
    """Appends entries of stores and deletes; a repeat changes nothing.

    Errors of extended query tags that stood for what is deleted or replaced go.
    """
    await storage.change_feed.append(writer, changes)
    await forget_errors(storage, [change for change in changes if change.action != CREATE])


async def publish_stored(storage: Storage, key: str, rows: Iterable[InstanceRow]) -> None:
    """Tells of stored instances, those of a commit together.

    `rows` have to be all that the commit has stored, unless it was told of before.
    """
    partition, study = keys.parse_study_partition(key)
    commits: dict[str, list[Change]] = {}
    for row in sorted(rows, key=lambda row: row.version):
        change = Change(partition, study, row.series, row.sop_instance, UPDATE if row.replaces else CREATE, row.version)
        commits.setdefault(feed_writer(row.request, row.batch), []).append(change)
    for writer, changes in commits.items():
        await tell(storage, writer, changes)


async def publish_update(storage: Storage, key: str, head: StudyHead, applied: ChangeSetRow) -> None:
    """Appends an Update entry for each covered instance, going on where an earlier run stopped."""
    partition, study = keys.parse_study_partition(key)
    writer = applied.operation
    notes = await storage.change_feed.notes(f"{writer}-")
    number, after = len(notes), next(reversed(notes.values()), "")
    batch: list[Change] = []
    last = after
    async for row in storage.instances.rows(key, head, metadata=False, after=after):
        if row.version > applied.cover:
            continue
        batch.append(Change(partition, study, row.series, row.sop_instance, UPDATE, applied.version))
        last = row.row_key
        if len(batch) == ENTRIES_PER_TRANSACTION:
            await storage.change_feed.append(f"{writer}-{number:06d}", batch, last)
            number, batch = number + 1, []
    if batch:
        await storage.change_feed.append(f"{writer}-{number:06d}", batch, last)


async def publish_all(storage: Storage, key: str, head: StudyHead, request: str = "") -> None:
    """Tells of all that was committed to the study up to `head`, but for what the store `request` has committed.

    Not of what has been stored since: what comes before it may not be told of yet.
    """
    if head.study is None:
        return
    for outbox in head.outbox:
        if outbox.changes:
            await tell(storage, outbox.writer, outbox.changes)
    working = await storage.intents.of_study(key)
    stores = {name for name, kind in working.items() if kind == STORE and name != request}
    if stores:
        rows = storage.instances.rows(key, head, metadata=False)
        known = [row async for row in rows if row.request in stores and row.version <= head.study.version]
        await publish_stored(storage, key, known)
    for applied in head.change_sets:
        if working.get(applied.operation) == UPDATE_INTENT:
            await publish_update(storage, key, head, applied)
