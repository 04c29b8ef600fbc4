"""A stored data set with some elements replaced, and its text in another character set, rewritten while it is read."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final

from shared.dicom import vr as vrs
from shared.dicom.element_codec import ITEM_START, UNDEFINED_LENGTH, ElementEncoding, Header
from shared.dicom.rewriting import Piece, Rewriting
from shared.dicom.tags import ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, SPECIFIC_CHARACTER_SET, vr_of
from shared.dicom.text_codec import recode_text
from shared.errors import InvalidDicom

_FRAGMENT_VRS: Final = vrs.BULK - {"UN"}
_GROUP_LENGTH_BYTES: Final = 4  # of the value of a group length element
_BEHIND_ALL: Final = 1 << 32  # beyond the last tag
_NO_LENGTH: Final = b"\xff\xff\xff\xff"
# A sequence up to this length stays as it is when none of its text is re-encoded.
_SHORT_SEQUENCE_BYTES: Final = 128 << 10


@dataclass(frozen=True, slots=True)
class DatasetPatch:
    """What to do to a data set."""

    encoding: ElementEncoding
    replacements: Mapping[int, tuple[str, bytes]]  # tag -> VR and value, of even length
    recode_from: tuple[str, ...] | None  # the character sets that all text is re-encoded from, to UTF-8; None: it stays
    rewrites_rest: bool  # elements behind the head are re-encoded or replaced too


@dataclass(slots=True)
class _Level:
    """The data set, or an open sequence, item or run of fragments."""

    encoding: ElementEncoding
    keeps_text: bool  # nothing in it is re-encoded
    is_fragments: bool = False
    is_dropped: bool = False
    end: int | None = None  # position in the input; None when a delimiter (or the end of the input) ends it
    delimiter: int = 0  # what the output needs at `end`


class DatasetPatcher:
    """Takes a data set in chunks, and gives back the patched one.

    What stays as it is flows through, so memory is bounded by the longest text value that is re-encoded. Sequences with
    such text come out with undefined length, because its length is not known before they end. Items with a
    SpecificCharacterSet of their own keep it, and their text. Group lengths, which are retired (PS3.5 7.2), grow as their
    groups do; they are left out where the rest is rewritten, and where a group is too long to be held until it has grown.
    """

    def __init__(self, patch: DatasetPatch, position: int, head_length: int, *, skips: bool = False) -> None:
        """`position` is the offset of the data set in the stored file, `head_length` the offset of the end of the head.

        With `skips`, long values that are copied come out as ranges of the stored file, and need not be fed.
        """
        self._patch = patch
        self._pending = sorted(patch.replacements, reverse=True)
        self._groups = {tag >> 16 for tag in patch.replacements}
        self._head_length = head_length
        self._levels = [_Level(patch.encoding, keeps_text=patch.recode_from is None)]
        self._rewriting = Rewriting(position, skips=skips)
        self._group = -1  # of the last element on the top level
        self._is_in_head = True
        self._is_rest_copied = False
        self._is_between_elements = True
        self._steps = self._run()
        self.has_recoded = False
        """Whether some text has changed."""

    @property
    def wanted(self) -> int:
        """The offset in the stored file of what is to be fed next."""
        return self._rewriting.wanted

    def feed(self, data: bytes) -> list[Piece]:
        """Takes the next bytes of the data set, and returns what is ready."""
        if self._is_rest_copied:
            return [data]
        self._rewriting.feed(data)
        next(self._steps, None)
        return self._rewriting.ready()

    def finish(self) -> list[Piece]:
        """Returns what is left at the end of the data set. Raises InvalidDicom when that is within an element, or the head.

        Zeros behind the last element are dropped when the rest is rewritten.
        """
        rest = self.feed(b"")
        if self._is_in_head:
            raise InvalidDicom("The file ends within its head.")
        if not (self._is_between_elements and self._rewriting.is_nothing_left()):
            raise InvalidDicom("The file ends within an element.")
        return rest

    def _run(self) -> Generator[None]:
        while True:
            self._close_ended_levels()
            is_top = self._is_between_elements = len(self._levels) == 1
            if is_top and self._is_in_head and self._rewriting.position >= self._head_length:
                self._end_head()
                if self._is_rest_copied:
                    return
            header = yield from self._header()
            self._is_between_elements = False
            if is_top:
                self._begin(header.tag)
            yield from self._element(header)

    def _begin(self, tag: int) -> None:
        """Puts the replacements that go before or in the place of an element of the top level."""
        while self._pending and self._pending[-1] <= tag:
            replacement = self._pending.pop()
            self._enter_group(replacement >> 16)
            self._rewriting.put(self._patch.encoding.element(replacement, *self._patch.replacements[replacement]))
        self._enter_group(tag >> 16)

    def _enter_group(self, group: int) -> None:
        if group != self._group:
            self._group = group
            self._rewriting.release(self._with_growth)

    def _end_head(self) -> None:
        self._begin(_BEHIND_ALL)
        self._is_in_head = False
        if not self._patch.rewrites_rest:
            self._is_rest_copied = True
            self._rewriting.keep_all()

    def _element(self, header: Header) -> Generator[None]:
        level, is_top = self._levels[-1], len(self._levels) == 1
        is_replaced = is_top and header.tag in self._patch.replacements
        vr, within = _meaning(level, header)
        is_sequence = vr == "SQ" or (header.tag == ITEM and not level.is_fragments)
        whole = header.size + header.length
        if header.tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
            yield from self._keep(header.size)
            if level.end is None and not is_top:
                self._levels.pop()
        elif header.length == UNDEFINED_LENGTH:
            yield from self._enter(level, header, within, is_fragments=not is_sequence, is_dropped=is_replaced)
        elif header.tag & 0xFFFF == 0 and self._is_stale(level, header.tag):
            yield from self._group_length(header)
        elif is_replaced:
            yield from self._rewriting.drop(whole)
        elif level.keeps_text or not (is_sequence or vr in vrs.TEXT):
            level.keeps_text = level.keeps_text or header.tag == SPECIFIC_CHARACTER_SET
            yield from self._keep(whole)
        elif vr in vrs.TEXT:
            yield from self._text(level.encoding, header, vr)
        elif is_top and self._is_in_head and whole <= _SHORT_SEQUENCE_BYTES:
            yield from self._short_sequence(whole)
        else:
            yield from self._enter(level, header, within)

    def _keep(self, length: int) -> Generator[None]:
        is_dropped = self._levels[-1].is_dropped
        return self._rewriting.drop(length) if is_dropped else self._rewriting.keep(length)

    def _text(self, encoding: ElementEncoding, header: Header, vr: str) -> Generator[None]:
        whole = header.size + header.length
        value = (yield from self._rewriting.peek(whole))[header.size :]
        recoded = recode_text(value, vr, self._patch.recode_from or ())
        if recoded == value:
            yield from self._rewriting.keep(whole)
        else:
            self.has_recoded = True
            yield from self._rewriting.drop(whole)
            self._rewriting.put(encoding.element(header.tag, header.vr, recoded))

    def _short_sequence(self, length: int) -> Generator[None]:
        element = yield from self._rewriting.peek(length)
        alone = DatasetPatch(self._patch.encoding, {}, self._patch.recode_from, rewrites_rest=True)
        patcher = DatasetPatcher(alone, 0, 0)
        recoded = patcher.feed(element) + patcher.finish()
        if not patcher.has_recoded:
            yield from self._rewriting.keep(length)
            return
        yield from self._rewriting.drop(length)
        for piece in recoded:
            self._rewriting.put(piece)

    def _enter(
        self,
        level: _Level,
        header: Header,
        within: ElementEncoding,
        *,
        is_fragments: bool = False,
        is_dropped: bool = False,
    ) -> Generator[None]:
        """Enters a sequence, an item or a run of fragments, whose length becomes undefined."""
        if header.tag == ITEM and header.length > ITEM_START:
            within = level.encoding.of_item((yield from self._rewriting.peek(header.size + ITEM_START))[header.size :])
        is_dropped = is_dropped or level.is_dropped
        entered = _Level(within, level.keeps_text or is_fragments or is_dropped, is_fragments, is_dropped)
        self._levels.append(entered)
        if header.length == UNDEFINED_LENGTH:
            yield from self._keep(header.size)
            return
        entered.end = self._rewriting.position + header.size + header.length
        entered.delimiter = ITEM_DELIMITATION if header.tag == ITEM else SEQUENCE_DELIMITATION
        yield from self._rewriting.keep(header.size - len(_NO_LENGTH))
        yield from self._rewriting.drop(len(_NO_LENGTH))
        self._rewriting.put(_NO_LENGTH)

    def _close_ended_levels(self) -> None:
        while (level := self._levels[-1]).end is not None and level.end <= self._rewriting.position:
            self._rewriting.put(level.encoding.header(level.delimiter, "", 0))
            self._levels.pop()

    def _is_stale(self, level: _Level, tag: int) -> bool:
        """Whether what a group length counts may get longer or shorter."""
        is_replaced = self._patch.rewrites_rest or tag >> 16 in self._groups
        return not level.keeps_text or (len(self._levels) == 1 and is_replaced)

    def _group_length(self, header: Header) -> Generator[None]:
        """Holds a group length back until its group ends, if that is before the end of the head; else drops it."""
        whole = header.size + header.length
        if len(self._levels) > 1 or self._patch.rewrites_rest or header.length != _GROUP_LENGTH_BYTES:
            yield from self._rewriting.drop(whole)
            return
        element = yield from self._rewriting.peek(whole)
        yield from self._rewriting.drop(whole)
        self._rewriting.hold(element)

    def _with_growth(self, group_length: bytes, growth: int) -> bytes:
        byte_order = self._patch.encoding.byte_order
        length = int.from_bytes(group_length[-_GROUP_LENGTH_BYTES:], byte_order) + growth
        value = (length & 0xFFFFFFFF).to_bytes(_GROUP_LENGTH_BYTES, byte_order)
        return group_length[:-_GROUP_LENGTH_BYTES] + value

    def _header(self) -> Generator[None, None, Header]:
        while True:
            try:
                return self._levels[-1].encoding.read_header(*self._rewriting.at_hand())
            except InvalidDicom:
                yield


def _meaning(level: _Level, header: Header) -> tuple[str, ElementEncoding]:
    """The VR to read a value by, and the encoding of its items: UN may hide a known element (PS3.5 6.2.2)."""
    vr = vr_of(header.tag) if header.vr == "UN" else header.vr
    # "OB or OW", "US or OW" and the like, of undefined length, can only be OW.
    if header.length == UNDEFINED_LENGTH and vr[-2:] not in _FRAGMENT_VRS:
        vr = "SQ"
    return vr, level.encoding.within(header)
