"""Text in the character sets of PS3.5, byte for byte as its examples have it."""

from __future__ import annotations

import pytest

from shared.dicom.text_codec import encode_text, recode_text

EXAMPLES = {
    "PS3.5 H.3.1": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B ",
    ),
    "PS3.5 H.3.2": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J ",
    ),
    "PS3.5 I.2": (
        ["", "ISO 2022 IR 149"],
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf ",
    ),
    "PS3.5 J.1": (["ISO_IR 192"], "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c "),
    "PS3.5 J.3": (["GB18030"], "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab "),
    "mixed stretch": (["", "ISO 2022 IR 87"], "CT 胸部 1", b"CT \x1b$B6;It\x1b(B 1"),
    "kanji first": (["ISO 2022 IR 87"], "山田", b"\x1b$B;3ED\x1b(B "),
}


@pytest.mark.parametrize(("character_sets", "text", "encoded"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples(character_sets: list[str], text: str, encoded: bytes) -> None:
    found = encode_text(text, "PN", character_sets)
    assert found.rstrip(b" ") == encoded.rstrip(b" ")
    assert len(found) % 2 == 0
    assert recode_text(found, "PN", character_sets).decode().rstrip(" ") == text


@pytest.mark.parametrize(
    ("character_sets", "text"),
    [
        ([], "é"),
        (["ISO_IR 6"], "é"),
        (["ISO_IR 100"], "Ω"),
        (["ISO_IR 13"], "山田"),
        (["ISO_IR 13"], "¥"),
        (["ISO 2022 IR 100", "ISO 2022 IR 6"], "Ω"),
        (["ISO 2022 IR 126", "ISO 2022 IR 6"], "é"),
        (["GBK"], "😀"),
        (["unknown"], "é"),
    ],
)
def test_text_that_cannot_be_expressed(character_sets: list[str], text: str) -> None:
    with pytest.raises(UnicodeError):
        encode_text(text, "LO", character_sets)
