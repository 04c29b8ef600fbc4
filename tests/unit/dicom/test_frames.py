"""The byte ranges of frames (WADO-65, WADO-66). The oracle is pydicom."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from shared.dicom.file_meta import end_of_file_meta
from shared.dicom.frames import FrameIndex, locate_frames
from tests.patching import read, sample_files, scan

JPEG = b"\xff\xd8"
EOI = b"\xff\xd9"


def image(pixel_data: bytes, transfer_syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    """A file of 4 x 3 pixels of one byte, unless `attributes` say otherwise."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.BitsAllocated = 4, 3, 1, 8
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    if "FloatPixelData" not in attributes and "DoubleFloatPixelData" not in attributes:
        dataset.PixelData = pixel_data
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = transfer_syntax.is_compressed and not transfer_syntax.is_deflated
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def fragments(*values: bytes, offsets: tuple[int, ...] = ()) -> bytes:
    """Encapsulated pixel data with these fragments and this Basic Offset Table (PS3.5 A.4)."""
    table = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    return b"".join(b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value for value in (table, *values))


def frames(file: bytes) -> list[bytes] | None:
    """The frames that the index of a file points at."""
    index = locate_frames(scan(file))
    if index is None:
        return None
    if file[128 + 4 :].find(DeflatedExplicitVRLittleEndian.encode()) >= 0:
        file = inflated(file)
    found = []
    for frame in range(1, index.count + 1):
        data = b"".join(file[offset : offset + length] for offset, length in index.ranges(frame))
        found.append(index.aligned(frame, data) if index.frame_bits else data)
        assert index.length(frame) == len(found[-1])
    return found


def inflated(file: bytes) -> bytes:
    """A deflated file with its data set inflated."""
    end = end_of_file_meta(file, is_deflated=True)
    assert end is not None
    return file[:end] + zlib.decompress(file[end:], -zlib.MAX_WBITS)


def test_frames_of_sample_files() -> None:
    """Whatever pydicom can take apart is found at the same bytes."""
    compared = {"native": 0, "encapsulated": 0}
    for name, file in sample_files().items():
        dataset = read(file)
        index = locate_frames(scan(file))
        if "PixelData" not in dataset or index is None or not str(dataset.get("NumberOfFrames") or 1).isdigit():
            continue
        found = frames(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dataset["PixelData"].is_undefined_length:
                count = int(dataset.get("NumberOfFrames", 1) or 1)
                expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
                compared["encapsulated"] += 1
            else:
                total = get_expected_length(dataset)
                size = total // index.count
                expected = [dataset.PixelData[i : i + size] for i in range(0, total, size)]
                compared["native"] += 1
        assert found == expected, name
    assert compared["native"] > 50
    assert compared["encapsulated"] > 30


class TestNative:
    def test_frames_follow_each_other(self) -> None:
        assert frames(image(bytes(range(24)), NumberOfFrames=2)) == [bytes(range(12)), bytes(range(12, 24))]

    def test_big_endian(self) -> None:
        assert frames(image(bytes(range(24)), ExplicitVRBigEndian, NumberOfFrames=2)) == [
            bytes(range(12)),
            bytes(range(12, 24)),
        ]

    @pytest.mark.parametrize("count", [None, "", "0"])
    def test_number_of_frames_is_at_least_one(self, count: str | None) -> None:
        attributes: dict[str, Any] = {} if count is None else {"NumberOfFrames": count}
        assert frames(image(bytes(range(12)), **attributes)) == [bytes(range(12))]

    def test_padding_is_no_part_of_the_frame(self) -> None:
        assert frames(image(b"\x01" * 9 + b"\0", Rows=3)) == [b"\x01" * 9]

    def test_samples_and_bits(self) -> None:
        assert frames(image(bytes(72), SamplesPerPixel=3, BitsAllocated=16, PlanarConfiguration=0)) == [bytes(72)]

    @pytest.mark.parametrize(("available", "complete"), [(36, 3), (34, 2), (12, 1)])
    def test_only_complete_frames_count(self, available: int, complete: int) -> None:
        found = frames(image(bytes(available), NumberOfFrames=3))
        assert found == [bytes(12)] * complete

    def test_less_than_a_frame_is_none(self) -> None:
        assert frames(image(bytes(10), NumberOfFrames=3)) is None

    def test_packed_bits_that_fill_bytes(self) -> None:
        assert frames(image(b"\x01\x02\x03\x04", Rows=4, Columns=4, BitsAllocated=1, NumberOfFrames=2)) == [
            b"\x01\x02",
            b"\x03\x04",
        ]

    def test_packed_bits_across_bytes(self) -> None:
        """PS3.5 8.1.1: frames of packed bits follow each other without a gap; each is brought to a byte of its own."""
        assert frames(image(b"\x01\x02", BitsAllocated=1)) == [b"\x01\x02"]
        bits = [[int(number * pixel % 3 == 0) for pixel in range(12)] for number in (1, 2, 3)]
        packed = np.packbits(np.array(bits).ravel(), bitorder="little").tobytes()
        expected = [np.packbits(np.array(frame), bitorder="little").tobytes() for frame in bits]
        assert frames(image(packed + b"\0", BitsAllocated=1, NumberOfFrames=3)) == expected
        assert frames(image(packed[:-1], BitsAllocated=1, NumberOfFrames=3)) == expected[:2]

    def test_subsampled_chrominance(self) -> None:
        attributes: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "Columns": 4}
        assert frames(image(bytes(64), NumberOfFrames=2, **attributes)) == [bytes(32)] * 2
        # Some files name it, but have every sample.
        assert frames(image(bytes(96), NumberOfFrames=2, **attributes)) == [bytes(48)] * 2

    @pytest.mark.parametrize(("keyword", "bits"), [("FloatPixelData", 32), ("DoubleFloatPixelData", 64)])
    def test_floating_point_pixels(self, keyword: str, bits: int) -> None:
        value = bytes(range(12)) * (bits // 8) * 2
        attributes: dict[str, Any] = {"BitsAllocated": bits, "NumberOfFrames": 2, keyword: value}
        file = image(b"", **attributes)
        assert frames(file) == [value[: len(value) // 2], value[len(value) // 2 :]]


class TestEncapsulated:
    def test_a_fragment_a_frame(self) -> None:
        pixel_data = fragments(b"ab", b"cdef", b"gh")
        assert frames(image(pixel_data, JPEG2000, NumberOfFrames=3)) == [b"ab", b"cdef", b"gh"]

    def test_single_frame_of_many_fragments(self) -> None:
        assert frames(image(fragments(b"ab", b"cdef", b"gh"), JPEG2000)) == [b"abcdefgh"]

    def test_basic_offset_table(self) -> None:
        pixel_data = fragments(b"ab", b"cdef", b"gh", b"ij", offsets=(0, 22))
        assert frames(image(pixel_data, JPEG2000, NumberOfFrames=2)) == [b"abcdef", b"ghij"]

    def test_extended_offset_table(self) -> None:
        pixel_data, offsets, lengths = encapsulate_extended([b"abc", b"defg"])
        attributes: dict[str, Any] = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
        assert frames(image(pixel_data, JPEG2000, NumberOfFrames=2, **attributes)) == [b"abc\0", b"defg"]

    def test_extended_offset_table_of_frames_in_fragments(self) -> None:
        pixel_data = fragments(b"ab", b"cdef", b"gh", b"ij")
        offsets = (0).to_bytes(8, "little") + (10).to_bytes(8, "little")
        attributes: dict[str, Any] = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": bytes(16)}
        assert frames(image(pixel_data, JPEG2000, NumberOfFrames=2, **attributes)) == [b"ab", b"cdefghij"]

    @pytest.mark.parametrize("offsets", [(0, 11), (10, 0), (0, 10, 22), (4, 22)])
    def test_offset_table_that_does_not_fit_is_ignored(self, offsets: tuple[int, ...]) -> None:
        ambiguous = fragments(b"ab", b"cdef", b"gh", offsets=offsets)
        assert frames(image(ambiguous, JPEG2000, NumberOfFrames=2)) is None
        clear = fragments(b"ab", b"cdef", offsets=offsets)
        assert frames(image(clear, JPEG2000, NumberOfFrames=2)) == [b"ab", b"cdef"]

    def test_starts_of_images_tell_frames_apart(self) -> None:
        pixel_data = fragments(JPEG + b"ab", b"cd", JPEG + b"ef", b"gh", b"ij")
        assert frames(image(pixel_data, JPEGBaseline8Bit, NumberOfFrames=2)) == [
            JPEG + b"abcd",
            JPEG + b"efghij",
        ]

    def test_ends_of_images_tell_frames_apart(self) -> None:
        """Of JP2 files, that begin with a box, and of images whose writer has padded them."""
        pixel_data = fragments(b"\0\0\0\x0cab", b"cd" + EOI + bytes(8), b"\0\0\0\x0cef", b"", b"gh" + EOI)
        assert frames(image(pixel_data, JPEG2000, NumberOfFrames=2)) == [
            b"\0\0\0\x0cabcd" + EOI + bytes(8),
            b"\0\0\0\x0cefgh" + EOI,
        ]

    def test_starts_behind_ends_of_images_tell_frames_apart(self) -> None:
        """Where a fragment happens to begin, or to end, like an image."""
        values = (JPEG + b"ab", JPEG + b"cd" + EOI, JPEG + b"ef", b"gh" + EOI, b"ij" + EOI)
        assert frames(image(fragments(*values), JPEGBaseline8Bit, NumberOfFrames=2)) == [
            b"".join(values[:2]),
            b"".join(values[2:]),
        ]

    @pytest.mark.parametrize("count", [3, 4, 6])
    def test_frames_that_cannot_be_told_apart(self, count: int) -> None:
        pixel_data = fragments(JPEG + b"ab", b"cd", JPEG + b"ef", b"gh", b"ij")
        assert frames(image(pixel_data, JPEGBaseline8Bit, NumberOfFrames=count)) is None

    def test_fragment_before_the_first_image_belongs_to_no_frame(self) -> None:
        pixel_data = fragments(b"ab", JPEG + b"cd", JPEG + b"ef")
        assert frames(image(pixel_data, JPEGBaseline8Bit, NumberOfFrames=2)) is None

    def test_run_length_encoding(self) -> None:
        pixel_data = encapsulate([bytes(64) + b"ab", bytes(64) + b"cd"])
        assert frames(image(pixel_data, RLELossless, NumberOfFrames=2)) == [bytes(64) + b"ab", bytes(64) + b"cd"]


def test_deflated_file() -> None:
    """Its offsets are those of the inflated data set."""
    file = image(bytes(range(24)), DeflatedExplicitVRLittleEndian, NumberOfFrames=2)
    assert frames(file) == [bytes(range(12)), bytes(range(12, 24))]


def test_number_of_frames_that_is_none() -> None:
    """The pixel data tells how many there are."""
    assert frames(numbered("x1", bytes(24))) == [bytes(12)] * 2
    pixel_data = fragments(JPEG + b"ab", b"cd", JPEG + b"ef")
    assert frames(numbered("x1", pixel_data, JPEG2000)) == [JPEG + b"abcd", JPEG + b"ef"]
    assert frames(numbered("x1", fragments(b"ab", b"cd"), JPEG2000)) == [b"ab", b"cd"]


def numbered(number: str, pixel_data: bytes, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """A file with this text as NumberOfFrames."""
    return image(pixel_data, transfer_syntax, NumberOfFrames="77").replace(b"77", number.encode(), 1)


def test_no_pixel_data() -> None:
    assert locate_frames(scan(image(b"", FloatPixelData=b""))) is None


@pytest.mark.parametrize("frame", [0, -1, 3])
def test_frame_that_does_not_exist(frame: int) -> None:
    """WADO-62."""
    for file in (image(bytes(24), NumberOfFrames=2), image(fragments(b"ab", b"cd"), JPEG2000, NumberOfFrames=2)):
        index = locate_frames(scan(file))
        assert index is not None
        with pytest.raises(IndexError):
            index.ranges(frame)


def test_stored_form_is_compact_and_complete() -> None:
    native = FrameIndex(offset=5000, frame_length=524288, frames=100_000)
    assert FrameIndex.from_bytes(native.to_bytes()) == native
    packed = FrameIndex(offset=5000, frames=100_000, frame_bits=12)
    assert FrameIndex.from_bytes(packed.to_bytes()) == packed
    assert len(native.to_bytes()) == 25
    encapsulated = FrameIndex.of_fragments(5000, [1, 2] * 5000, [100_000, 64_000, 20] * 5000)
    assert FrameIndex.from_bytes(encapsulated.to_bytes()) == encapsulated
    assert encapsulated.ranges(2) == [(105_008, 64_000), (169_016, 20)]
    assert len(encapsulated.to_bytes()) < 1000
