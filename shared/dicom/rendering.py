"""Draws a decoded frame as a JPEG or PNG image (PS3.18 8.3.5, WADO-70 to WADO-76)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor
from struct import unpack
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from shared.dicom import tags
from shared.dicom.color import palette_colors, rgb
from shared.dicom.file_meta import end_of_file_meta
from shared.dicom.functional_groups import attributes_of_frame
from shared.dicom.grayscale import Window, shades
from shared.dicom.head import (
    DEFLATED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.pixels import decode
from shared.dicom.point_operation import extremes
from shared.dicom.viewport import Placement, Viewport, pixel_aspect, place
from shared.errors import NotAcceptable, ServiceError

MAX_DRAWN_PIXELS: Final = 100_000_000
"""Of a frame that is rendered, and of what comes of it."""
MAX_JPEG_SIDE: Final = 65_500
"""Pixels; what the encoder takes."""
FULL_CHROMINANCE_QUALITY: Final = 90
"""From this JPEG quality on the chrominance is not subsampled."""
MAX_INFLATED_BYTES: Final = 256 << 20
"""Of a deflated data set."""
PNG_COMPRESSION: Final = 4
"""Of 9; more costs time and hardly gains anything."""

# Pixel data that is no integers (PS3.3 C.7.6.24, C.7.6.25), and all pixel data.
_FLOATS: Final = {tags.FLOAT_PIXEL_DATA: "<f4", tags.DOUBLE_FLOAT_PIXEL_DATA: "<f8"}
_PIXEL_DATA: Final = frozenset({*_FLOATS, tags.PIXEL_DATA})

# All that is read of a file's description. Other attributes, and what is wrong with them, do not matter.
_IMAGE_PIXEL: Final = frozenset(map(Tag, (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)))  # fmt: skip
_PRESENTATION: Final = frozenset(map(Tag, (
    "PixelPaddingValue", "PixelPaddingRangeLimit",
    "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "ModalityLUTSequence", "RescaleIntercept", "RescaleSlope",
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape",
    "RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)))  # fmt: skip

type MediaType = Literal["image/jpeg", "image/png"]
type Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rendition:
    """What a client asked for. `quality` is that of JPEG, from 1 to 100; images are magnified only if `enlarge`."""

    quality: int
    viewport: Viewport | None = None
    window: Window | None = None
    enlarge: bool = True


def draw(
    head: bytes, data: bytes, transfer_syntax: str, frame: int, rendition: Rendition, media_type: MediaType
) -> bytes | ServiceError:
    """A frame of a file as an image file, or what to tell the client that asks for more than there is.

    `head` is what stands in the file before the value of the pixel data, or all of a deflated file. `data` is the frame as
    stored, but in little endian; `frame` is its number, from 1. Raises exceptions of all kinds for instances that make no
    sense.
    """
    is_little_endian = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
    file = BytesIO(_dataset_of(head, transfer_syntax))
    dataset = read_dataset(
        file,
        transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN,
        is_little_endian,
        stop_when=lambda tag, vr, length: tag in _PIXEL_DATA,
        specific_tags=[*_IMAGE_PIXEL, *_PRESENTATION],
    )
    group, element = unpack("<HH" if is_little_endian else ">HH", file.read(4))
    image = ImagePixel.of(Dataset({tag: dataset.get_item(tag) for tag in _IMAGE_PIXEL if tag in dataset}))
    try:
        check_size(image.columns, image.rows)
        pixels, decoded = _decoded(data, image, transfer_syntax, group << 16 | element)
        attributes = attributes_of_frame(dataset, frame)
        return render(pixels, decoded, attributes, rendition, media_type, is_little_endian=is_little_endian)
    except ServiceError as error:
        return error


def render(
    pixels: Pixels,
    image: ImagePixel,
    attributes: Dataset,
    rendition: Rendition,
    media_type: MediaType,
    *,
    is_little_endian: bool = True,
) -> bytes:
    """Stored values, (rows, columns) or (rows, columns, 3), as an image file.

    `image` describes them as they are, `attributes` are those of the frame. Raises NotAcceptable when the result would be
    too large, BadRequest when the viewport's region lies outside of the image, ValueError for nonsense.
    """
    placement = place(
        image.columns, image.rows, pixel_aspect(attributes), rendition.viewport, enlarge=rendition.enlarge
    )
    check_size(placement.width, placement.height, media_type)
    pixels = _stored_bits(pixels, image)
    if image.photometric_interpretation == "PALETTE COLOR":
        drawn = palette_colors(pixels, attributes, is_little_endian=is_little_endian)
    elif image.samples_per_pixel == 1:
        drawn = shades(pixels, attributes, rendition.window, is_little_endian=is_little_endian)
    else:
        drawn = rgb(pixels, image)
    return _encoded(_placed(Image.fromarray(drawn), placement), rendition.quality, media_type)


def _dataset_of(head: bytes, transfer_syntax: str) -> bytes:
    """The data set in its encoding, without the File Meta Information."""
    is_deflated = transfer_syntax in DEFLATED
    dataset = head[end_of_file_meta(head, is_deflated) :]
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, MAX_INFLATED_BYTES) if is_deflated else dataset


def _decoded(data: bytes, image: ImagePixel, transfer_syntax: str, tag: int) -> tuple[Pixels, ImagePixel]:
    """The stored values of a frame of the pixel data with this tag."""
    if tag in _FLOATS:
        return np.frombuffer(data, _FLOATS[tag]).reshape(image.rows, image.columns), image
    native = EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else transfer_syntax
    return decode(data, image, native, keep_unused_bits=True)


def check_size(width: int, height: int, media_type: MediaType = "image/png") -> None:
    """Raises NotAcceptable for an image that is too large to be drawn, or to be encoded."""
    too_long = media_type == "image/jpeg" and max(width, height) > MAX_JPEG_SIDE
    if too_long or width * height > MAX_DRAWN_PIXELS:
        raise NotAcceptable(f"An image of {width} x {height} pixels is too large to be rendered.")


def _encoded(image: Image.Image, quality: int, media_type: MediaType) -> bytes:
    """The image file; images of gray keep one channel."""
    file = BytesIO()
    if media_type == "image/png":
        image.save(file, "PNG", compress_level=PNG_COMPRESSION)
    else:
        subsampling = "4:4:4" if quality >= FULL_CHROMINANCE_QUALITY else "4:2:0"
        image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def _placed(image: Image.Image, placement: Placement) -> Image.Image:
    left, top, right, bottom = placement.region
    size = placement.width, placement.height
    if placement.region != (0, 0, *image.size) or size != image.size:
        # Cut out first, so that what surrounds the region does not shine into it.
        first, upper = floor(left), floor(top)
        image = image.crop((first, upper, ceil(right), ceil(bottom)))
        region = left - first, top - upper, right - first, bottom - upper
        image = image.resize(size, Image.Resampling.BICUBIC, box=region)
    if placement.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if placement.upside_down:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def _stored_bits(pixels: Pixels, image: ImagePixel) -> Pixels:
    """The values without what other bits than the stored ones hold, overlays for instance (PS3.5 8.1.1, 8.1.2)."""
    allocated = pixels.dtype.itemsize * 8
    below = image.high_bit + 1 - image.bits_stored
    above = allocated - 1 - image.high_bit
    if pixels.dtype.kind not in "iu" or below < 0 or above < 0:
        return pixels
    low, high = extremes(pixels)
    limit = 1 << image.bits_stored - image.pixel_representation
    if not below and high < limit and low >= -limit * image.pixel_representation:
        return pixels
    return (pixels << above) >> (above + below)
