"""Change sets of bulk updates, applied to stored files and metadata while they are read (UPD-53, UPD-56, D-65)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pydicom.valuerep import format_number_as_ds

from shared.dicom import dicom_json
from shared.dicom import vr as vrs
from shared.dicom.dataset_patcher import DatasetPatch, DatasetPatcher, DeflatedDatasetPatcher
from shared.dicom.element import Element, ScannedFile
from shared.dicom.element_codec import ElementEncoding
from shared.dicom.file_meta import end_of_file_meta, patch_file_meta
from shared.dicom.head import DEFLATED
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
    """Whether the patched file is what `patch_head` makes of its head, and then the rest of the stored file."""
    return layout.transfer_syntax not in DEFLATED and not _dataset_patch(layout, changes).rewrites_rest


def patch_head(head: bytes, layout: HeadLayout, changes: Changes) -> bytes:
    """The patched form of a file's first `layout.head_length` bytes (of a deflated file: with an inflated data set)."""
    start = end_of_file_meta(head, layout.transfer_syntax in DEFLATED) or layout.head_length
    return patch_file_meta(head[:start]) + _dataset_patch(layout, changes).head(head[start:])


async def patch_file(chunks: AsyncIterator[bytes], layout: HeadLayout, changes: Changes) -> AsyncIterator[bytes]:
    """The latest version of a stored file, from the stored bytes in chunks of any size (UPD-53, D-65..D-67).

    Memory is bounded by the head and, where text behind it is re-encoded, by the longest text value.
    Raises InvalidDicom when the file is shorter than its layout says.
    """
    patcher: DatasetPatcher | DeflatedDatasetPatcher | None = None
    start = bytearray()
    async for chunk in chunks:
        patched = b""
        if patcher is None:
            start += chunk
            if (end := end_of_file_meta(start, layout.transfer_syntax in DEFLATED)) is None:
                continue
            patcher = _dataset_patcher(layout, end, changes)
            patched, chunk = patch_file_meta(bytes(start[:end])), bytes(start[end:])
        if patched := patched + patcher.feed(chunk):
            yield patched
    if patcher is None:
        raise InvalidDicom("The file ends within its File Meta Information.")
    if patched := patcher.finish():
        yield patched


def _dataset_patcher(layout: HeadLayout, start: int, changes: Changes) -> DatasetPatcher | DeflatedDatasetPatcher:
    patcher = DatasetPatcher(_dataset_patch(layout, changes), layout.head_length - start)
    return DeflatedDatasetPatcher(patcher) if layout.transfer_syntax in DEFLATED else patcher


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
