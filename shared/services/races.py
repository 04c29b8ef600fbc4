"""Commits are conditional: whoever loses a race reads again and tries again, a limited number of times.

So does a reader who finds that what he reads has changed under his hands.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from shared.errors import Unavailable
from shared.storage.wire import TransactionFailed

ATTEMPTS = range(20)

_LONGEST_PAUSE_SECONDS = 0.1
_READ_ATTEMPTS = range(4)


async def lost(error: TransactionFailed, attempt: int) -> None:
    """Waits a moment, longer after each attempt. Raises `error` if no other writer is the reason."""
    if not error.is_race:
        raise error
    await asyncio.sleep(random.uniform(0, min(0.01 * attempt, _LONGEST_PAUSE_SECONDS)))


def contended() -> Unavailable:
    """The error after the last attempt."""
    return Unavailable("Too many requests change this study at the same time.")


class StudyChanged(Unavailable):
    """Instances that were there when a reader began have been deleted or replaced since."""


async def steadily[T](read: Callable[[], Awaitable[T]]) -> T:
    """What `read` returns once it was not disturbed by other requests. Raises its last StudyChanged."""
    for attempt in _READ_ATTEMPTS:
        try:
            return await read()
        except StudyChanged:
            await asyncio.sleep(0.01 * 2**attempt)
    return await read()
