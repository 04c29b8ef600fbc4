"""Store (STOW-RS): receives files, keeps them, makes them visible, and says what became of each.

The order is what makes a crash harmless: intent, blobs, rows, lookups, change feed, end of the intent, answer. Every step
can be repeated; services/upkeep.py finishes or undoes what a dead request left.

With replacement (D-19) an instance that exists gives way: its row is updated on the condition that it is still the one that
was read, with a version above all change sets. The same instance twice in a request is refused as without (STOW-102).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shared.dicom.searchable import Attribute
from shared.services.commit import Committed, batches
from shared.services.files import fits_together, remove_files, write_files
from shared.services.publish import publish_stored
from shared.services.receive import Received, receive
from shared.services.tag_index import catch_up, instance_keys
from shared.services.tag_values import stored_tag_values
from shared.services.turns import commit_in_turn
from shared.settings import Settings
from shared.storage import keys
from shared.storage.intents import STORE, Intent, new_request_id
from shared.storage.lookups import instance_key
from shared.storage.storage import Storage
from shared.telemetry import stored_size

ALREADY_EXISTS = 0xB00E

_PUTS_AT_ONCE = 2
_COMMIT_EVERY = 500
_COMMIT_EVERY_BYTES = 32 << 20
_HEARTBEAT_SECONDS = 60
_UNDO_SECONDS = 30


@dataclass(slots=True)
class StoreResult:
    """The files of the request in its order (STOW-28)."""

    files: list[Received] = field(default_factory=list)

    @property
    def stored(self) -> list[Received]:
        return [item for item in self.files if item.failure is None]

    @property
    def failed(self) -> list[Received]:
        return [item for item in self.files if item.failure is not None]


async def store(
    storage: Storage,
    settings: Settings,
    files: AsyncIterator[AsyncIterator[bytes]],
    partition: str,
    study: str | None,
    *,
    replacing: bool = False,
    strict: Sequence[Attribute] = (),
) -> StoreResult:
    """Stores DICOM files as they arrive. `files` yields the chunks of each; one must be read before the next.
    Instances that exist are refused, or replaced if `replacing`. `strict` are attributes whose values must keep the rules of
    v1 (services/strict.py).

    Raises what reading the body raises; then nothing that was not visible already stays behind.
    """
    request = _StoreRequest(storage, partition, replacing)
    try:
        async for chunks in files:
            received = await receive(
                storage.wire,
                request.beating(chunks),
                request=request.id,
                number=len(request.result.files),
                study=study,
                max_bytes=settings.max_part_bytes,
                strict=strict,
            )
            await request.add(received)
        await request.commit()
    except BaseException:
        with suppress(TimeoutError):  # when storage does not answer either; it goes on, and upkeep follows
            async with asyncio.timeout(_UNDO_SECONDS):
                await asyncio.shield(request.undo())
        raise
    await request.end()
    return request.result


class _StoreRequest:
    def __init__(self, storage: Storage, partition: str, replacing: bool) -> None:
        self.id = new_request_id()
        self.result = StoreResult()
        self._storage = storage
        self._partition = partition
        self._replacing = replacing
        self._intent = Intent(self.id, STORE, set())
        self._pending: list[Received] = []
        self._pending_bytes = 0
        self._known: set[tuple[str, str]] = set()
        self._bundle: list[Received] = []
        self._puts: set[asyncio.Task[None]] = set()
        self._batches = 0
        self._committing = False

    async def beating(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks; while they come, upkeep sees now and then that the request is alive."""
        async for chunk in chunks:
            yield chunk
            silent = time.time_ns() // 1000 - self._intent.touched
            if self._intent.studies and silent > _HEARTBEAT_SECONDS * 1_000_000:
                await self._storage.intents.write(self._intent)

    async def add(self, received: Received) -> None:
        """Takes the next file of the request, and starts to write it when no other comes into the same bundle."""
        self.result.files.append(received)
        if received.row is None:
            return
        key = keys.study_partition(self._partition, received.study)
        identity = (key, received.row.row_key)
        if identity in self._known:
            received.data = None
            _refuse(received)
            return
        self._known.add(identity)
        if key not in self._intent.studies:
            self._intent.studies.add(key)
            await self._storage.intents.write(self._intent)
        self._pending.append(received)
        row = received.row
        self._pending_bytes += len(row.packed_metadata) + len(row.bulk_data) + len(row.frames)
        if received.data is None:
            await self._write([received])
        else:
            if not fits_together(self._bundle, received):
                await self._write_bundle()
            self._bundle.append(received)
        if len(self._pending) >= _COMMIT_EVERY or self._pending_bytes >= _COMMIT_EVERY_BYTES:
            await self.commit()

    async def commit(self) -> None:
        """Makes all files that have arrived visible."""
        await self._write_bundle()
        while self._puts:
            await self._wait(asyncio.ALL_COMPLETED)
        self._committing = True
        by_study: dict[str, list[Received]] = {}
        for item in self._pending:
            by_study.setdefault(keys.study_partition(self._partition, item.study), []).append(item)
        self._pending = []
        self._pending_bytes = 0
        async with asyncio.TaskGroup() as group:
            for key, items in by_study.items():
                group.create_task(self._commit_study(key, items))

    async def _commit_study(self, key: str, items: list[Received]) -> None:
        for batch in batches(items):
            self._batches += 1
            number = self._batches  # commits of other studies go on meanwhile
            tags = await self._storage.query_tags.known(self._storage.change_feed.tags_version)
            for item in batch:
                assert item.row is not None
                item.row = replace(item.row, batch=number)
                if tags.indexed:
                    item.tags = stored_tag_values(item.row, tags.indexed)
            committed = await commit_in_turn(self._storage, key, batch, replacing=self._replacing)
            await self._publish(key, committed, batch)
            await catch_up(self._storage, key, tags)
            await self._remove_superfluous(committed)
            for item in batch:
                if item.row:  # what is left to do is to name it in the answer
                    item.row = replace(item.row, packed_metadata=b"", bulk_data=b"", frames=b"")

    async def _publish(self, key: str, committed: Committed, batch: Sequence[Received]) -> None:
        for row in committed.stored:
            stored_size.record(row.length)
        tags = {item.row.row_key: item.tags for item in batch if item.row}
        lookups = [instance_key(key, row) for row in committed.stored]
        lookups += [name for row in committed.stored for name in instance_keys(key, row, tags[row.row_key])]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._storage.lookups.write(dict.fromkeys(lookups, "{}")))
            group.create_task(publish_stored(self._storage, key, committed.stored))

    async def _remove_superfluous(self, committed: Committed) -> None:
        for item in committed.duplicates:
            _refuse(item)
        superfluous = [item.row for item in (*committed.duplicates, *committed.unchanged) if item.row]
        await remove_files(self._storage.wire, [extent for row in superfluous for extent in row.extents])

    async def end(self) -> None:
        if self._intent.studies:
            await self._storage.intents.done(self._intent)

    async def undo(self) -> None:
        """Removes the blobs of a request that has committed nothing. Otherwise that is for upkeep, which needs the intent:
        it may have done its part before the last blobs were there.
        """
        await asyncio.gather(*self._puts, return_exceptions=True)
        if not self._intent.studies:
            return
        if self._committing:
            await self._storage.intents.write(self._intent)
            return
        async for blob in self._storage.wire.list_blobs(keys.request_prefix(self.id)):
            await self._storage.wire.delete_blob(blob)
        await self._storage.intents.done(self._intent)

    async def _write_bundle(self) -> None:
        if self._bundle:
            await self._write(self._bundle)
            self._bundle = []

    async def _write(self, items: Sequence[Received]) -> None:
        while len(self._puts) >= _PUTS_AT_ONCE:
            await self._wait(asyncio.FIRST_COMPLETED)
        self._puts.add(asyncio.create_task(write_files(self._storage.wire, items)))

    async def _wait(self, until: str) -> None:
        done, _ = await asyncio.wait(self._puts, return_when=until)
        self._puts -= done
        for task in done:
            task.result()


def _refuse(item: Received) -> None:
    """STOW-100, STOW-102; STOW-124: what validation found is of no interest then."""
    item.failure, item.warning, item.comments = ALREADY_EXISTS, None, []
