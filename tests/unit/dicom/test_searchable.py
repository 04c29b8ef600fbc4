"""How values are compared (shared/dicom/searchable.py)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.searchable import fold

TEXT_VRS = ("AE", "CS", "LO", "PN", "SH")


@given(st.text(max_size=20), st.sampled_from(TEXT_VRS), st.sampled_from(["", " ", "\0", " \0 "]))
def test_case_form_and_padding_never_count(value: str, vr: str, padding: str) -> None:
    """QIDO-60, QIDO-61, QIDO-80: canonical caseless matching (Unicode 3.13, D145); a folded value stays as it is."""
    folded = fold(value, vr)
    decomposed = unicodedata.normalize("NFD", value)
    for other in (folded, decomposed, unicodedata.normalize("NFC", value), decomposed.casefold()):
        assert fold(other, vr) == folded
    assert fold(f"  {value}{padding}", vr) == folded


@pytest.mark.parametrize(
    ("value", "other"),
    [("Straße", "STRASSE"), ("ΑΣ", "ας"), ("\u03b1\u0345\u0313", "\u1f80"), ("ﬁ", "FI"), ("İ", "i\u0307"), ("Ǆ", "ǆ")],
)
def test_letters_that_differ_in_case_alone(value: str, other: str) -> None:
    """QIDO-60: in every script, however they are composed."""
    assert fold(value, "LO") == fold(other, "LO")


def test_accents_count_but_in_names() -> None:
    """QIDO-60, QIDO-61."""
    assert fold("Ünal", "PN") == fold("unal", "PN")
    assert fold("Ünal", "LO") != fold("unal", "LO")
