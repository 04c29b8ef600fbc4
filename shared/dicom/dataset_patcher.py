"""A stored data set with some elements replaced, rewritten while it is read."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.dicom.element_codec import ElementEncoding
from shared.dicom.element_list import EncodedElements, replace, split
from shared.dicom.text_codec import is_plain
from shared.dicom.text_recoder import TextRecoder
from shared.errors import InvalidDicom

_INFLATED_PIECE: Final = 256 * 1024  # bytes inflated at a time, whatever the ratio
_GROUP_LENGTH_SIZE: Final = 12  # bytes of a group length element, header and UL


@dataclass(frozen=True, slots=True)
class DatasetPatch:
    """What to do to a data set."""

    encoding: ElementEncoding
    replacements: Mapping[int, tuple[str, bytes]]  # tag -> VR and value, of even length
    recode_from: tuple[str, ...] | None  # the character sets that all text is re-encoded from, to UTF-8; None: it stays
    rewrites_rest: bool  # elements behind the head are re-encoded or replaced too

    def head(self, head: bytes) -> bytes:
        """The patched form of the head, a number of whole elements."""
        stored = list(split(head, 0, self.encoding))
        replacements = {tag: self.encoding.element(tag, vr, value) for tag, (vr, value) in self.replacements.items()}
        patched = replace([(tag, self._recode(element)) for tag, element in stored], replacements)
        return b"".join(self._with_group_lengths(stored, patched))

    def rest(self) -> TextRecoder | None:
        """What rewrites the elements behind the head; None when they stay as they are."""
        return TextRecoder(self.encoding, self.recode_from, left_out=self.replacements) if self.rewrites_rest else None

    def _recode(self, element: bytes) -> bytes:
        if self.recode_from is None or is_plain(element):
            return element
        recoder = TextRecoder(self.encoding, self.recode_from)
        recoded = recoder.feed(element) + recoder.finish()
        return recoded if recoder.has_recoded else element

    def _with_group_lengths(self, stored: EncodedElements, patched: EncodedElements) -> list[bytes]:
        """The elements with group lengths (PS3.5 7.2) that have grown as their groups have, partly behind the head.

        How the rest will grow is not known when it is rewritten: group lengths are then left out, as they are retired.
        """
        growth = Counter[int]()
        for sign, elements in ((-1, stored), (1, patched)):
            for tag, element in elements:
                growth[tag >> 16] += sign * len(element)
        byte_order = self.encoding.byte_order
        corrected = []
        for tag, element in patched:
            if tag & 0xFFFF:
                corrected.append(element)
            elif not self.rewrites_rest and len(element) == _GROUP_LENGTH_SIZE:
                length = int.from_bytes(element[-4:], byte_order) + growth[tag >> 16]
                corrected.append(element[:-4] + (length & 0xFFFFFFFF).to_bytes(4, byte_order))
        return corrected


class DatasetPatcher:
    """Patches a data set that is fed in chunks: its head at once, the rest as it comes."""

    def __init__(self, patch: DatasetPatch, head_length: int) -> None:
        self._patch = patch
        self._head: bytearray | None = bytearray()
        self._head_length = head_length
        self._rest = patch.rest()

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes of the stored data set, and returns what is ready of the patched one."""
        if self._head is None:
            return self._rest.feed(data) if self._rest else data
        self._head += data
        if len(self._head) < self._head_length:
            return b""
        head, rest = bytes(self._head[: self._head_length]), bytes(self._head[self._head_length :])
        self._head = None
        return self._patch.head(head) + self.feed(rest)

    def finish(self) -> bytes:
        """Returns what is left. Raises InvalidDicom when the stored data set is incomplete."""
        if self._head is not None:
            raise InvalidDicom("The file ends within its head.")
        return self._rest.finish() if self._rest else b""


class DeflatedDatasetPatcher:
    """Inflates a data set, has it patched, and deflates it again (PS3.5 A.5)."""

    def __init__(self, patcher: DatasetPatcher) -> None:
        self._patcher = patcher
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._length = 0

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes of the deflated data set, and returns what is ready of the patched one, deflated."""
        deflated = []
        while inflated := self._inflater.decompress(data, _INFLATED_PIECE):
            deflated.append(self._deflater.compress(self._patcher.feed(inflated)))
            data = self._inflater.unconsumed_tail
        return self._counted(b"".join(deflated))

    def finish(self) -> bytes:
        """Returns what is left, with an even length in all. Raises InvalidDicom when the data set is incomplete."""
        if not self._inflater.eof:
            raise InvalidDicom("The file ends within its deflated data set.")
        rest = self._counted(self._deflater.compress(self._patcher.finish()) + self._deflater.flush())
        return rest + b"\0" if self._length % 2 else rest

    def _counted(self, deflated: bytes) -> bytes:
        self._length += len(deflated)
        return deflated
