"""Bytes that arrive in chunks and go on as they are, less some, and with others between them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from itertools import groupby
from typing import Final

type Piece = bytes | range
"""Bytes, or a range of offsets in the input whose bytes are copied."""

LONG_BYTES: Final = 256 << 10
"""From this length on, what is kept may be a range."""

MAX_HELD_BYTES: Final = 1 << 20
"""How much is held back behind what cannot be written yet."""


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """The same in as few pieces as possible."""
    result: list[Piece] = []
    for kind, group in groupby(pieces, type):
        if kind is bytes:
            result.append(b"".join(piece for piece in group if isinstance(piece, bytes)))
            continue
        for piece in group:
            last = result[-1] if result else b""
            if isinstance(piece, range) and isinstance(last, range) and last.stop == piece.start:
                result[-1] = range(last.start, piece.stop)
            else:
                result.append(piece)
    return result


class Rewriting:
    """What is kept, dropped and put between, in the order of the input.

    The generators yield where they need more of the input, which is then to be fed. No more is held than what they look at.
    """

    def __init__(self, start: int, *, skips: bool) -> None:
        """`start` is the offset of the first byte. With `skips`, what is kept and long need not be fed."""
        self._skips = skips
        self._input = bytearray()
        self._kept = 0  # bytes at the start of `_input` that go to the output
        self._start = start  # of `_input`
        self._copied_to = -1  # the end of the last range in the output; what follows it at once is copied as well
        self._output: list[Piece] = []
        self._held: int | None = None  # where in `_output` the piece is that is held back
        self._held_bytes = 0  # behind it
        self._growth = 0  # since it was held back

    @property
    def position(self) -> int:
        """The offset of what comes next."""
        return self._start + self._kept

    @property
    def wanted(self) -> int:
        """The offset of what is to be fed next."""
        return self._start + len(self._input)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the input."""
        self._input += data

    def ready(self) -> list[Piece]:
        """What the output has since the last call, but for what is held back."""
        self._flush()
        if self._held is None:
            ready, self._output = self._output, []
        else:
            ready, self._output = self._output[: self._held], self._output[self._held :]
            self._held = 0
        return ready

    def at_hand(self) -> tuple[bytearray, int]:
        """The input as far as it was fed, and where in it what comes next begins."""
        return self._input, self._kept

    def peek(self, length: int) -> Generator[None, None, bytes]:
        """The next `length` bytes, which stay there."""
        while len(self._input) - self._kept < length:
            yield
        return bytes(memoryview(self._input)[self._kept : self._kept + length])

    def keep(self, length: int) -> Generator[None]:
        """The next `length` bytes go on as they are."""
        if self._skips and length >= LONG_BYTES:
            self._flush()
            self._copied_to = self._start + length
            self._emit(range(self._start, self._copied_to))
            del self._input[:length]
            self._start = self._copied_to
            return
        while (missing := length - (len(self._input) - self._kept)) > 0:
            self.keep_all()
            length = missing
            yield
        self._kept += length

    def keep_all(self) -> None:
        """All that was fed goes on as it is."""
        self._kept = len(self._input)

    def drop(self, length: int) -> Generator[None]:
        """The next `length` bytes do not go on."""
        self._flush()
        self._growth -= length
        while (missing := length - len(self._input)) > 0:
            self._start += len(self._input)
            self._input.clear()
            length = missing
            yield
        del self._input[:length]
        self._start += length

    def put(self, piece: Piece) -> None:
        """Something goes before what comes next."""
        self._flush()
        self._growth += len(piece)
        self._emit(piece)

    def hold(self, piece: bytes) -> None:
        """Something goes before what comes next, but is held back until its final form is known.

        When too much has come behind it, it is left out.
        """
        self._flush()
        self._held, self._held_bytes, self._growth = len(self._output), 0, 0
        self._output.append(piece)

    def release(self, final: Callable[[bytes, int], bytes]) -> None:
        """Gives what is held back, if anything, its final form, by how much more has come out than in since then."""
        self._flush()
        if self._held is not None:
            piece = self._output[self._held]
            assert isinstance(piece, bytes)
            self._output[self._held] = final(piece, self._growth)
            self._held = None

    def is_nothing_left(self) -> bool:
        """Whether nothing but zeros has been fed and not used."""
        return not self._input[self._kept :].strip(b"\0")

    def _flush(self) -> None:
        if self._kept:
            kept: Piece = bytes(memoryview(self._input)[: self._kept])
            if self._start == self._copied_to:
                kept = range(self._start, self._start + self._kept)
                self._copied_to = kept.stop
            del self._input[: self._kept]
            self._start += self._kept
            self._kept = 0
            self._emit(kept)

    def _emit(self, piece: Piece) -> None:
        self._output.append(piece)
        if self._held is not None:
            self._held_bytes += len(piece)
            if self._held_bytes > MAX_HELD_BYTES:
                del self._output[self._held]
                self._held = None
