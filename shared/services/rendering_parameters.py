"""The query parameters of rendered images: quality, viewport and window (WADO-71, PS3.18 8.3.5, CL-8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from shared.dicom.grayscale import Function, Window
from shared.dicom.rendering import Rendition
from shared.dicom.viewport import Viewport
from shared.errors import BadRequest

DEFAULT_QUALITY: Final = 100

THUMBNAIL_QUALITY: Final = 75
THUMBNAIL_PIXELS: Final = 128
"""Width and height of a thumbnail unless its viewport says otherwise. Small images are not magnified to it."""

_POSITIVE: Final = re.compile(r"0*[1-9][0-9]{0,8}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,32}\.?[0-9]{0,32}|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,2})?")
_FUNCTIONS: Final[Mapping[str, Function]] = {
    "linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID",
}  # fmt: skip


def rendition(query: Mapping[str, str]) -> Rendition:
    """What `/rendered` is to draw; raises BadRequest."""
    return Rendition(_quality(query, DEFAULT_QUALITY), _viewport(query), _window(query))


def thumbnail(query: Mapping[str, str]) -> Rendition:
    """What `/thumbnail` is to draw; raises BadRequest."""
    quality, viewport, window = _quality(query, THUMBNAIL_QUALITY), _viewport(query), _window(query)
    if viewport:
        return Rendition(quality, viewport, window)
    return Rendition(quality, Viewport(THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), window, enlarge=False)


def _quality(query: Mapping[str, str], default: int) -> int:
    text = query.get("quality", str(default)).strip()
    if not re.fullmatch(r"0*[1-9][0-9]?|0*100", text):
        raise BadRequest("Image quality must be between 1 and 100 inclusive")
    return int(text)


def _viewport(query: Mapping[str, str]) -> Viewport | None:
    """`vw,vh[,sx,sy,sw,sh]`, of which the last four may be empty (PS3.18 8.3.5.1.3)."""
    if "viewport" not in query:
        return None
    parts = [part.strip() for part in query["viewport"].split(",")]
    if not 2 <= len(parts) <= 6 or not all(map(_POSITIVE.fullmatch, parts[:2])):
        raise BadRequest("The viewport must be a width and a height above 0, which up to four numbers may follow.")
    left, top, across, down = (_number(part, "viewport") if part else None for part in [*parts[2:], *[""] * 4][:4])
    if across == 0 or down == 0:
        raise BadRequest("The width and the height of the viewport's region must not be 0.")
    return Viewport(int(parts[0]), int(parts[1]), left or 0.0, top or 0.0, across, down)


def _window(query: Mapping[str, str]) -> Window | None:
    """`center,width[,function]` (PS3.18 8.3.5.1.2)."""
    if "window" not in query:
        return None
    match [part.strip() for part in query["window"].split(",")]:
        case [center, width]:
            named = "linear"
        case [center, width, named]:
            pass
        case _:
            raise BadRequest("The window must be a center, a width and a function.")
    function = _FUNCTIONS.get(named.lower().replace("_", "-"))
    if function is None:
        raise BadRequest("The function of the window must be linear, linear-exact or sigmoid.")
    window = Window(_number(center, "window"), _number(width, "window"), function)
    if not window.is_valid:
        raise BadRequest("The width of the window must be at least 1 if it is linear, and above 0 otherwise.")
    return window


def _number(text: str, name: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise BadRequest(f"The parameter {name} must consist of numbers separated by commas.")
    return float(text)
