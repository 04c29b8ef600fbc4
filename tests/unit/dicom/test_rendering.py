"""Frames as image files: WADO-71 to WADO-76, PS3.18 8.3.5, PS3.3 C.7.6.3.1."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space

from shared.dicom import rendering
from shared.dicom.frames import locate_frames
from shared.dicom.grayscale import Window
from shared.dicom.head import HeadScanner
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.reencoding import swapped, width_of_pixels
from shared.dicom.rendering import MediaType, Rendition, draw, render
from shared.dicom.viewport import Viewport
from shared.errors import BadRequest, NotAcceptable, ServiceError
from tests import builders
from tests.api.corpus import corpus_files
from tests.rendering import reference

REAL_FILES = """
    test_files/693_J2KI.dcm test_files/CT_small.dcm test_files/MR_small.dcm test_files/MR_small_RLE.dcm
    test_files/MR_small_bigendian.dcm test_files/MR_small_implicit.dcm test_files/MR_small_jpeg_ls_lossless.dcm
    test_files/SC_rgb_dcmtk_+eb+cy+s2.dcm test_files/SC_rgb_gdcm_KY.dcm test_files/SC_rgb_rle_16bit.dcm
    test_files/SC_rgb_rle_32bit.dcm test_files/SC_rgb_small_odd.dcm test_files/SC_ybr_full_422_uncompressed.dcm
    test_files/examples_overlay.dcm test_files/examples_palette.dcm test_files/examples_ybr_color.dcm
    test_files/liver_1frame.dcm test_files/rtdose_expb.dcm test_files/dicomdirtests/77654033/CR1/6154
    test_files/dicomdirtests/98892003/MR1/4919 pydicom-data/OBXXXX1A_expb.dcm pydicom-data/OBXXXX1A_rle.dcm
    pydicom-data/SC_rgb_expb.dcm pydicom-data/gdcm-US-ALOKA-16.dcm pydicom-data/gdcm-US-ALOKA-16_big.dcm
    pydicom-data/liver_expb.dcm pydicom-data/mlut_18.dcm pydicom-data/vlut_04.dcm
"""

BEST = Rendition(100)
COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [200, 100, 50]]], np.uint8)


def described(pixels: Any, photometric_interpretation: str = "MONOCHROME2", **values: Any) -> ImagePixel:
    bits = pixels.dtype.itemsize * 8
    fields: dict[str, Any] = {
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "samples_per_pixel": 1 if pixels.ndim == 2 else 3,
        "bits_allocated": bits,
        "bits_stored": bits,
        "high_bit": bits - 1,
        "pixel_representation": int(pixels.dtype.kind == "i"),
        "photometric_interpretation": photometric_interpretation,
    }
    return ImagePixel(**(fields | values))


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def drawn(
    pixels: Any, image: ImagePixel | None = None, attributes: Dataset | None = None, rendition: Rendition = BEST
) -> Any:
    """What `render` draws, as an array."""
    content = attributes or Dataset()
    return np.asarray(opened(render(pixels, image or described(pixels), content, rendition, "image/png")))


def draw_file(
    file: bytes, frame: int = 1, rendition: Rendition = BEST, media_type: MediaType = "image/png"
) -> bytes | ServiceError:
    """A frame of a file that is not deflated."""
    scanner = HeadScanner()
    scanner.feed(file)
    scan = scanner.finish()
    index = locate_frames(scan)
    assert index
    data = b"".join(file[offset : offset + length] for offset, length in index.ranges(frame))
    if scan.transfer_syntax == builders.EXPLICIT_BIG:
        assert scan.pixel_data
        data = swapped(data, width_of_pixels(scan.pixel_data.vr, ImagePixel.of(pydicom.dcmread(BytesIO(file)))))
    return draw(file[: index.ranges(1)[0][0]], data, scan.transfer_syntax, frame, rendition, media_type)


def image_of(file: bytes, frame: int = 1, rendition: Rendition = BEST) -> Image.Image:
    found = draw_file(file, frame, rendition)
    assert isinstance(found, bytes)
    return opened(found)


def test_formats() -> None:
    """WADO-71, WADO-75: gray stays one channel; the quality is that of JPEG."""
    gray = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for media_type, kind in (("image/jpeg", "JPEG"), ("image/png", "PNG")):
        image = opened(render(gray, described(gray), Dataset(), BEST, media_type))  # type: ignore[arg-type]
        assert (image.format, image.mode, image.size) == (kind, "L", (256, 64))
        image = opened(render(noise, described(noise, "RGB"), Dataset(), BEST, media_type))  # type: ignore[arg-type]
        assert (image.format, image.mode) == (kind, "RGB")
    sizes = [
        len(render(noise, described(noise, "RGB"), Dataset(), Rendition(quality), "image/jpeg"))
        for quality in (1, 50, 89, 90, 100)
    ]
    assert sizes == sorted(set(sizes))
    assert (
        np.abs(
            np.asarray(opened(render(gray, described(gray), Dataset(), BEST, "image/jpeg"))) - gray.astype(int)
        ).max()
        < 3
    )


def test_chrominance_of_the_best_jpeg_is_complete() -> None:
    """4:4:4: a line of one pixel keeps its colour."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, 8] = 255, 0, 0
    image = np.asarray(opened(render(pixels, described(pixels, "RGB"), Dataset(), BEST, "image/jpeg"))).astype(int)
    assert np.abs(image - pixels).max() < 12


@pytest.mark.parametrize(
    ("pixels", "bits", "expected"),
    [
        (COLORS, 8, COLORS),
        (COLORS.astype(np.uint16) << 8, 16, COLORS),
        (COLORS.astype(">u2") << 4, 12, COLORS),
        (COLORS.astype(np.uint32) << 24, 32, COLORS),
        (np.array([[[0, 7, 15]]], np.uint8), 4, [[[0, 119, 255]]]),
    ],
)
def test_rgb(pixels: Any, bits: int, expected: Any) -> None:
    image = described(pixels, "RGB", bits_stored=bits, high_bit=bits - 1)
    assert drawn(pixels, image).tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize("interpretation", ["YBR_FULL", "YBR_FULL_422"])
def test_ybr_full(interpretation: str) -> None:
    """PS3.3 C.7.6.3.1.2."""
    stored = convert_color_space(COLORS, "RGB", "YBR_FULL")
    assert np.abs(drawn(stored, described(stored, interpretation)).astype(int) - COLORS).max() <= 2


def test_ybr_partial() -> None:
    """PS3.3 C.7.6.3.1.2: luminance from 16 to 235; 65 + 16, 90, 240 is pure red."""
    stored = np.array([[[16, 128, 128], [235, 128, 128], [81, 90, 240], [41, 240, 110]]], np.uint8)
    wanted = [[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]]
    assert np.abs(drawn(stored, described(stored, "YBR_PARTIAL_422")).astype(int) - wanted).max() <= 3


@pytest.mark.parametrize(("kind", "first"), [("u1", 0), ("<u2", 1000), (">i2", -3)])
def test_palette(kind: str, first: int) -> None:
    """PS3.3 C.7.6.3.1.5: indices up to the first one get the first colour, those after the last the last."""
    attributes = Dataset()
    for color, entries in (("Red", (0, 65535, 0, 51 * 257)), ("Green", (0, 0, 65535, 0)), ("Blue", (0, 0, 0, 65535))):
        setattr(attributes, f"{color}PaletteColorLookupTableDescriptor", [4, first, 16])
        setattr(attributes, f"{color}PaletteColorLookupTableData", np.array(entries, "<u2").tobytes())
    pixels = np.array([[first, first + 1, first + 2, first + 3, first + 9]], kind)
    found = drawn(pixels, described(pixels, "PALETTE COLOR"), attributes)
    assert found.tolist() == [[[0, 0, 0], [255, 0, 0], [0, 255, 0], [51, 0, 255], [51, 0, 255]]]


@pytest.mark.parametrize(
    ("kind", "value", "noise"), [("u2", 3000, 0xF000), ("i2", -1000, 0x6000), (">u2", 3000, 0x8000)]
)
def test_bits_that_are_not_stored(kind: str, value: int, noise: int) -> None:
    """PS3.5 8.1.1: overlays in the bits above do not count."""
    pixels = np.array([[0, value]], kind)
    image = described(pixels, bits_stored=12, high_bit=11)
    clean = drawn(pixels, image)
    noisy = (pixels.view(pixels.dtype.str.replace("i", "u")) ^ np.array([[noise, 0]], "u2")).astype("u2")
    assert drawn(noisy.view(kind[-2:]) if kind[0] != ">" else noisy.astype(">u2"), image).tolist() == clean.tolist()


def test_bits_that_are_stored_high() -> None:
    """HighBit 15 of 12 bits, as ACR-NEMA files have them; the window is for the values, not for where they are kept."""
    pixels = np.array([[0x0007, 0x7FF8, 0xFFF0]], np.uint16)
    image = described(pixels, bits_stored=12, high_bit=15)
    assert drawn(pixels, image, None, Rendition(100, window=Window(2048, 4096))).tolist() == [[0, 127, 255]]


@pytest.mark.parametrize(
    ("viewport", "expected"),
    [
        (Viewport(2, 2), [[0, 85], [170, 255]]),
        (Viewport(2, 2, across=-2), [[85, 0], [255, 170]]),
        (Viewport(2, 2, down=-2), [[170, 255], [0, 85]]),
        (Viewport(1, 1, 1, 0, 1, 1), [[85]]),
        (Viewport(2, 2, 1, 1, 1, 1), [[255, 255], [255, 255]]),
        (Viewport(1, 1), [[128]]),
    ],
)
def test_viewport(viewport: Viewport, expected: list[list[int]]) -> None:
    """PS3.18 8.3.5.1.3; the shades are those of the whole frame, whatever the region."""
    pixels = np.array([[0, 1], [2, 3]], np.uint8)
    assert drawn(pixels, None, None, Rendition(100, viewport)).tolist() == expected


def test_pixels_that_are_not_square() -> None:
    attributes = Dataset()
    attributes.PixelSpacing = [2, 1]
    assert drawn(np.zeros((10, 10), np.uint8), None, attributes).shape == (20, 10)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders never meet absurd sizes: 406."""
    pixels = np.zeros((2, 2), np.uint8)
    with pytest.raises(NotAcceptable):
        render(pixels, described(pixels), Dataset(), Rendition(100, Viewport(65_501, 65_501)), "image/png")
    line = np.zeros((1, 2), np.uint8)
    long = Rendition(75, Viewport(65_502, 65_502, down=0.001))
    with pytest.raises(NotAcceptable):
        render(line, described(line), Dataset(), long, "image/jpeg")
    assert opened(render(line, described(line), Dataset(), long, "image/png")).size[0] == 65_502
    monkeypatch.setattr(rendering, "MAX_DRAWN_PIXELS", 15)
    found = draw_file(builders.instance())
    assert isinstance(found, NotAcceptable)


def test_region_outside() -> None:
    assert isinstance(draw_file(builders.instance(), rendition=Rendition(100, Viewport(9, 9, 4))), BadRequest)


@pytest.mark.parametrize(
    "transfer_syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", builders.RLE]
)
def test_frames_of_files(transfer_syntax: str) -> None:
    """WADO-72; every encoding of the description and of the pixels."""
    file = builders.instance(
        frames=3, rows=6, columns=8, transfer_syntax=transfer_syntax, WindowCenter=128, WindowWidth=256
    )
    for frame in (1, 3):
        pixels = np.asarray(image_of(file, frame))
        assert pixels.tobytes() == builders.frame_pixels(frame, 48)


def test_functional_groups() -> None:
    """PS3.3 C.7.6.16: the groups of a frame win over the shared ones, those over the top level."""

    def group(**values: Any) -> Dataset:
        transformation, voi = Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 1, 0, "US"
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = values["center"], 100, "LINEAR_EXACT"
        found = Dataset()
        found.PixelValueTransformationSequence = [transformation]
        found.FrameVOILUTSequence = [voi]
        return found

    shared = group(center=0)
    measures = Dataset()
    measures.PixelSpacing = [2, 1]
    shared.PixelMeasuresSequence = [measures]
    file = builders.instance(
        frames=2,
        WindowCenter=-10000,
        WindowWidth=1,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[group(center=1000), Dataset()],
    )
    assert np.asarray(image_of(file, 1)).tolist() == np.zeros((8, 4)).tolist()
    second = np.asarray(image_of(file, 2))
    assert second.shape == (8, 4)
    assert second.min() == 255


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
@pytest.mark.parametrize("transfer_syntax", builders.UNCOMPRESSED[:3])
def test_floats(keyword: str, transfer_syntax: str) -> None:
    """PS3.3 C.7.6.24 and C.7.6.25."""
    kind = ("f4", "f8")[keyword.startswith("Double")]
    order = ">" if transfer_syntax == builders.EXPLICIT_BIG else "<"
    values = np.array([[0, 0.25], [0.75, 1]])
    attributes: dict[str, Any] = {"BitsAllocated": int(kind[1]) * 8, "BitsStored": None, "HighBit": None}
    file = builders.instance(
        rows=2, columns=2, transfer_syntax=transfer_syntax, PixelData=None, PixelRepresentation=None,
        **{keyword: values.astype(order + kind).tobytes()}, **attributes,
    )  # fmt: skip
    assert np.asarray(image_of(file)).tolist() == [[0, 64], [191, 255]]


@pytest.mark.parametrize(
    "attributes",
    [{"PhotometricInterpretation": None}, {"PhotometricInterpretation": "PALETTE COLOR"}, {"BitsStored": 17}],
)
def test_descriptions_that_make_no_sense(attributes: dict[str, Any]) -> None:
    """WADO-74: exceptions, no image."""
    with pytest.raises((ValueError, KeyError)):
        draw_file(builders.instance(**attributes))


@pytest.mark.filterwarnings("ignore")  # which pydicom gives of these values
@pytest.mark.parametrize("broken", [b"1,5 ", b"    ", b"1e9\\", b"x.1 ", b"\xff\xfe\0\0"])
@pytest.mark.parametrize("keyword", ["WindowCenter", "PixelSpacing", "RescaleSlope", "PixelAspectRatio"])
def test_values_that_do_not_matter(keyword: str, broken: bytes) -> None:
    """What breaks the rules of its VR counts as absent: the files exist, and their pixels can be drawn."""
    file = builders.instance(**{keyword: "+123"}, **({"WindowWidth": 5} if keyword == "WindowCenter" else {}))
    assert file.count(b"+123") == 1
    found = np.asarray(image_of(file.replace(b"+123", broken)))
    assert (found.shape, found.min(), found.max()) == ((4, 4), 0, 255)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of much that it reads here
@pytest.mark.parametrize("name", REAL_FILES.split())
def test_real_files(name: str) -> None:
    """WADO-76, against an independent calculation; decoders of lossy images may differ a little."""
    found = np.asarray(image_of(corpus_files()[name].read_bytes())).astype(float)
    assert np.abs(found - reference(name)).max() <= 2
