"""A deflated data set (PS3.5 A.5), patched while it is read."""

from __future__ import annotations

import zlib
from typing import Final

from shared.dicom.dataset_patcher import DatasetPatcher
from shared.dicom.rewriting import Piece
from shared.errors import InvalidDicom

_INFLATED_PIECE: Final = 256 * 1024  # bytes inflated at a time, whatever the ratio


class DeflatedDatasetPatcher:
    """Inflates a data set, has it patched, and deflates it again. The patcher skips nothing."""

    def __init__(self, patcher: DatasetPatcher) -> None:
        self._patcher = patcher
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._length = 0

    def feed(self, data: bytes) -> list[Piece]:
        """Takes the next bytes of the deflated data set, and returns what is ready of the patched one, deflated."""
        deflated: list[Piece] = []
        while inflated := self._inflater.decompress(data, _INFLATED_PIECE):
            deflated += self._deflated(self._patcher.feed(inflated))
            data = self._inflater.unconsumed_tail
        return deflated

    def finish(self) -> list[Piece]:
        """Returns what is left, with an even length in all. Raises InvalidDicom when the data set is incomplete."""
        if not self._inflater.eof:
            raise InvalidDicom("The file ends within its deflated data set.")
        rest = [*self._deflated(self._patcher.finish()), self._counted(self._deflater.flush())]
        return [*rest, b"\0"] if self._length % 2 else rest

    def _deflated(self, pieces: list[Piece]) -> list[Piece]:
        return [self._counted(self._deflater.compress(piece)) for piece in pieces if isinstance(piece, bytes)]

    def _counted(self, deflated: bytes) -> bytes:
        self._length += len(deflated)
        return deflated
