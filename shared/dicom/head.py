"""Scans a DICOM Part 10 file while it arrives: all that the service wants to know, without holding its bulk."""

from __future__ import annotations

import zlib
from struct import unpack_from
from typing import Final

from shared.dicom import tags, vr
from shared.dicom.charset import split_character_sets
from shared.dicom.dataset_scanner import DatasetScanner
from shared.dicom.element import Element, Fragment, Item, PixelData, ScannedFile
from shared.dicom.identifiers import is_uid
from shared.errors import InvalidDicom

__all__ = ["Element", "Fragment", "HeadScanner", "Item", "PixelData", "ScannedFile"]

MAX_FILE_META_BYTES: Final = 1 << 20
# Of a data set that is deflated; elements cannot refer to more than this anyway.
MAX_INFLATED_BYTES: Final = 1 << 32

_PREFIX: Final = slice(128, 132)
_GROUP: Final = b"\x02\x00"
_INFLATED_PIECE: Final = 256 << 10

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
# Deflated explicit VR little endian, and the JPIP syntaxes that deflate the data set (PS3.5 A.5, A.7, A.14).
DEFLATED: Final = frozenset({DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


class HeadScanner:
    """Takes a file apart while its bytes arrive, in chunks of any size. Its memory is bounded whatever the input.

    Bulk values and values above 1 MiB are passed over. Raises InvalidDicom as soon as it is certain that the bytes are
    not a Part 10 file that can be stored (STOW-27, STOW-40).
    """

    def __init__(self) -> None:
        self._length = 0
        self._start = bytearray()  # what was fed, until the data set begins
        self._offset = _PREFIX.stop  # of the next file meta element
        self._file_meta: list[Element] = []
        self._file_meta_end: int | None = None  # as the group length has it
        self._transfer_syntax = ""
        self._dataset: DatasetScanner | None = None
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the file."""
        self._length += len(data)
        if self._dataset is not None:
            self._feed_dataset(self._dataset, data)
            return
        self._start += data
        if len(self._start) >= _PREFIX.stop:
            self._read_file_meta()

    @property
    def pixel_data(self) -> PixelData | None:
        """The pixel data, as soon as its header was fed; complete when `finish` has been called."""
        return self._dataset.pixel_data if self._dataset else None

    def finish(self) -> ScannedFile:
        """Declares the end of the file, and returns what is known of it.

        Raises InvalidDicom when the file is not complete.
        """
        if self._dataset is None:
            if self._start[_PREFIX] != b"DICM":
                raise InvalidDicom("The file is empty." if not self._length else "The prefix DICM is missing.")
            if len(self._start) - self._offset >= len(_GROUP):
                raise InvalidDicom("The file ends within its File Meta Information.")
        dataset = self._dataset or self._begin_dataset()
        if self._is_deflated and not self._inflater.eof:
            raise InvalidDicom("The file ends within its deflated data set.")
        dataset.finish()
        assert dataset.head_length is not None
        return ScannedFile(
            file_meta=self._file_meta,
            dataset=dataset.elements,
            transfer_syntax=self._transfer_syntax,
            is_implicit_vr=self._is_implicit_vr,
            is_little_endian=self._is_little_endian,
            is_deflated=self._is_deflated,
            length=self._length,
            head_length=dataset.head_length,
            pixel_data=dataset.pixel_data,
            character_sets=_character_sets(dataset.elements),
            kept_bytes=dataset.kept,
            text_beyond_head=dataset.text_beyond_head,
        )

    @property
    def _is_implicit_vr(self) -> bool:
        return self._transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN

    @property
    def _is_little_endian(self) -> bool:
        return self._transfer_syntax != EXPLICIT_VR_BIG_ENDIAN

    @property
    def _is_deflated(self) -> bool:
        return self._transfer_syntax in DEFLATED

    def _read_file_meta(self) -> None:
        """Reads group 0002, which is explicit VR little endian (PS3.10 7.1). It ends where another group begins."""
        start = self._start
        if start[_PREFIX] != b"DICM":
            raise InvalidDicom("The prefix DICM is missing.")
        while len(start) - self._offset >= len(_GROUP):
            # Only the group length tells deflated bytes from another element.
            ends_here = self._is_deflated and self._offset == self._file_meta_end
            if ends_here or start[self._offset : self._offset + 2] != _GROUP:
                self._begin_dataset()
                return
            if not self._read_file_meta_element():
                return

    def _read_file_meta_element(self) -> bool:
        """Reads the element at `_offset`, and returns whether it was complete."""
        start, offset = self._start, self._offset
        if len(start) - offset < 12:
            return False
        _, number, code, length = unpack_from("<HH2sH", start, offset)
        header = 8
        name = code.decode("latin-1")
        if name in vr.LONG_LENGTH:
            (length,), header = unpack_from("<L", start, offset + 8), 12
        elif name not in vr.SHORT_LENGTH:
            raise InvalidDicom("The File Meta Information is not explicit VR.")
        end = offset + header + length
        if end > MAX_FILE_META_BYTES:
            raise InvalidDicom("The File Meta Information is too long.")
        if end > len(start):
            return False
        self._offset = end
        value = bytes(start[offset + header : end])
        tag = 0x00020000 | number
        if tag == tags.FILE_META_GROUP_LENGTH:
            self._file_meta_end = end + int.from_bytes(value, "little")
            return True
        if tag == tags.TRANSFER_SYNTAX_UID:
            self._transfer_syntax = value.decode("latin-1").strip("\0 ")
        self._file_meta.append(Element(tag, name, value, offset, offset + header, length))
        return True

    def _begin_dataset(self) -> DatasetScanner:
        if not self._transfer_syntax:
            raise InvalidDicom("The File Meta Information has no TransferSyntaxUID.")
        if not is_uid(self._transfer_syntax):  # it goes into the headers of answers
            raise InvalidDicom("The TransferSyntaxUID of the File Meta Information is not a UID.")
        dataset = DatasetScanner(self._offset, self._is_implicit_vr, self._is_little_endian, self._transfer_syntax)
        self._dataset = dataset
        rest = bytes(self._start[self._offset :])
        self._start.clear()
        self._feed_dataset(dataset, rest)
        return dataset

    def _feed_dataset(self, dataset: DatasetScanner, data: bytes) -> None:
        if not self._is_deflated:
            dataset.feed(data)
            return
        try:
            while not self._inflater.eof and (piece := self._inflater.decompress(data, _INFLATED_PIECE)):
                dataset.feed(piece)
                if dataset.position > MAX_INFLATED_BYTES:
                    raise InvalidDicom("The deflated data set is too long.")
                data = self._inflater.unconsumed_tail
        except zlib.error as error:
            raise InvalidDicom("The data set cannot be inflated.") from error


def _character_sets(elements: list[Element]) -> list[str]:
    for element in elements:
        if element.tag == tags.SPECIFIC_CHARACTER_SET and isinstance(element.value, bytes):
            return split_character_sets(element.value)
    return []
