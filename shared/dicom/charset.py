"""Decodes text values by the character sets of their data set (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

from shared.dicom.vr import TEXT

_ESCAPE: Final = b"\x1b"
_DEFAULT: Final = "latin_1"  # ISO_IR 6, read leniently

# Code elements: G1 sets share their codec with ASCII in G0; the Japanese ones take the place of ASCII in G0, and their
# codecs want to see the escape sequence.
_G0_CODECS: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_TO_ASCII: Final = b"\x1b(B"
_TO_ROMAJI: Final = b"\x1b(J"
_PIECES: Final = re.compile(rb"(\x1b(?:\$[()].|\$.|[(-/].))", re.DOTALL)

# What returns to the initial state of code extension (PS3.5 6.1.2.5.3).
_CONTROLS: Final = rb"[\t\n\f\r"
_DELIMITERS: Final = {
    "PN": re.compile(_CONTROLS + rb"\\^=]"),
    "LT": re.compile(_CONTROLS + rb"]"),
    "ST": re.compile(_CONTROLS + rb"]"),
    "UT": re.compile(_CONTROLS + rb"]"),
}
_OTHER_DELIMITERS: Final = re.compile(_CONTROLS + rb"\\]")

# Names as some writers spell them.
_MISSPELLINGS: Final = (
    (re.compile(r"ISO[^_]IR.?(\d+)"), r"ISO_IR \1"),
    (re.compile(r"ISO.2022.IR.(\d+)"), r"ISO 2022 IR \1"),
)


class _Codecs(NamedTuple):
    first: str
    by_escape: dict[bytes, str]  # the escape sequences that the character sets allow


def decode(value: bytes, vr: str, character_sets: Sequence[str]) -> str:
    """The text of a value field: all its values, with their delimiters and padding.

    `character_sets` are the values of SpecificCharacterSet, [] when it is absent; only the VRs that it governs look at
    it. Bytes that have no meaning become U+FFFD, escape sequences of undeclared character sets stay as they are.
    """
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii")
    if vr not in TEXT:
        return value.decode(_DEFAULT)
    codecs = _codecs(tuple(character_sets))
    if _ESCAPE not in value or not codecs.by_escape:
        return value.decode(codecs.first, "replace")
    return _decode_extended(value, codecs, _DELIMITERS.get(vr, _OTHER_DELIMITERS))


def split_character_sets(value: bytes) -> list[str]:
    """The values of SpecificCharacterSet from its value field, [] when it has none."""
    values = [each.strip("\0 ") for each in value.decode(_DEFAULT).split("\\")]
    return values if any(values) else []


def _decode_extended(value: bytes, codecs: _Codecs, delimiters: re.Pattern[bytes]) -> str:
    """Text with code extensions: each piece is in the character sets that the escape sequences before it designate."""
    pieces = _PIECES.split(value)
    beside = codecs.first  # what shares its codec with ASCII
    text = [_decode_piece(pieces[0], codecs, beside, delimiters)]
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        codec = codecs.by_escape.get(escape)
        if codec is None:
            text.append(_decode_piece(escape + piece, codecs, beside, delimiters))
        elif codec in _G0_CODECS:
            text.append((escape + piece).decode(codec, "replace"))
        else:
            if escape != _TO_ASCII:
                beside = codec
            text.append(_decode_piece(piece, codecs, beside, delimiters))
        if codec not in _G0_CODECS and delimiters.search(piece):
            beside = codecs.first
    return "".join(text)


def _decode_piece(piece: bytes, codecs: _Codecs, codec: str, delimiters: re.Pattern[bytes]) -> str:
    """A piece without escape sequences; its first delimiter returns to the first character set."""
    delimiter = delimiters.search(piece) if codec != codecs.first else None
    if delimiter is None:
        return piece.decode(codec, "replace")
    end = delimiter.start()
    return piece[:end].decode(codec, "replace") + piece[end:].decode(codecs.first, "replace")


@lru_cache(maxsize=256)
def _codecs(character_sets: tuple[str, ...]) -> _Codecs:
    names = [_corrected(name) for name in character_sets] or [""]
    encodings = [python_encoding.get(name, _DEFAULT) for name in names]
    if (len(names) == 1 and not names[0].startswith("ISO 2022")) or names[0] in STAND_ALONE_ENCODINGS:
        return _Codecs(encodings[0], {})
    by_escape = {escape: encoding for escape, encoding in CODES_TO_ENCODINGS.items() if encoding in encodings}
    # ASCII can always be designated; JIS X 0201 has its Romaji in G0 and its Katakana in G1.
    return _Codecs(encodings[0], {**by_escape, _TO_ASCII: _DEFAULT, _TO_ROMAJI: "shift_jis"})


def _corrected(name: str) -> str:
    if name not in python_encoding:
        for pattern, replacement in _MISSPELLINGS:
            if pattern.fullmatch(name):
                return pattern.sub(replacement, name)
    return name
