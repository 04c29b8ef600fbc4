"""UIDs in paths and bodies (STOW-51, WADO-11)."""

from __future__ import annotations

import re

import pytest

from shared.dicom.identifiers import check_uid, is_uid
from shared.errors import BadRequest


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008.1.2", "0.1.02", "..1", ".5", "1..2", "9" * 64, "1." * 31 + "12"])
def test_stow51_digits_and_dots_that_end_in_a_digit(uid: str) -> None:
    assert check_uid(uid, "StudyInstanceUID") == uid
    assert is_uid(uid)


@pytest.mark.parametrize("spaces", [" ", "   ", " " * 100])
def test_wado11_trailing_spaces_are_trimmed(spaces: str) -> None:
    assert check_uid(f"1.2{spaces}", "SOPInstanceUID") == "1.2"
    assert check_uid("9" * 64 + spaces, "SOPInstanceUID") == "9" * 64


@pytest.mark.parametrize(
    "uid",
    ["", " ", ".", "1.", "1.2.", "a", "1.a.2", " 1", "1 2", "1\t", "1\n", "1.2\0", "1,2", "-1", "9" * 65, "1.٣", "²"],
)
def test_stow51_everything_else_is_rejected(uid: str) -> None:
    text = (
        "Dicom element 'SeriesInstanceUID' failed validation for VR 'UI': DICOM Identifier is invalid. "
        "Value length should not exceed the maximum length of 64 characters. "
        "Value should contain characters in '0'-'9' and '.'. Each component must start with non-zero number."
    )
    with pytest.raises(BadRequest, match=f"^{re.escape(text)}$"):
        check_uid(uid, "SeriesInstanceUID")
    assert not is_uid(uid)
