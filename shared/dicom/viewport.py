"""Which part of an image is drawn, how large, and which way round (PS3.18 8.3.5.1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from shared.dicom.plain_values import numbers
from shared.errors import BadRequest

# Pixels whose sides differ by less are taken for square ones: nobody sees it, and scaling would blur them.
SQUARE_WITHIN: Final = 0.01
# Spacings that differ by more are taken for mistakes.
MAX_ASPECT_RATIO: Final = 10.0


@dataclass(frozen=True, slots=True)
class Viewport:
    """The parameter `viewport`: the largest width and height of what is drawn, and the region of the image to draw.

    `left` and `top` are columns and rows, fractions allowed; `across` and `down` are the size of the region, negative to
    flip it, and None for all that there is.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    across: float | None = None
    down: float | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A region of the image as (left, top, right, bottom), and the width and height that it is drawn with, in pixels."""

    region: tuple[float, float, float, float]
    width: int
    height: int
    mirrored: bool = False
    upside_down: bool = False


def place(columns: int, rows: int, aspect: float, viewport: Viewport | None, *, enlarge: bool = True) -> Placement:
    """Where an image of this size goes; `aspect` is the height of its pixels, their width being 1.

    Without a viewport all of it is drawn, as large as no pixel gets lost. With one the region fills the viewport in one
    direction and does not exceed it in the other; it is not magnified unless `enlarge` says so. Raises BadRequest when
    the region lies outside of the image.
    """
    if viewport is None:
        across, down = stretched(columns, rows, aspect)
        return Placement((0, 0, columns, rows), max(round(across), 1), max(round(down), 1))
    across = columns - viewport.left if viewport.across is None else viewport.across
    down = rows - viewport.top if viewport.down is None else viewport.down
    left, right = max(viewport.left, 0), min(viewport.left + abs(across), columns)
    top, bottom = max(viewport.top, 0), min(viewport.top + abs(down), rows)
    if left >= right or top >= bottom:
        raise BadRequest("The region of the viewport lies outside of the image.")
    width, height = stretched(right - left, bottom - top, aspect)
    scale = min(viewport.width / width, viewport.height / height)
    if not enlarge:
        scale = min(scale, 1)
    return Placement(
        (left, top, right, bottom),
        min(max(round(width * scale), 1), viewport.width),
        min(max(round(height * scale), 1), viewport.height),
        mirrored=across < 0,
        upside_down=down < 0,
    )


def stretched(width: float, height: float, aspect: float) -> tuple[float, float]:
    """The size with square pixels. One of the directions grows, so that nothing is lost."""
    return (width, height * aspect) if aspect >= 1 else (width / aspect, height)


def pixel_aspect(attributes: Dataset) -> float:
    """The height of a pixel in relation to its width (PS3.3 C.7.6.3.1.7, 10.7.1.3); 1 when it is not known."""
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        match numbers(attributes, keyword):
            case [height, width] if height > 0 and width > 0:
                ratio = height / width
                usable = 1 / MAX_ASPECT_RATIO <= ratio <= MAX_ASPECT_RATIO and abs(ratio - 1) >= SQUARE_WITHIN
                return ratio if usable else 1.0
    return 1.0
