"""From stored values to red, green and blue of 8 bits each (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5, C.7.9)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space

from shared.dicom.image_pixel import ImagePixel
from shared.dicom.lookup_table import LookupTable
from shared.dicom.point_operation import apply, extremes, in_bands

type Pixels = NDArray[Any]
type Drawn = NDArray[np.uint8]


def palette_colors(pixels: Pixels, attributes: Dataset, *, is_little_endian: bool) -> Drawn:
    """The colours of the indices of a PALETTE COLOR frame; raises ValueError when its palette is broken."""
    signed = extremes(pixels)[0] < 0
    tables = [
        LookupTable.of_palette(attributes, color, signed=signed, is_little_endian=is_little_endian)
        for color in ("Red", "Green", "Blue")
    ]

    def colors(values: Pixels) -> Drawn:
        channels = [np.rint(table.apply(values) * (255 / table.largest)).astype(np.uint8) for table in tables]
        return np.stack(channels, axis=-1)

    return apply(colors, pixels)


def rgb(pixels: Pixels, image: ImagePixel) -> Drawn:
    """Pixels of three samples, stored in RGB or one of the YBR colour spaces."""
    bits = image.bits_stored
    if bits > 8:
        pixels = in_bands(lambda band: (band >> bits - 8).astype(np.uint8), pixels)
    elif bits < 8:
        pixels = in_bands(lambda band: (band * np.uint16(255) // ((1 << bits) - 1)).astype(np.uint8), pixels)
    match image.photometric_interpretation:
        case "YBR_FULL" | "YBR_FULL_422":
            return in_bands(_from_ybr_full, pixels)
        case "YBR_PARTIAL_422" | "YBR_PARTIAL_420":
            return in_bands(lambda band: _from_ybr_full(_ybr_full_of_partial(band)), pixels)
    return pixels


def _from_ybr_full(pixels: Drawn) -> Drawn:
    converted: Drawn = convert_color_space(pixels, "YBR_FULL", "RGB")
    return converted


def _ybr_full_of_partial(pixels: Drawn) -> Drawn:
    """Luminance from 16 to 235 and chrominance from 16 to 240, both as 0 to 255."""
    full = (pixels - np.array([16, 128, 128])) * np.array([255 / 219, 255 / 224, 255 / 224]) + [0, 128, 128]
    rounded: Drawn = np.clip(np.rint(full), 0, 255).astype(np.uint8)
    return rounded
