"""Requests that want to add to the same study take turns; whoever has his turn commits for those who wait behind him.

So clients that send the instances of a study side by side cost a transaction together, not one each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from shared.errors import Unavailable
from shared.services.commit import Committed, Room, commit
from shared.services.receive import Received
from shared.services.settle import settle
from shared.storage.storage import Storage
from shared.storage.wire import TransactionFailed


@dataclass(slots=True, eq=False)
class _Wish:
    """A batch of a request that wants to be committed, and what became of it.

    Once `tried` it may be stored although nobody got to know: then it is committed alone, as `commit` demands.
    """

    batch: Sequence[Received]
    tried: bool = False
    committed: Committed | None = None


_waiting: WeakKeyDictionary[asyncio.Lock, list[_Wish]] = WeakKeyDictionary()
"""By the lock of the study, in the order of the turns."""


async def commit_in_turn(storage: Storage, key: str, batch: Sequence[Received], *, replacing: bool) -> Committed:
    """As `commit` for one batch of a request; when it returns, the lookup rows say what the study says."""
    if replacing:
        async with storage.instances.lock(key):
            return await _commit(storage, key, batch, replacing=True)
    lock, wish = storage.instances.lock(key), _Wish(batch)
    waiting = _waiting.setdefault(lock, [])
    waiting.append(wish)
    try:
        async with lock:
            if wish.committed is None:
                await _commit_together(storage, key, wish, waiting)
    finally:
        waiting.remove(wish)
    assert wish.committed is not None
    return wish.committed


async def _commit_together(storage: Storage, key: str, first: _Wish, waiting: Sequence[_Wish]) -> None:
    """Commits a wish, and with it as many of the others as have room. What one of them breaks is of no harm to the rest:
    those that have not been committed have a turn of their own.
    """
    together = [first]
    if not first.tried:
        room = Room()
        room.take(first.batch)
        together += [wish for wish in waiting if not wish.tried and wish is not first and room.take(wish.batch)]
    for wish in together:
        wish.tried = True
    try:
        committed = await _commit(storage, key, [item for wish in together for item in wish.batch])
    except (Unavailable, TransactionFailed):
        if together == [first]:
            raise
        together = [first]
        committed = await _commit(storage, key, first.batch)
    for wish in together:
        wish.committed = committed.of(wish.batch)


async def _commit(storage: Storage, key: str, received: Sequence[Received], *, replacing: bool = False) -> Committed:
    committed = await commit(storage, key, received, replacing=replacing)
    await settle(storage, key, committed.head, committed.before)
    return committed
