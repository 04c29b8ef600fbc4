"""Reads streams ahead of their consumer: the first bytes of the next ones are on their way while one is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

MOST_STREAMS: Final = 64
"""That are read ahead in this process: half of the connections that there are, whoever reads slowly."""

_all_waiting: Final[set[asyncio.Task[Any]]] = set()


async def ahead[T](
    streams: AsyncIterator[tuple[T, AsyncIterator[bytes]]], count: int
) -> AsyncGenerator[tuple[T, AsyncIterator[bytes]]]:
    """The same streams, each with what it belongs to; the first chunks of the next `count` are read already.

    Of just the next one when `MOST_STREAMS` are waiting for others.
    Each has to be read to its end before the next is asked for. An error of a stream is raised when its turn has come.
    """
    waiting: list[asyncio.Task[_Opened[T]]] = []
    exhausted = False
    try:
        while True:
            while not exhausted and (not waiting or (len(waiting) < count and len(_all_waiting) < MOST_STREAMS)):
                try:
                    belonging, stream = await anext(streams)
                except StopAsyncIteration:
                    exhausted = True
                else:
                    waiting.append(asyncio.create_task(_open(belonging, stream)))
                    _all_waiting.add(waiting[-1])
            if not waiting:
                return
            _all_waiting.discard(waiting[0])
            opened = await waiting.pop(0)
            try:
                yield opened.belonging, opened.chunks()
            finally:
                await _close(opened.rest)
    finally:
        _all_waiting.difference_update(waiting)
        for task in waiting:
            task.cancel()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(result, _Opened):
                await _close(result.rest)
        await _close(streams)


@dataclass(slots=True)
class _Opened[T]:
    """A stream whose first chunk has arrived."""

    belonging: T
    first: bytes
    rest: AsyncIterator[bytes]

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.first
        async for chunk in self.rest:
            yield chunk


async def _open[T](belonging: T, stream: AsyncIterator[bytes]) -> _Opened[T]:
    return _Opened(belonging, await anext(stream, b""), stream)


async def _close(iterator: object) -> None:
    close = getattr(iterator, "aclose", None)
    if close:
        await close()
