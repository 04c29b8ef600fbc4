"""The query parameters of rendered images: WADO-71, PS3.18 8.3.5, CL-8."""

from __future__ import annotations

import pytest

from shared.dicom.grayscale import Window
from shared.dicom.rendering import Rendition
from shared.dicom.viewport import Viewport
from shared.errors import BadRequest
from shared.services.rendering_parameters import rendition, thumbnail


def test_defaults() -> None:
    """WADO-71; unknown parameters are ignored (CL-8)."""
    assert rendition({}) == Rendition(100)
    assert rendition({"annotation": "patient", "Quality": "0", "iccprofile": "no"}) == Rendition(100)
    assert thumbnail({}) == Rendition(75, Viewport(128, 128), enlarge=False)
    assert thumbnail({"viewport": "300,200", "quality": "5"}) == Rendition(5, Viewport(300, 200))


@pytest.mark.parametrize(("text", "quality"), [("1", 1), ("100", 100), ("90", 90), ("007", 7), (" 10 ", 10)])
def test_quality(text: str, quality: int) -> None:
    assert rendition({"quality": text}).quality == quality


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.0", "", "x", "1e1", "1000", "٣", "9" * 5000])
def test_bad_quality(text: str) -> None:
    with pytest.raises(BadRequest, match="Image quality must be between 1 and 100 inclusive"):
        rendition({"quality": text})
    with pytest.raises(BadRequest):
        thumbnail({"quality": text})


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("64,64", Viewport(64, 64)),
        ("64, 32", Viewport(64, 32)),
        ("1,2,3,4,5,6", Viewport(1, 2, 3, 4, 5, 6)),
        ("1,2,,,-5.5,-6e1", Viewport(1, 2, 0, 0, -5.5, -60)),
        ("1,2,0.5", Viewport(1, 2, 0.5)),
        ("1,2,,,,", Viewport(1, 2)),
        ("1,2,-3,.4,5.", Viewport(1, 2, -3, 0.4, 5)),
    ],
)
def test_viewport(text: str, viewport: Viewport) -> None:
    """PS3.18 8.3.5.1.3."""
    assert rendition({"viewport": text}).viewport == viewport


@pytest.mark.parametrize(
    "text",
    ["", "64", "64,", ",64", "0,64", "64,-1", "64.5,64", "1,2,3,4,5,6,7", "1,2,,,0,1", "1,2,,,1,0.0", "1,2,x", "1,2,nan",
     "1,2,inf", "1,2,1_0", "9999999999,1", "1,2,3,4,5,6,", "1,2,1e999"],
)  # fmt: skip
def test_bad_viewport(text: str) -> None:
    with pytest.raises(BadRequest):
        rendition({"viewport": text})


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400", Window(40, 400)),
        ("-600,1500,linear", Window(-600, 1500)),
        ("0.5, 1, LINEAR", Window(0.5, 1)),
        ("0,0.001,linear-exact", Window(0, 0.001, "LINEAR_EXACT")),
        ("0,1e3,LINEAR_EXACT", Window(0, 1000, "LINEAR_EXACT")),
        ("10,20,Sigmoid", Window(10, 20, "SIGMOID")),
    ],
)
def test_window(text: str, window: Window) -> None:
    """PS3.18 8.3.5.1.2."""
    assert rendition({"window": text}).window == window
    assert thumbnail({"window": text}).window == window


@pytest.mark.parametrize(
    "text",
    ["", "40", "40,", "40,400,", "40,400,cubic", "40,400,linear,1", "x,400", "40,0", "40,0.5", "40,-1,sigmoid",
     "40,0,linear-exact", "nan,1", "40,inf,sigmoid"],
)  # fmt: skip
def test_bad_window(text: str) -> None:
    with pytest.raises(BadRequest):
        rendition({"window": text})
