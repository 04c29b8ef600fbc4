"""Files that lack their preamble, prefix or File Meta Information (PS3.10 7.1)."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread

from shared.dicom.beginning import LONGEST_LOOK, missing_beginning
from shared.dicom.file_meta import end_of_file_meta
from shared.dicom.head import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.builders import element, instance

ENCODINGS = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]


def bare(transfer_syntax: str) -> tuple[bytes, bytes]:
    """A file, and what is left of it without preamble, prefix and File Meta Information."""
    file = instance(transfer_syntax=transfer_syntax)
    length = end_of_file_meta(file, is_deflated=False)
    return file, file[length:]


def test_whole_files_miss_nothing() -> None:
    file = instance()
    for start in (file, file[:132], file[:1000]):
        assert missing_beginning(start, is_all=False) == b""


def test_preamble_and_prefix_are_put_before() -> None:
    file = instance()
    assert missing_beginning(file[128:], is_all=False) == file[:128]
    assert missing_beginning(file[132:], is_all=False) == file[:132]


@pytest.mark.parametrize("transfer_syntax", ENCODINGS)
def test_bare_data_sets_get_file_meta_information(transfer_syntax: str) -> None:
    """With all that PS3.10 7.1 requires of it."""
    file, rest = bare(transfer_syntax)
    missing = missing_beginning(rest, is_all=True)
    assert missing is not None
    whole, expected = dcmread(io.BytesIO(missing + rest)), dcmread(io.BytesIO(file))
    assert whole == expected
    for name in (
        "FileMetaInformationVersion",
        "TransferSyntaxUID",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
    ):
        assert getattr(whole.file_meta, name) == getattr(expected.file_meta, name), name
    assert whole.file_meta.FileMetaInformationGroupLength == len(missing) - 144


def test_so_much_is_needed_to_tell() -> None:
    _, rest = bare(EXPLICIT_VR_LITTLE_ENDIAN)
    for start in (b"", rest[:131], rest):
        assert missing_beginning(start, is_all=False) is None
    assert missing_beginning(rest + bytes(LONGEST_LOOK), is_all=False)


@pytest.mark.parametrize(
    "start",
    [b"", b"DICM", bytes(200), b"<html>" * 40, element(0x00080005, "CS", b"ISO_IR 100") + bytes(200), b"\x08\0" * 100],
)
def test_what_is_no_file_misses_nothing(start: bytes) -> None:
    """It is refused as it is (STOW-27)."""
    assert missing_beginning(start, is_all=True) == b""
