"""Text values encoded in the character sets of a data set (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from pydicom.charset import ENCODINGS_TO_CODES, custom_encoders, python_encoding

from shared.dicom.charset import decode

_ESCAPE: Final = b"\x1b"
_ASCII: Final = "ascii"
_DEFAULT_REPERTOIRE: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})

# What returns to the initial character set (PS3.5 6.1.2.5.3): the encoding of each stretch between them stands alone.
_CONTROLS: Final = r"[\t\n\f\r]"
_DELIMITERS: Final = {
    "PN": re.compile(r"([\\^=\t\n\f\r])"),
    "LT": re.compile(rf"({_CONTROLS})"),
    "ST": re.compile(rf"({_CONTROLS})"),
    "UT": re.compile(rf"({_CONTROLS})"),
}
_OTHER_DELIMITERS: Final = re.compile(r"([\\\t\n\f\r])")

# Encodings that take the place of ASCII (in G0) and must give it back; the others stand beside it (in G1).
_IN_G0: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_TO_ASCII: Final = b"\x1b(B"
_TO_ROMAJI: Final = b"\x1b(J"


def is_plain(value: bytes) -> bool:
    """Whether a value reads the same in every character set: ASCII without escape sequences."""
    return value.isascii() and _ESCAPE not in value


def padded(value: bytes) -> bytes:
    """A string value with an even length (PS3.5 6.2)."""
    return value + b" " if len(value) % 2 else value


def recode_text(value: bytes, vr: str, character_sets: Sequence[str]) -> bytes:
    """A text value in UTF-8, with an even length; the same bytes when it is plain ASCII."""
    return value if is_plain(value) else padded(decode(value, vr, character_sets).encode())


def encode_text(text: str, vr: str, character_sets: Sequence[str]) -> bytes:
    """The text in the character sets of SpecificCharacterSet ([] when absent: ASCII), with an even length.

    Raises UnicodeError when they cannot express it, or only so that it reads differently.
    """
    if text.isascii():
        return padded(text.encode(_ASCII))
    encodings = _python_encodings(tuple(character_sets))
    parts = _DELIMITERS.get(vr, _OTHER_DELIMITERS).split(text) if len(encodings) > 1 else [text]
    value = b"".join(_encode_part(part, encodings) for part in parts)
    if decode(value, vr, character_sets) != text:
        raise UnicodeError(f"{character_sets} read the text differently")
    return padded(value)


@lru_cache(maxsize=256)
def _python_encodings(character_sets: tuple[str, ...]) -> list[str]:
    """The codecs of the values of SpecificCharacterSet: the initial one, and those that an escape sequence selects."""
    names = character_sets or ("",)
    first, *others = (_ASCII if name in _DEFAULT_REPERTOIRE else python_encoding.get(name, _ASCII) for name in names)
    return [first, *(other for other in others if other in ENCODINGS_TO_CODES)]


def _encode_part(part: str, encodings: list[str]) -> bytes:
    """A stretch of text without delimiters, with escape sequences where it leaves the first character set."""
    if encodings[0] not in _IN_G0 and _can_encode(part, encodings[0]):
        return _encode_run(part, encodings[0])
    encoded = bytearray()
    is_ascii_displaced = False
    to_first = _TO_ROMAJI if encodings[0] == "shift_jis" else _TO_ASCII
    for encoding, characters in groupby(part, lambda character: _encoding_of(character, encodings)):
        run = "".join(characters)
        encoded_run = _encode_run(run, encoding)
        if is_ascii_displaced:
            encoded += to_first
        is_ascii_displaced = encoding in _IN_G0
        if not is_ascii_displaced and not run.isascii():
            encoded += ENCODINGS_TO_CODES[encoding]
        encoded += encoded_run
    return bytes(encoded + to_first if is_ascii_displaced else encoded)


def _encoding_of(character: str, encodings: list[str]) -> str:
    """The first encoding that has the character; the first of all when none has."""
    return next((encoding for encoding in encodings if _can_encode(character, encoding)), encodings[0])


def _can_encode(text: str, encoding: str) -> bool:
    try:
        _encode_run(text, encoding)
    except UnicodeError:
        return False
    return True


def _encode_run(text: str, encoding: str) -> bytes:
    """The text in one character set, without an escape sequence unless it displaces ASCII."""
    if encoding in _IN_G0:
        return bytes(custom_encoders[encoding](text))
    encoded = text.encode(encoding)
    if encoding == "shift_jis" and len(encoded) != len(text):
        raise UnicodeError("JIS X 0201 (ISO_IR 13) has one byte a character")
    return encoded
