"""Change sets of bulk updates, applied to stored files and metadata while they are read (UPD-53, UPD-56, D-65)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pydicom.valuerep import format_number_as_ds

from shared.dicom import dicom_json
from shared.dicom import vr as vrs
from shared.dicom.dataset_patcher import DatasetPatch, DatasetPatcher
from shared.dicom.deflated_patcher import DeflatedDatasetPatcher
from shared.dicom.element import Element, ScannedFile
from shared.dicom.element_codec import ElementEncoding
from shared.dicom.file_meta import end_of_file_meta, patch_file_meta
from shared.dicom.head import DEFLATED
from shared.dicom.rewriting import Piece
from shared.dicom.tags import SPECIFIC_CHARACTER_SET
from shared.dicom.text_codec import encode_text
from shared.dicom.updatable import UPDATABLE
from shared.errors import InvalidDicom

type Changes = dict[str, dict[str, Any]]
"""Valid elements that replace or join those of an instance: a DICOM JSON object (PS3.18 F.2) keyed by tag."""

_UTF_8: Final = ("ISO_IR 192",)
_TO_UTF_8: Final = {SPECIFIC_CHARACTER_SET: ("CS", _UTF_8[0].encode())}
_LONGEST_DS: Final = 16  # characters (PS3.5 6.2)


@dataclass(frozen=True, slots=True)
class HeadLayout:
    """What must be known of a stored file to patch it."""

    transfer_syntax: str
    head_length: int  # offset of the first top-level element with a tag above (0040,3001), or the length of the file
    character_sets: tuple[str, ...]  # values of SpecificCharacterSet, () when absent
    text_beyond_head: bool  # text behind the head would read differently in another character set
    updatable_beyond_head: bool = False  # the file is out of order: elements to replace may stand behind the head

    @classmethod
    def of(cls, scan: ScannedFile) -> Self:
        """The layout of a file that has been scanned."""
        beyond_head = (element.tag for element in scan.dataset if element.offset >= scan.head_length)
        return cls(
            scan.transfer_syntax,
            scan.head_length,
            tuple(scan.character_sets),
            scan.text_beyond_head,
            any(tag in UPDATABLE or tag == SPECIFIC_CHARACTER_SET for tag in beyond_head),
        )


def merge(earlier: Changes, later: Changes) -> Changes:
    """One change set with the effect of two in turn: whole elements of the later one win (UPD-64)."""
    return dict(sorted({**earlier, **later}.items()))


def switches_to_utf_8(changes: Changes, character_sets: Sequence[str]) -> bool:
    """Whether a data set with these character sets needs another one to hold the changes (D-66)."""
    return _replacements(changes, character_sets)[1]


def patch_metadata(metadata: bytes, changes: Changes, character_sets: Sequence[str]) -> bytes:
    """The metadata of the patched file, from that of the stored file, an element a line (UPD-56).

    `character_sets` are those of the stored file, [] when it has none.
    """
    _, switches = _replacements(changes, character_sets)
    replacements = _encode(changes, _UTF_8) | (_TO_UTF_8 if switches else {})
    elements = [Element(tag, vr, value, 0, 0, len(value)) for tag, (vr, value) in sorted(replacements.items())]
    lines = dicom_json.lines(metadata)
    lines.update(dicom_json.lines(dicom_json.encode(elements, list(_UTF_8), True)))
    return dicom_json.join(lines)


def patches_head_only(layout: HeadLayout, changes: Changes) -> bool:
    """Whether the patched file is what its head becomes, and then the rest of the stored file as it is."""
    return layout.transfer_syntax not in DEFLATED and not _dataset_patch(layout, changes).rewrites_rest


class FilePatcher:
    """Takes a stored file, and gives back its latest version (UPD-53, D-65..D-67).

    Memory is bounded by the longest text value, where text is re-encoded. Its methods raise InvalidDicom when the file is
    shorter than its layout says.
    """

    def __init__(self, layout: HeadLayout, changes: Changes, *, skips: bool = False) -> None:
        """With `skips`, long values that are copied come out as ranges of the stored file, and need not be fed."""
        self._layout = layout
        self._patch = _dataset_patch(layout, changes)
        self._is_deflated = layout.transfer_syntax in DEFLATED
        self._skips = skips and not self._is_deflated
        self._start = bytearray()
        self._patcher: DatasetPatcher | None = None
        self._deflated: DeflatedDatasetPatcher | None = None

    @property
    def wanted(self) -> int:
        """The offset of what is to be fed next."""
        return self._patcher.wanted if self._patcher else len(self._start)

    def feed(self, data: bytes) -> list[Piece]:
        """Takes the next bytes of the stored file, in chunks of any size, and returns what is ready of the patched one."""
        if self._patcher:
            return (self._deflated or self._patcher).feed(data)
        self._start += data
        end = end_of_file_meta(self._start, self._is_deflated)
        if end is None and len(self._start) == self._layout.head_length:  # nothing of the data set is in the head
            end = len(self._start)
        if end is None:
            return []
        self._patcher = DatasetPatcher(self._patch, end, self._layout.head_length, skips=self._skips)
        self._deflated = DeflatedDatasetPatcher(self._patcher) if self._is_deflated else None
        return [patch_file_meta(bytes(self._start[:end])), *self.feed(bytes(self._start[end:]))]

    def finish(self) -> list[Piece]:
        """Returns what is left at the end of the file."""
        if self._patcher is None:
            raise InvalidDicom("The file ends within its File Meta Information.")
        return (self._deflated or self._patcher).finish()


async def patch_file(chunks: AsyncIterator[bytes], layout: HeadLayout, changes: Changes) -> AsyncIterator[bytes]:
    """The latest version of a stored file, from the stored bytes in chunks of any size. Raises what FilePatcher raises."""
    patcher = FilePatcher(layout, changes)
    async for chunk in chunks:
        if patched := _joined(patcher.feed(chunk)):
            yield patched
    if patched := _joined(patcher.finish()):
        yield patched


def _joined(pieces: list[Piece]) -> bytes:
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def _dataset_patch(layout: HeadLayout, changes: Changes) -> DatasetPatch:
    replacements, switches = _replacements(changes, layout.character_sets)
    return DatasetPatch(
        ElementEncoding.of(layout.transfer_syntax),
        replacements,
        recode_from=layout.character_sets if switches else None,
        rewrites_rest=layout.updatable_beyond_head or (switches and layout.text_beyond_head),
    )


def _replacements(changes: Changes, character_sets: Sequence[str]) -> tuple[dict[int, tuple[str, bytes]], bool]:
    """The elements that the changes put into a data set, and whether it switches to UTF-8 to express them (D-66)."""
    try:
        return _encode(changes, character_sets), False
    except UnicodeError:
        return _encode(changes, _UTF_8) | _TO_UTF_8, True


def _encode(changes: Changes, character_sets: Sequence[str]) -> dict[int, tuple[str, bytes]]:
    """The VR and value of each changed element. Raises UnicodeError when the character sets cannot express one."""
    encoded = {}
    for tag, element in changes.items():
        vr, text = element["vr"], _text(element)
        encoded[int(tag, 16)] = (vr, encode_text(text, vr, character_sets if vr in vrs.TEXT else ()))
    return encoded


def _text(element: Mapping[str, Any]) -> str:
    """The value field of an element, as text: values joined by backslashes (PS3.5 6.4)."""
    return "\\".join(_value_text(value) for value in element.get("Value", ()))


def _value_text(value: dict[str, str] | str | float | None) -> str:
    match value:
        case None:
            return ""
        case dict():  # a person name (PS3.18 F.2.2)
            groups = (value.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic"))
            return "=".join(groups).rstrip("=")
        case str():
            return value
        case _:
            text = str(value)
            return text if len(text) <= _LONGEST_DS else format_number_as_ds(float(value))
