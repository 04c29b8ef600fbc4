"""Decoding and encoding frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from shared.dicom import pixels
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.transcoding import EXPLICIT_VR_LITTLE_ENDIAN
from tests.api.corpus import corpus_files

GREY = ImagePixel(4, 6, 1, 16, 12, 11, 0, "MONOCHROME2")
COLOUR = ImagePixel(2, 4, 3, 8, 8, 7, 0, "RGB")


def test_description_of_a_data_set_and_of_its_metadata() -> None:
    dataset = pydicom.dcmread(corpus_files()["pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm"])
    image = ImagePixel.of(dataset)
    assert (image.rows, image.columns, image.bits_allocated, image.bits_stored) == (484, 484, 16, 12)
    assert image.number_of_frames == 1
    assert image.frame_length == 484 * 484 * 2
    assert not image.has_embedded_overlays
    dataset.add_new(0x60020100, "US", 16)
    image = ImagePixel.of(dataset)
    assert image.has_embedded_overlays
    assert ImagePixel.of_metadata(dataset.to_json_dict(bulk_data_element_handler=lambda _: "")) == image


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Rows", None), ("Rows", 0), ("PhotometricInterpretation", None), ("SamplesPerPixel", 4), ("BitsStored", 17)],
)
def test_description_that_no_image_can_have(keyword: str, value: int | None) -> None:
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 4, 6, 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    assert ImagePixel.of(dataset) == GREY
    setattr(dataset, keyword, value)
    with pytest.raises(ValueError, match="description"):
        ImagePixel.of(dataset)


def test_colours_by_plane_are_decoded_by_pixel() -> None:
    by_plane = np.arange(24, dtype="u1").reshape(3, 2, 4)
    decoded, image = pixels.decode(
        by_plane.tobytes(), replace(COLOUR, planar_configuration=1), EXPLICIT_VR_LITTLE_ENDIAN
    )
    assert np.array_equal(decoded, by_plane.transpose(1, 2, 0))
    assert image == COLOUR


def test_subsampled_colours_are_expanded() -> None:
    """PS3.3 C.7.6.3.1.2: two Y, then the Cb and Cr of both."""
    frame = bytes(range(16))
    subsampled = replace(COLOUR, photometric_interpretation="YBR_FULL_422")
    decoded, image = pixels.decode(frame, subsampled, EXPLICIT_VR_LITTLE_ENDIAN)
    assert decoded[0, :2].tolist() == [[0, 2, 3], [1, 2, 3]]
    assert image == replace(COLOUR, photometric_interpretation="YBR_FULL")


def test_bits_that_are_not_stored() -> None:
    """They are cleared, or repeat the sign, unless somebody wants them (PS3.5 8.1.1)."""
    frame = np.full((4, 6), 0xF801, "<u2").tobytes()
    decoded, _ = pixels.decode(frame, GREY, EXPLICIT_VR_LITTLE_ENDIAN)
    assert set(decoded.flat) == {0x0801}
    decoded, _ = pixels.decode(frame, replace(GREY, pixel_representation=1), EXPLICIT_VR_LITTLE_ENDIAN)
    assert set(decoded.flat) == {0x0801 - 0x1000}
    decoded, _ = pixels.decode(frame, GREY, EXPLICIT_VR_LITTLE_ENDIAN, keep_unused_bits=True)
    assert set(decoded.flat) == {0xF801}


def test_single_bits() -> None:
    image = replace(GREY, rows=2, columns=5, bits_allocated=1, bits_stored=1, high_bit=0)
    decoded, _ = pixels.decode(b"\x21\x02", image, EXPLICIT_VR_LITTLE_ENDIAN)
    assert decoded.tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 0, 1]]


def test_jpeg_of_12_bits() -> None:
    """1.2.840.10008.1.2.4.51, process 4: the greatest value is the one that dcmdjpeg finds."""
    dataset = pydicom.dcmread(corpus_files()["test_files/JPGExtended.dcm"])
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    decoded, _ = pixels.decode(frame, ImagePixel.of(dataset), "1.2.840.10008.1.2.4.51")
    assert decoded.dtype == np.uint16
    assert decoded.max() == 264


@pytest.mark.parametrize(
    "name",
    [
        "pydicom-data/US1_J2KR.dcm",
        "test_files/MR_small_jpeg_ls_lossless.dcm",
        "test_files/SC_rgb_jpeg_dcmtk.dcm",
        "pydicom-data/JPEG-LL.dcm",
        "test_files/MR_small_RLE.dcm",
        "test_files/JPGExtended.dcm",
    ],
)
def test_a_code_stream_that_ends_early_is_refused(name: str) -> None:
    """Better no image than half of one."""
    dataset = pydicom.dcmread(corpus_files()[name])
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    with pytest.raises(Exception, match="decode"):
        pixels.decode(frame[: len(frame) // 2], ImagePixel.of(dataset), dataset.file_meta.TransferSyntaxUID)
