"""From stored values to shades of gray: Modality LUT, VOI LUT and polarity (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2, C.11.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from shared.dicom.lookup_table import LookupTable
from shared.dicom.plain_values import items, number, text
from shared.dicom.point_operation import apply, extremes, has_table

WHITE: Final = 255

type Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
type Values = NDArray[np.float64]
type Shades = NDArray[np.uint8]
type Transformation = Callable[[Values], Values]


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in units of the Modality LUT's output; `width` is at least 1 for LINEAR and above 0 otherwise."""

    center: float
    width: float
    function: Function = "LINEAR"

    @property
    def is_valid(self) -> bool:
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0

    def apply(self, values: Values) -> Values:
        """Brightness from 0 to 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1, C.11.2.1.3.2)."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (values - self.center) / self.width))
        center, width = (
            (self.center, self.width) if self.function == "LINEAR_EXACT" else (self.center - 0.5, self.width - 1)
        )
        if not width:
            return (values > center).astype(np.float64)
        return np.clip((values - center) / width + 0.5, 0, 1)


def shades(pixels: NDArray[Any], attributes: Dataset, window: Window | None, *, is_little_endian: bool) -> Shades:
    """The shades of a monochrome frame, 0 being black.

    `pixels` are stored values, integers or floats; `attributes` are those of the frame; `window` wins over what they say
    of the VOI. Raises ValueError when a lookup table is broken.
    """
    with np.errstate(all="ignore"):
        modality = _modality(attributes, signed=extremes(pixels)[0] < 0, is_little_endian=is_little_endian)
        voi = _voi(pixels, modality, attributes, window, is_little_endian=is_little_endian)
        is_inverse = text(attributes, "PhotometricInterpretation") == "MONOCHROME1"
        is_inverse |= text(attributes, "PresentationLUTShape") == "INVERSE"

        def shade(values: NDArray[Any]) -> Shades:
            brightness = np.nan_to_num(voi(modality(values.astype(np.float64))))
            return np.rint((1 - brightness if is_inverse else brightness) * WHITE).astype(np.uint8)

        return apply(shade, pixels)


def _modality(attributes: Dataset, *, signed: bool, is_little_endian: bool) -> Transformation:
    """The Modality LUT: a table or a line, or nothing (PS3.3 C.11.1)."""
    for item in items(attributes, "ModalityLUTSequence")[:1]:
        table = LookupTable.of_item(item, signed=signed, is_little_endian=is_little_endian)
        return lambda values: table.apply(values).astype(np.float64)
    slope, intercept = number(attributes, "RescaleSlope"), number(attributes, "RescaleIntercept")
    if slope is None or intercept is None:
        return lambda values: values
    return lambda values: values * slope + intercept


def _voi(
    pixels: NDArray[Any],
    modality: Transformation,
    attributes: Dataset,
    window: Window | None,
    *,
    is_little_endian: bool,
) -> Transformation:
    """The VOI: the window that was asked for, else the first table or window of the image, else all its values."""
    if window:
        return window.apply
    for item in items(attributes, "VOILUTSequence")[:1]:
        signed = bool(modality(np.array(extremes(pixels), np.float64)).min() < 0)
        table = LookupTable.of_item(item, signed=signed, is_little_endian=is_little_endian)
        return lambda values: table.apply(values) / table.largest
    return (_window_of(attributes) or _window_around(pixels, modality, attributes)).apply


def _window_of(attributes: Dataset) -> Window | None:
    """The first window of the image; None when it has none that makes sense."""
    center, width = number(attributes, "WindowCenter"), number(attributes, "WindowWidth")
    if center is None or width is None:
        return None
    named = text(attributes, "VOILUTFunction")
    function: Function = "LINEAR_EXACT" if named == "LINEAR_EXACT" else "SIGMOID" if named == "SIGMOID" else "LINEAR"
    window = Window(center, width, function)
    return window if window.is_valid else None


def _window_around(pixels: NDArray[Any], modality: Transformation, attributes: Dataset) -> Window:
    """A window that shows all values of the frame but padding; of single bits both that there can be."""
    low, high = (0, 1) if number(attributes, "BitsStored") == 1 else extremes(_without_padding(pixels, attributes))
    inputs = np.arange(low, high + 1) if has_table(pixels, low, high) else np.array([low, high])
    values = modality(inputs.astype(np.float64))
    darkest, brightest = values.min().item(), values.max().item()
    if darkest == brightest:
        return Window(darkest + 1, 1)
    return Window((darkest + brightest) / 2, brightest - darkest, "LINEAR_EXACT")


def _without_padding(pixels: NDArray[Any], attributes: Dataset) -> NDArray[Any]:
    """The pixels that are not padding (PS3.3 C.7.5.1.1.2); all of them when they are nothing else."""
    padding = number(attributes, "PixelPaddingValue")
    if padding is None:
        return pixels
    limit = number(attributes, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    present = pixels[(pixels < low) | (pixels > high)]
    return present if present.size else pixels
