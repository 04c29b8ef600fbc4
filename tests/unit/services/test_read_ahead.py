"""Streams that are read ahead: how many, and that none is left open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from shared.services.read_ahead import MOST_STREAMS, ahead


class Streams:
    """Streams of two chunks, that are counted while they are open."""

    def __init__(self) -> None:
        self.open = 0

    async def __aiter__(self) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        for number in range(100):
            yield number, self._stream(number)

    async def _stream(self, number: int) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            yield b"%d" % number
            yield b"."
        finally:
            self.open -= 1


async def test_order_and_number() -> None:
    """All come whole and in their order, the next ones begun."""
    streams = Streams()
    found = []
    async for number, chunks in ahead(aiter(streams), 5):
        found.append((number, b"".join([chunk async for chunk in chunks])))
        assert streams.open <= 5
    assert found == [(number, b"%d." % number) for number in range(100)]
    assert streams.open == 0


async def test_slow_readers_leave_some_to_others() -> None:
    """Each has the next stream, however many others wait; when they are gone, there are enough again."""
    all_streams = [Streams() for _ in range(20)]
    readers = [ahead(aiter(streams), 8) for streams in all_streams]
    for reader in readers:
        await anext(reader)
        await anext(reader)
    assert sum(streams.open for streams in all_streams) <= MOST_STREAMS + 2 * len(readers)
    assert all(streams.open for streams in all_streams)
    for reader in readers:
        await reader.aclose()
    assert not any(streams.open for streams in all_streams)
    async with aclosing(ahead(aiter(streams := Streams()), 8)) as reader:
        await anext(reader)
        await anext(reader)
        assert streams.open >= 7
