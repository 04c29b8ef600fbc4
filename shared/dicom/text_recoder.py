"""A data set rewritten to ISO_IR 192 while it is read."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.dicom import vr as vrs
from shared.dicom.element_codec import ITEM_START, UNDEFINED_LENGTH, ElementEncoding, Header
from shared.dicom.tags import ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, SPECIFIC_CHARACTER_SET, vr_of
from shared.dicom.text_codec import recode_text
from shared.errors import InvalidDicom

_FRAGMENT_VRS: Final = vrs.BULK - {"UN"}
_HEADER: Final = 8  # bytes of the shortest header


@dataclass(slots=True)
class _Level:
    """The data set, or an open sequence, item or run of fragments."""

    encoding: ElementEncoding
    end: int | None = None  # position in the input; None when a delimiter (or the end of the input) ends it
    delimiter: int = 0  # what the output needs at `end`
    is_fragments: bool = False
    keeps_text: bool = False  # text is not in the character set of the data set


class TextRecoder:
    """Takes the encoded elements of a data set in chunks and gives them back with text in UTF-8.

    Values of other VRs flow through, so memory is bounded by the longest text value. Sequences and items come out with
    undefined length, because the length of their text is not known before they end. Group lengths, which are retired
    (PS3.5 7.2), are left out. Items with a SpecificCharacterSet of their own keep it, and their text.

    `character_sets` None leaves text as it is. Top-level elements whose tag is in `left_out` are dropped.
    """

    def __init__(
        self, encoding: ElementEncoding, character_sets: Sequence[str] | None, left_out: Collection[int] = ()
    ) -> None:
        self._character_sets = character_sets
        self._left_out = left_out
        self._levels = [_Level(encoding, keeps_text=character_sets is None)]
        self._input = bytearray()
        self._output: list[bytes] = []
        self._position = 0  # of the first byte of `_input`
        self._is_between_elements = True
        self.has_recoded = False  # whether some text has changed
        self._steps = self._run()

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes of the data set, and returns what is ready."""
        self._input += data
        next(self._steps)
        ready = b"".join(self._output)
        self._output.clear()
        return ready

    def finish(self) -> bytes:
        """Returns what is left at the end of the data set. Raises InvalidDicom when that is within an element.

        Zeros behind the last element are dropped.
        """
        rest = self.feed(b"")
        if self._input.strip(b"\0") or not self._is_between_elements or len(self._levels) > 1:
            raise InvalidDicom("The file ends within an element.")
        return rest

    def _run(self) -> Generator[None]:
        while True:
            self._close_ended_levels()
            level = self._levels[-1]
            self._is_between_elements = True
            start = yield from self._take(_HEADER)
            self._is_between_elements = False
            if (size := level.encoding.header_size(start)) > _HEADER:
                start += yield from self._take(size - _HEADER)
            yield from self._element(level, level.encoding.read_header(start), start)

    def _element(self, level: _Level, header: Header, encoded_header: bytes) -> Generator[None]:
        vr, within = self._meaning(header)
        if header.tag == ITEM and not level.is_fragments:
            if header.length >= _HEADER:
                within = level.encoding.of_item((yield from self._peek(ITEM_START)))
            self._open(header, encoded_header, _Level(within, keeps_text=level.keeps_text), ITEM_DELIMITATION)
        elif header.tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
            self._output.append(encoded_header)
            if level.end is None and len(self._levels) > 1:
                self._levels.pop()
        elif header.tag & 0xFFFF == 0 or (len(self._levels) == 1 and header.tag in self._left_out):
            yield from self._pass(header.length, is_kept=False)
        elif vr == "SQ":
            self._open(header, encoded_header, _Level(within, keeps_text=level.keeps_text), SEQUENCE_DELIMITATION)
        elif header.length == UNDEFINED_LENGTH:
            self._output.append(encoded_header)
            self._levels.append(_Level(level.encoding, is_fragments=True))
        elif vr in vrs.TEXT and not level.keeps_text and self._character_sets is not None:
            value = yield from self._take(header.length)
            recoded = recode_text(value, vr, self._character_sets)
            self.has_recoded = self.has_recoded or recoded != value
            self._output.append(level.encoding.element(header.tag, header.vr, recoded))
        else:
            level.keeps_text = level.keeps_text or header.tag == SPECIFIC_CHARACTER_SET
            self._output.append(encoded_header)
            yield from self._pass(header.length, is_kept=True)

    def _meaning(self, header: Header) -> tuple[str, ElementEncoding]:
        """The VR to read a value by, and the encoding of its items: UN may hide a known element (PS3.5 6.2.2)."""
        level = self._levels[-1]
        vr = vr_of(header.tag) if header.vr == "UN" else header.vr
        # "OB or OW", "US or OW" and the like, of undefined length, can only be OW.
        if header.length == UNDEFINED_LENGTH and vr[-2:] not in _FRAGMENT_VRS:
            vr = "SQ"
        return vr, level.encoding.within(header)

    def _open(self, header: Header, encoded_header: bytes, level: _Level, delimiter: int) -> None:
        """Enters a sequence or an item, whose length becomes undefined."""
        if header.length != UNDEFINED_LENGTH:
            level.end = self._position + header.length
            level.delimiter = delimiter
        self._output.append(encoded_header[:-4] + b"\xff\xff\xff\xff")
        self._levels.append(level)

    def _close_ended_levels(self) -> None:
        while (level := self._levels[-1]).end is not None and level.end <= self._position:
            self._output.append(level.encoding.header(level.delimiter, "", 0))
            self._levels.pop()

    def _peek(self, length: int) -> Generator[None, None, bytes]:
        """The next `length` bytes of the input, which stay there."""
        while len(self._input) < length:
            yield
        return bytes(self._input[:length])

    def _take(self, length: int) -> Generator[None, None, bytes]:
        """The next `length` bytes of the input."""
        taken = yield from self._peek(length)
        del self._input[:length]
        self._position += length
        return taken

    def _pass(self, length: int, is_kept: bool) -> Generator[None]:
        """Moves a value of `length` bytes to the output, or drops it."""
        while length:
            while not self._input:
                yield
            part = yield from self._take(min(length, len(self._input)))
            if is_kept:
                self._output.append(part)
            length -= len(part)
