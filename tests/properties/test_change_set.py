"""Any valid change set on any file: what is changed reads as asked for, and nothing else changes (UPD-53, D-66)."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from shared.dicom import rewriting
from shared.dicom.change_set import Changes, FilePatcher, HeadLayout, merge, patch_metadata, patches_head_only
from shared.dicom.rewriting import Piece, merged
from shared.dicom.tags import SPECIFIC_CHARACTER_SET
from shared.dicom.updatable import UPDATABLE
from tests.patching import (
    CHARACTER_SETS,
    TRANSFER_SYNTAXES,
    build,
    differences,
    metadata,
    patch,
    read,
    scan,
)


@cache
def sample(character_set: str, transfer_syntax: UID, undefined_length: bool) -> bytes:
    return build(*CHARACTER_SETS[character_set], transfer_syntax, undefined_length)


files = st.builds(
    sample, st.sampled_from(list(CHARACTER_SETS)), st.sampled_from(list(TRANSFER_SYNTAXES.values())), st.booleans()
)

ALPHABETS = ["abcXYZ019-.", "äöüÉñß", "Ωμέγα", "Жанна", "山田太郎やまだ", "ﾔﾏﾀﾞ", "홍길동", "aé山 홍Ωж", "😀𠮷"]
words = (
    st.sampled_from(ALPHABETS)
    .flatmap(lambda alphabet: st.text(alphabet, min_size=1, max_size=8))
    .map(str.strip)
    .filter(bool)
)
components = st.lists(words, min_size=1, max_size=3).map("^".join)
person_names = st.fixed_dictionaries({}, optional=dict.fromkeys(("Alphabetic", "Ideographic", "Phonetic"), components))


def values(vr: str) -> st.SearchStrategy[list[object]]:
    """The `Value` of an element, [] for an empty one."""
    match vr:
        case "PN":
            return st.lists(person_names.filter(bool), max_size=2)
        case "DS":
            return st.lists(st.integers(0, 300) | st.sampled_from([1.75, 72.5]), max_size=1)
        case "LO" | "SH":
            return st.lists(words, max_size=2)
        case "LT":
            return st.lists(words, max_size=1)
        case _:
            fitting = {"CS": ["F", "YES", "A_1"], "DA": ["19700131"], "TM": ["101112.5"], "AS": ["042Y"]}
            return st.lists(st.sampled_from(fitting[vr]), max_size=1)


def json_element(vr: str, value: list[object]) -> dict[str, object]:
    return {"vr": vr, "Value": value} if value else {"vr": vr}


@st.composite
def change_sets(draw: st.DrawFn) -> Changes:
    tags = draw(st.sets(st.sampled_from(sorted(UPDATABLE)), min_size=1, max_size=5))
    return {f"{tag:08X}": json_element(UPDATABLE[tag], draw(values(UPDATABLE[tag]))) for tag in tags}


def expected(element: dict[str, object]) -> list[str]:
    """The values of an element as pydicom gives them in text."""
    found: list[str] = []
    for value in element.get("Value", []):  # type: ignore[attr-defined]
        if isinstance(value, dict):
            groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
            found.append("=".join(groups).rstrip("="))
        else:
            found.append(str(value))
    return found


@given(file=files, changes=change_sets(), chunk_sizes=st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_change_set(file: bytes, changes: Changes, chunk_sizes: list[int]) -> None:
    patched = patch(file, changes)
    before, after = read(file), read(patched)

    for tag, element in changes.items():
        found = after[int(tag, 16)]
        assert element["vr"] == found.VR
        values = [] if found.is_empty else found.value if found.VM > 1 else [found.value]
        assert [str(value) for value in values] == expected(element)

    changed = {int(tag, 16) for tag in changes}
    if after.get("SpecificCharacterSet") == "ISO_IR 192":
        changed.add(SPECIFIC_CHARACTER_SET)
    assert differences(before, after, changed) == []

    assert patch(file, changes, chunk_sizes) == patched

    scanned = scan(file)
    assert patch_metadata(metadata(scanned), changes, scanned.character_sets) == metadata(scan(patched))


@given(file=files, changes=change_sets(), long=st.integers(1, 300), chunk_size=st.integers(1, 500))
def test_pieces_of_the_patched_file(file: bytes, changes: Changes, long: int, chunk_size: int) -> None:
    """D-29: whatever counts as long and need not be read, the pieces are those of the patched file."""
    layout = HeadLayout.of(scan(file))
    if not patches_head_only(layout, changes):
        return
    pieces: list[Piece] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rewriting, "LONG_BYTES", long)
        patcher = FilePatcher(layout, changes, skips=True)
        while (begin := patcher.wanted) < layout.head_length:
            pieces += patcher.feed(file[begin : min(begin + chunk_size, layout.head_length)])
        pieces = merged([*pieces, *patcher.finish(), range(layout.head_length, len(file))])
    whole = b"".join(file[piece.start : piece.stop] if isinstance(piece, range) else piece for piece in pieces)
    assert whole == patch(file, changes)


@given(file=files, earlier=change_sets(), later=change_sets())
def test_merged_change_sets_read_like_one_after_the_other(file: bytes, earlier: Changes, later: Changes) -> None:
    """UPD-64. The character set may differ: one that only a replaced value needed is not needed any more."""
    in_turn, merged = patch(patch(file, earlier), later), patch(file, merge(earlier, later))
    assert differences(read(in_turn), read(merged), {SPECIFIC_CHARACTER_SET}) == []
