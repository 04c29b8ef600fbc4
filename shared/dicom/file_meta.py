"""The preamble and the File Meta Information of a Part 10 file (PS3.10 7.1)."""

from __future__ import annotations

from typing import Final

from shared.dicom import tags
from shared.dicom.element_codec import EXPLICIT_VR_LITTLE_ENDIAN
from shared.dicom.element_list import replace, split
from shared.errors import InvalidDicom

# Who wrote the file (D-67). The UID is derived from a random UUID (PS3.5 B.2) and never changes.
IMPLEMENTATION_CLASS_UID: Final = "2.25.39787918975405681081719257424303329366"
IMPLEMENTATION_VERSION_NAME: Final = "AZDICOMFN_0_1"

PREAMBLE: Final = bytes(128) + b"DICM"
"""The preamble as it is written, and the prefix."""
_GROUP: Final = b"\x02\x00"


def end_of_file_meta(start: bytes | bytearray, is_deflated: bool) -> int | None:
    """The offset of the data set, None when `start`, the first bytes of a file, ends before it.

    A deflated data set may begin like an element of group 0002; then the group length tells them apart.
    """
    offset, end = len(PREAMBLE), None
    while start[offset : offset + 2] == _GROUP and not (is_deflated and offset == end):
        try:
            header = EXPLICIT_VR_LITTLE_ENDIAN.read_header(start, offset)
        except InvalidDicom:
            return None
        value = offset + header.size
        offset = value + header.length
        if header.tag == tags.FILE_META_GROUP_LENGTH:
            end = offset + int.from_bytes(start[value:offset], "little")
    return offset if len(start) >= offset + len(_GROUP) else None


def patch_file_meta(start: bytes, transfer_syntax: str = "") -> bytes:
    """The bytes before the data set with a zero preamble, this implementation's names and the right group length.

    The other elements stay (UPD-75, D-67), but for the transfer syntax if another is given (WADO-56).
    """
    encode = EXPLICIT_VR_LITTLE_ENDIAN.element
    values = [
        (tags.IMPLEMENTATION_CLASS_UID, "UI", IMPLEMENTATION_CLASS_UID, b"\0"),
        (tags.IMPLEMENTATION_VERSION_NAME, "SH", IMPLEMENTATION_VERSION_NAME, b" "),
    ]
    if transfer_syntax:
        values.append((tags.TRANSFER_SYNTAX_UID, "UI", transfer_syntax, b"\0"))
    replacements = {
        tag: encode(tag, vr, value.encode() + padding * (len(value) % 2)) for tag, vr, value, padding in values
    }
    elements = split(start, len(PREAMBLE), EXPLICIT_VR_LITTLE_ENDIAN)
    stored = [(tag, element) for tag, element in elements if tag != tags.FILE_META_GROUP_LENGTH]
    file_meta = b"".join(element for _, element in replace(stored, replacements))
    return PREAMBLE + encode(tags.FILE_META_GROUP_LENGTH, "UL", len(file_meta).to_bytes(4, "little")) + file_meta
