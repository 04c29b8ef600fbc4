"""Encapsulated values (PS3.5 A.4) as they are read."""

from __future__ import annotations

import struct

from shared.dicom import tags


class FragmentReader:
    """Takes the fragments out of an encapsulated value; their headers and the offset table stay behind.

    It is fed from the value's first byte on, in chunks of any size, until it `is_at_end`.
    """

    def __init__(self, *, is_big_endian: bool) -> None:
        self.is_at_end = False
        self._header = struct.Struct(">HHL" if is_big_endian else "<HHL")
        self._pending = bytearray()
        self._left = 0  # bytes of the current item
        self._items = 0  # that have begun, the first being the offset table

    def feed(self, data: bytes) -> bytes:
        """What of the next bytes is in fragments."""
        self._pending += data
        content = bytearray()
        position = 0
        while not self.is_at_end:
            if self._left:
                piece = self._pending[position : position + self._left]
                if not piece:
                    break
                if self._items > 1:
                    content += piece
                self._left -= len(piece)
                position += len(piece)
            elif len(self._pending) - position < self._header.size:
                break
            else:
                group, number, self._left = self._header.unpack_from(self._pending, position)
                self.is_at_end = group << 16 | number == tags.SEQUENCE_DELIMITATION
                self._items += 1
                position += self._header.size
        del self._pending[:position]
        return bytes(content)
