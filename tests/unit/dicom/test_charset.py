"""Text in the character sets of PS3.3 C.12.1.1.2. The specimens are those of PS3.5 annexes H to K."""

from __future__ import annotations

import json

import pytest

from shared.dicom import dicom_json, tags
from shared.dicom.charset import decode, split_character_sets
from shared.dicom.element import Element

ESCAPE = b"\x1b"
KANJI, ASCII, ROMAJI = b"\x1b$B", b"\x1b(B", b"\x1b(J"
KOREAN, CHINESE = b"\x1b$)C", b"\x1b$)A"

SPECIMENS = {
    "H.3.1": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou="
        + KANJI
        + b";3ED"
        + ASCII
        + b"^"
        + KANJI
        + b"B@O:"
        + ASCII
        + b"="
        + KANJI
        + b"$d$^$@"
        + ASCII
        + b"^"
        + KANJI
        + b"$?$m$&"
        + ASCII,
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3="
        + KANJI
        + b";3ED"
        + ROMAJI
        + b"^"
        + KANJI
        + b"B@O:"
        + ROMAJI
        + b"="
        + KANJI
        + b"$d$^$@"
        + ROMAJI
        + b"^"
        + KANJI
        + b"$?$m$&"
        + ROMAJI,
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "I.2": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong="
        + KOREAN
        + b"\xfb\xf3^"
        + KOREAN
        + b"\xd1\xce\xd4\xd7="
        + KOREAN
        + b"\xc8\xab^"
        + KOREAN
        + b"\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "J.1": (
        ["ISO_IR 192"],
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    "J.3": (["GB18030"], b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    "K.2": (
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=" + CHINESE + b"\xd5\xc5^" + CHINESE + b"\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
}


@pytest.mark.parametrize(("character_sets", "value", "text"), SPECIMENS.values(), ids=SPECIMENS.keys())
def test_specimens_of_the_standard(character_sets: list[str], value: bytes, text: str) -> None:
    assert decode(value, "PN", character_sets) == text


@pytest.mark.parametrize(("character_sets", "value", "text"), SPECIMENS.values(), ids=SPECIMENS.keys())
def test_specimens_in_json(character_sets: list[str], value: bytes, text: str) -> None:
    """PS3.18 F.2.2: in UTF-8, each group by itself, those that are empty left out."""
    names = "\\".join(character_sets).encode()
    element = Element(tags.PATIENT_NAME, "PN", value, 0, 0, len(value))
    charset = Element(tags.SPECIFIC_CHARACTER_SET, "CS", names, 0, 0, len(names))
    encoded = dicom_json.encode([charset, element], split_character_sets(names), True)
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    assert json.loads(encoded)["00100010"] == {"vr": "PN", "Value": [{name: group for name, group in groups if group}]}


def test_korean_long_text() -> None:
    """PS3.5 I.3: each line designates the character set anew."""
    value = KOREAN + b"The first \xb1\xe6\xb5\xbf.\r\n" + KOREAN + b"The second \xb1\xe6\xb5\xbf.\r\nThird"
    assert decode(value, "LT", ["", "ISO 2022 IR 149"]) == "The first 길동.\r\nThe second 길동.\r\nThird"


def test_chinese_long_text() -> None:
    """PS3.5 K.3."""
    value = CHINESE + b"1.\xb5\xda\xd2\xbb\xd0\xd0\r\n" + CHINESE + b"2.\xb5\xda\xb6\xfe\xd0\xd0\r\n"
    assert decode(value, "LT", ["", "ISO 2022 IR 58"]) == "1.第一行\r\n2.第二行\r\n"


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO_IR 101", b"W\xb3odzimierz", "Włodzimierz"),
        ("ISO_IR 110", b"\xc4nne", "Änne"),
        ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
        ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
        ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
        ("ISO_IR 144", b"\xbb\xee\xda", "Люк"),
        ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
        ("ISO_IR 166", b"\xb9\xd2\xc2", "นาย"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
        ("GBK", b"\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东"),
        ("", b"J\xe9r\xf4me", "Jérôme"),
        ("no such set", b"J\xe9r\xf4me", "Jérôme"),
        ("ISO-IR 100", b"J\xe9r\xf4me", "Jérôme"),
        ("ISO IR 192", b"J\xc3\xa9r\xc3\xb4me", "Jérôme"),
    ],
)
def test_single_character_sets(character_set: str, value: bytes, text: str) -> None:
    assert decode(value, "LO", [character_set]) == text


@pytest.mark.parametrize(("vr", "text"), [("PN", "Люк^Jé"), ("LO", "Люк^Jщ"), ("UT", "Люк^Jщ")])
def test_only_names_return_to_the_first_character_set_at_a_caret(vr: str, text: str) -> None:
    """PS3.5 6.1.2.5.3."""
    assert decode(b"\x1b-L\xbb\xee\xda^J\xe9", vr, ["ISO 2022 IR 100", "ISO 2022 IR 144"]) == text


@pytest.mark.parametrize(("vr", "text"), [("LO", "Люк\\Jé"), ("LT", "Люк\\Jщ")])
def test_only_multiple_values_return_to_the_first_character_set_at_a_backslash(vr: str, text: str) -> None:
    assert decode(b"\x1b-L\xbb\xee\xda\\J\xe9", vr, ["ISO 2022 IR 100", "ISO 2022 IR 144"]) == text


def test_ascii_stands_beside_the_current_character_set() -> None:
    assert decode(b"\x1b-L\xbb\x1b(B\xee\xda", "LO", ["ISO 2022 IR 100", "ISO 2022 IR 144"]) == "Люк"


def test_delimiters_within_two_byte_characters_are_none() -> None:
    assert decode(KANJI + b"0\\0^0=" + ASCII + b"^x", "PN", ["", "ISO 2022 IR 87"]) == "移緯綾^x"
    assert decode("誠\\".encode("gb18030"), "LO", ["GB18030"]) == "誠\\"


def test_supplementary_kanji() -> None:
    assert decode(b"\x1b$(D\x30\x21" + ASCII + b"x", "LO", ["", "ISO 2022 IR 159"]) == "丂x"


def test_undeclared_escape_sequences_stay() -> None:
    assert decode(KOREAN + b"\xfb\xf3", "LO", ["", "ISO 2022 IR 87"]) == "\x1b$)Cûó"
    assert decode(KANJI + b";3", "LO", ["ISO_IR 192"]) == "\x1b$B;3"
    assert decode(KANJI + b";3", "LO", []) == "\x1b$B;3"


def test_meaningless_bytes_are_replaced() -> None:
    assert decode(b"J\xe9r", "LO", ["ISO_IR 192"]) == "J\N{REPLACEMENT CHARACTER}r"
    assert decode(KANJI + b"\x7f\x7f" + ASCII, "LO", ["", "ISO 2022 IR 87"]).startswith("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("vr", ["AE", "CS", "DA", "UI", "UR"])
def test_other_vrs_do_not_depend_on_the_character_set(vr: str) -> None:
    assert decode(b"J\xc3\xa9", vr, ["ISO_IR 192"]) == "JÃ©"


def test_padding_and_delimiters_are_kept() -> None:
    assert decode(b"A \\B\0", "LO", ["ISO_IR 192"]) == "A \\B\0"


@pytest.mark.parametrize(
    ("value", "character_sets"),
    [
        (b"ISO_IR 100", ["ISO_IR 100"]),
        (b"\\ISO 2022 IR 87 ", ["", "ISO 2022 IR 87"]),
        (b"ISO 2022 IR 6 \\ISO 2022 IR 87\0", ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
        (b"", []),
        (b"  ", []),
    ],
)
def test_values_of_specific_character_set(value: bytes, character_sets: list[str]) -> None:
    assert split_character_sets(value) == character_sets
