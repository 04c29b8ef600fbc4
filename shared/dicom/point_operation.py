"""Applies a function of the pixel's value to a whole frame, at the cost of few values and of little memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# So many different values are calculated beforehand at the most; other frames are calculated pixel by pixel.
MAX_TABLE_VALUES: Final = 1 << 16
# Frames are worked on in bands, so that intermediate results stay small.
_BAND_PIXELS: Final = 1 << 20


def has_table(pixels: NDArray[Any], low: float, high: float) -> bool:
    """Whether the values of the frame, from `low` to `high`, are integers and few enough for a table."""
    return pixels.dtype.kind in "iu" and high - low < MAX_TABLE_VALUES


def apply(function: Callable[[NDArray[Any]], NDArray[np.uint8]], pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """`function` of every pixel of a frame (rows, columns). It takes an array of values and may add a dimension."""
    low, high = extremes(pixels)
    if has_table(pixels, low, high) and high - low < pixels.size:
        first = int(low)
        table = function(np.arange(first, int(high) + 1))
        return in_bands(lambda band: table[band.astype(np.int64) - first], pixels)
    return in_bands(function, pixels)


def extremes(pixels: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest value; of floats only those that are finite. (0, 0) when there are none."""
    if pixels.dtype.kind == "f":
        pixels = pixels[np.isfinite(pixels)]
    return (pixels.min().item(), pixels.max().item()) if pixels.size else (0, 0)


def in_bands(function: Callable[[NDArray[Any]], NDArray[np.uint8]], pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """`function` of the rows of a frame, some of them at a time."""
    rows = max(_BAND_PIXELS // pixels.shape[1], 1)
    first = function(pixels[:rows])
    if rows >= len(pixels):
        return first
    result = np.empty((len(pixels), *first.shape[1:]), np.uint8)
    result[:rows] = first
    for top in range(rows, len(pixels), rows):
        result[top : top + rows] = function(pixels[top : top + rows])
    return result
