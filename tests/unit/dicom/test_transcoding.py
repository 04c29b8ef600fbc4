"""What can be transcoded, and the data set around the pixels."""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from shared.dicom import transcoding
from shared.dicom.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.pixels import JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from shared.dicom.reencoding import swapped
from shared.dicom.transcoding import EXPLICIT_VR_LITTLE_ENDIAN, Head
from shared.errors import InvalidDicom
from tests import builders

GREY = ImagePixel(64, 64, 1, 16, 12, 11, 0, "MONOCHROME2")
COLOUR = ImagePixel(64, 64, 3, 8, 8, 7, 0, "RGB")
COMPRESSED = (JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)
EVERY = (builders.IMPLICIT_LITTLE, EXPLICIT_VR_LITTLE_ENDIAN, *COMPRESSED)


@pytest.mark.parametrize(
    "source",
    [
        *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
        *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)),
        "1.2.840.10008.1.2.5",
    ],
)
def test_sources_and_targets(source: str) -> None:
    """WADO-53, D-22."""
    assert all(transcoding.can_transcode(source, target, GREY) for target in EVERY)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("1.2.840.10008.1.2.4.102", EXPLICIT_VR_LITTLE_ENDIAN),  # MPEG-4
        ("1.2.840.10008.1.2.4.94", EXPLICIT_VR_LITTLE_ENDIAN),  # JPIP
        ("1.2.3", EXPLICIT_VR_LITTLE_ENDIAN),
        (EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.50"),  # lossy
        (EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.201"),  # nothing here encodes it
        (EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"),
    ],
)
def test_no_sources_and_no_targets(source: str, target: str) -> None:
    assert not transcoding.can_transcode(source, target, GREY)


def possible(image: ImagePixel | None, source: str = EXPLICIT_VR_LITTLE_ENDIAN) -> set[str]:
    return {target for target in COMPRESSED if transcoding.can_transcode(source, target, image)}


def test_what_encapsulated_syntaxes_can_hold() -> None:
    """WADO-55, PS3.5 8.2."""
    every = set(COMPRESSED)
    assert possible(replace(GREY, photometric_interpretation="PALETTE COLOR")) == every
    assert possible(replace(GREY, pixel_representation=1)) == every
    assert possible(COLOUR) == every
    assert possible(replace(COLOUR, photometric_interpretation="YBR_FULL_422")) == every
    assert possible(replace(COLOUR, photometric_interpretation="YBR_RCT"), JPEG_2000_LOSSLESS) == every
    for retired in ("HSV", "YBR_PARTIAL_422"):
        image = replace(COLOUR, photometric_interpretation=retired)
        assert possible(image) == set()
        assert not transcoding.can_transcode("1.2.840.10008.1.2.4.50", EXPLICIT_VR_LITTLE_ENDIAN, image)
    for source in (EXPLICIT_VR_LITTLE_ENDIAN, RLE_LOSSLESS):
        assert possible(replace(GREY, bits_allocated=32, bits_stored=32, high_bit=31), source) == set()
    assert possible(replace(GREY, bits_allocated=1, bits_stored=1, high_bit=0)) == set()
    assert possible(None) == set()


def test_bits_beside_the_pixels_are_not_lost() -> None:
    """Overlays in them, and pixels that are not in the lowest bits, which only RLE keeps."""
    assert possible(replace(GREY, has_embedded_overlays=True)) == {RLE_LOSSLESS}
    assert possible(replace(GREY, high_bit=15)) == {RLE_LOSSLESS}
    image = replace(GREY, rows=1, columns=2)
    native = struct.pack("<2H", 0xF123, 0x8456)
    frame, described = transcoding.transcode_frame(native, image, EXPLICIT_VR_LITTLE_ENDIAN, RLE_LOSSLESS)
    assert transcoding.transcode_frame(frame, described, RLE_LOSSLESS, EXPLICIT_VR_LITTLE_ENDIAN)[0] == native


def test_native_to_native_is_always_possible() -> None:
    assert transcoding.can_transcode("1.2.840.10008.1.2", EXPLICIT_VR_LITTLE_ENDIAN, None)
    assert transcoding.can_transcode("1.2.840.10008.1.2.2", EXPLICIT_VR_LITTLE_ENDIAN, replace(GREY, bits_allocated=32))


def test_limits() -> None:
    """The length of a native element has 32 bits; a frame has to fit into memory a few times."""
    many = replace(GREY, number_of_frames=(1 << 32) // GREY.frame_length)
    assert not transcoding.can_transcode(RLE_LOSSLESS, EXPLICIT_VR_LITTLE_ENDIAN, many)
    fewer = replace(many, number_of_frames=many.number_of_frames - 1)
    assert transcoding.can_transcode(RLE_LOSSLESS, EXPLICIT_VR_LITTLE_ENDIAN, fewer)
    assert possible(many) == set(COMPRESSED)
    assert possible(replace(GREY, rows=40000, columns=40000)) == set()


def test_head_of_a_transcoded_file() -> None:
    """WADO-56: a zero preamble, a File Meta Information of this service, and the description of the new pixels."""
    file = builders.instance(rows=0, elements=[(0x00080000, "UL", 4), (0x7FE00001, "OV", bytes(8))])
    transcoded = Head.of(file).transcoded(JPEG_2000_LOSSLESS, replace(COLOUR, photometric_interpretation="YBR_RCT"))
    assert transcoded[:132] == bytes(128) + b"DICM"
    read = pydicom.dcmread(BytesIO(transcoded))
    assert read.file_meta.TransferSyntaxUID == JPEG_2000_LOSSLESS
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.PhotometricInterpretation == "YBR_RCT"
    assert read.PlanarConfiguration == 0
    assert 0x00080000 not in read
    assert 0x7FE00001 not in read
    assert [int(tag) for tag in read.keys()] == sorted(int(tag) for tag in read.keys())  # noqa: SIM118 - a Dataset has them


def test_big_endian_words_are_reversed_and_bytes_are_not() -> None:
    file = builders.instance(
        rows=0,
        transfer_syntax=builders.EXPLICIT_BIG,
        elements=[(0x00090010, "LO", "X"), (0x00091001, "OB", b"\1\2\3\4"), (0x00091002, "OW", b"\1\2\3\4")],
        RescaleSlope="1.5",
        RedPaletteColorLookupTableDescriptor=[256, 0, 16],
        SimpleFrameList=[70000],
        FrameReferenceDateTime="2024",
        MRAcquisitionFrequencyEncodingSteps=7,
        EventElapsedTimes=[1.5],
        FrameIncrementPointer=0x00181063,
    )
    read = pydicom.dcmread(BytesIO(Head.of(file).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, None)))
    assert read[0x00091001].value == b"\1\2\3\4"
    assert read[0x00091002].value == b"\2\1\4\3"
    assert read.RedPaletteColorLookupTableDescriptor == [256, 0, 16]
    assert read.SimpleFrameList == 70000
    assert read.FrameIncrementPointer == 0x00181063
    assert read.PatientName == "Doe^Jane"


def test_text_is_not_decoded() -> None:
    """What no character set can read comes out as it was, padding and all."""
    file = builders.instance(rows=0, transfer_syntax=builders.IMPLICIT_LITTLE, PatientComments="abcdefgh").replace(
        b"abcdefgh", b"\xff\xfe\x1b$\x00\x00  "
    )
    assert b"LT\x08\x00\xff\xfe\x1b$\x00\x00  " in Head.of(file).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, None)


def test_icons_that_are_compressed_have_no_place_in_implicit_vr() -> None:
    icon = Dataset()
    icon.PixelData = encapsulate([bytes(4)])
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    file = builders.instance(rows=0, transfer_syntax=builders.JPEG_BASELINE, IconImageSequence=[icon])
    assert Head.of(file).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, None)
    with pytest.raises(InvalidDicom, match="Compressed pixel data"):
        Head.of(file).transcoded(builders.IMPLICIT_LITTLE, None)


def test_swapped() -> None:
    assert swapped(b"abcdefg", 2) == b"badcfeg"
    assert swapped(b"abcdefgh", 4) == b"dcbahgfe"
    assert swapped(b"abcdefghi", 4) == b"dcbahgfei"
    assert swapped(b"a", 2) == b"a"
    assert swapped(b"abc", 1) == b"abc"


def test_rest_of_a_file() -> None:
    """Zeros behind the last element are left out."""
    element = builders.element(0xFFFCFFFC, "OB", bytes(4))
    rest = transcoding.transcoded_rest(element + bytes(20), EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS)
    assert rest == element
    assert transcoding.transcoded_rest(bytes(3), EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS) == b""
