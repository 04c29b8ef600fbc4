"""Pixel data encapsulated, and taken out again (PS3.5 A.4)."""

from __future__ import annotations

from typing import Final

from shared.dicom import tags
from shared.dicom.element_codec import EXPLICIT_VR_LITTLE_ENDIAN, UNDEFINED_LENGTH

_HEADER: Final = EXPLICIT_VR_LITTLE_ENDIAN.header
_EMPTY_OFFSET_TABLE: Final = _HEADER(tags.ITEM, "", 0)

# What precedes the frames, and what follows them.
START: Final = _HEADER(tags.PIXEL_DATA, "OB", UNDEFINED_LENGTH) + _EMPTY_OFFSET_TABLE
END: Final = _HEADER(tags.SEQUENCE_DELIMITATION, "", 0)


def fragment(frame: bytes) -> bytes:
    """A frame as one fragment."""
    padding = len(frame) % 2
    return _HEADER(tags.ITEM, "", len(frame) + padding) + frame + bytes(padding)
