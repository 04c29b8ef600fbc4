"""The beginning of files that lack their preamble, prefix or File Meta Information, as some old writers leave them."""

from __future__ import annotations

from typing import Final

from shared.dicom import tags
from shared.dicom.dataset_scanner import DatasetScanner
from shared.dicom.element_codec import EXPLICIT_VR_LITTLE_ENDIAN as META
from shared.dicom.element_codec import ElementEncoding
from shared.dicom.file_meta import PREAMBLE, patch_file_meta
from shared.dicom.head import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from shared.dicom.vr import LONG_LENGTH, SHORT_LENGTH
from shared.errors import InvalidDicom

LONGEST_LOOK: Final = 64 * 1024
"""So many bytes of a bare data set are looked at for what its File Meta Information has to repeat."""

_PREFIX: Final = PREAMBLE[128:]
_VRS: Final = frozenset(vr.encode() for vr in LONG_LENGTH | SHORT_LENGTH)


def missing_beginning(start: bytes, *, is_all: bool) -> bytes | None:
    """What PS3.10 7.1 wants before a file that begins with `start`; nothing if that is there, or nothing can help.

    None when more of the file is needed to tell; `is_all` says that there is no more.
    """
    if len(start) < len(PREAMBLE):
        return b"" if is_all else None
    is_explicit = start[4:6] in _VRS
    if start[128:132] == _PREFIX:
        return b""
    if start[:4] == _PREFIX:
        return PREAMBLE[:128]
    if start[:2] == b"\x02\0" and is_explicit:
        return PREAMBLE
    if start[:2] in (b"\x08\0", b"\0\x08") and len(start) < LONGEST_LOOK and not is_all:
        return None
    if start[:2] == b"\x08\0":
        return _file_meta(start, EXPLICIT_VR_LITTLE_ENDIAN if is_explicit else IMPLICIT_VR_LITTLE_ENDIAN)
    if start[:2] == b"\0\x08" and is_explicit:
        return _file_meta(start, EXPLICIT_VR_BIG_ENDIAN)
    return b""


def _file_meta(start: bytes, transfer_syntax: str) -> bytes:
    """All that comes before a bare data set; its group 0008, which is the first, has the UIDs for it."""
    encoding = ElementEncoding.of(transfer_syntax)
    scanner = DatasetScanner(0, encoding.is_implicit_vr, encoding.is_little_endian, transfer_syntax)
    try:
        scanner.feed(start)
    except InvalidDicom:
        return b""
    values = {element.tag: element.value for element in scanner.elements}
    sop_class, sop_instance = values.get(tags.SOP_CLASS_UID), values.get(tags.SOP_INSTANCE_UID)
    if not isinstance(sop_class, bytes) or not isinstance(sop_instance, bytes):
        return b""
    file_meta = [
        META.element(tags.FILE_META_INFORMATION_VERSION, "OB", b"\0\1"),
        META.element(tags.MEDIA_STORAGE_SOP_CLASS_UID, "UI", sop_class),
        META.element(tags.MEDIA_STORAGE_SOP_INSTANCE_UID, "UI", sop_instance),
    ]
    return patch_file_meta(PREAMBLE + b"".join(file_meta), transfer_syntax)
