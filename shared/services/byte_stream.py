"""Bytes that arrive in chunks, read by length."""

from __future__ import annotations

from collections.abc import AsyncIterator


class EndOfStream(Exception):
    """The stream has ended before what was asked for."""


class ByteStream:
    """Reads from an iterator of chunks, and never more of it than needed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()

    async def read(self, length: int) -> bytes:
        """The next `length` bytes. Raises EndOfStream when there are fewer."""
        while len(self._buffer) < length:
            self._buffer += await self._next()
        taken = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return taken

    async def pieces(self, length: int) -> AsyncIterator[bytes]:
        """The next `length` bytes as they come. Raises EndOfStream when there are fewer."""
        while length:
            piece = await self.any() if len(self._buffer) <= length else await self.read(length)
            if len(piece) > length:
                self.put_back(piece[length:])
                piece = piece[:length]
            length -= len(piece)
            yield piece

    async def any(self) -> bytes:
        """Whatever comes next. Raises EndOfStream at the end."""
        if not self._buffer:
            return await self._next()
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def put_back(self, data: bytes) -> None:
        """Makes `data` the bytes that come next."""
        self._buffer[:0] = data

    async def rest(self, most: int) -> bytes:
        """All bytes that are left; of more than `most` of them, somewhat more than `most`."""
        while len(self._buffer) <= most:
            try:
                self._buffer += await self._next()
            except EndOfStream:
                break
        return await self.read(len(self._buffer))

    async def skip_rest(self) -> None:
        """Passes over all bytes that are left."""
        self._buffer.clear()
        async for _ in self._chunks:
            pass

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            return chunk
        raise EndOfStream
