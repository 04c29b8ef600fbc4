"""Where an image goes: PS3.18 8.3.5.1.3, and the shape of its pixels (PS3.3 C.7.6.3.1.7, 10.7.1.3)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from shared.dicom.viewport import Placement, Viewport, pixel_aspect, place
from shared.errors import BadRequest


@pytest.mark.parametrize(
    ("viewport", "expected"),
    [
        (None, Placement((0, 0, 400, 200), 400, 200)),
        (Viewport(100, 100), Placement((0, 0, 400, 200), 100, 50)),
        (Viewport(100, 20), Placement((0, 0, 400, 200), 40, 20)),
        (Viewport(800, 800), Placement((0, 0, 400, 200), 800, 400)),
        (Viewport(50, 50, 100, 50, 100, 100), Placement((100, 50, 200, 150), 50, 50)),
        (Viewport(50, 50, 300.5, 0), Placement((300.5, 0, 400, 200), 25, 50)),
        (Viewport(50, 50, across=-100, down=100), Placement((0, 0, 100, 100), 50, 50, mirrored=True)),
        (Viewport(50, 50, across=100, down=-100), Placement((0, 0, 100, 100), 50, 50, upside_down=True)),
        (Viewport(50, 50, -100, -100, 200, 200), Placement((0, 0, 100, 100), 50, 50)),
        (Viewport(50, 50, 300, 100, 1000, 1000), Placement((300, 100, 400, 200), 50, 50)),
        (Viewport(9, 9, 0, 0, 400, 0.5), Placement((0, 0, 400, 0.5), 9, 1)),
    ],
)
def test_place(viewport: Viewport | None, expected: Placement) -> None:
    """The region that is asked for, as far as there is one, as large as the viewport allows, in its own proportions."""
    assert place(400, 200, 1, viewport) == expected


def test_small_images_are_magnified_on_demand_only() -> None:
    assert place(20, 10, 1, Viewport(100, 100)) == Placement((0, 0, 20, 10), 100, 50)
    assert place(20, 10, 1, Viewport(100, 100), enlarge=False) == Placement((0, 0, 20, 10), 20, 10)


@pytest.mark.parametrize(
    "viewport",
    [Viewport(9, 9, 400), Viewport(9, 9, 0, 200), Viewport(9, 9, -5, 0, 5, 5), Viewport(9, 9, 0, -1, 5, 1)],
)
def test_region_outside_of_the_image(viewport: Viewport) -> None:
    with pytest.raises(BadRequest):
        place(400, 200, 1, viewport)


@pytest.mark.parametrize(
    ("aspect", "viewport", "size"),
    [
        (2, None, (400, 400)),
        (0.5, None, (800, 200)),
        (2, Viewport(100, 100), (100, 100)),
        (0.5, Viewport(8, 8), (8, 2)),
    ],
)
def test_pixels_that_are_not_square(aspect: float, viewport: Viewport | None, size: tuple[int, int]) -> None:
    """Stretched in the direction in which their pixels are longer, so that none is lost."""
    placement = place(400, 200, aspect, viewport)
    assert (placement.width, placement.height) == size


@pytest.mark.parametrize(
    ("attributes", "aspect"),
    [
        ({}, 1),
        ({"PixelSpacing": [0.5, 0.25]}, 2),
        ({"PixelAspectRatio": [3, 4], "PixelSpacing": [1, 1]}, 0.75),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, 2),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, 2),
        ({"PixelSpacing": [0.5, 0.5004]}, 1),
        ({"PixelSpacing": [50, 0.5]}, 1),
        ({"PixelSpacing": [0, 0.5]}, 1),
        ({"PixelSpacing": [-1, 0.5]}, 1),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.1]}, 2),
        ({"PixelSpacing": 0.5}, 1),
    ],
)
def test_shape_of_pixels(attributes: dict[str, list[float]], aspect: float) -> None:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    assert pixel_aspect(dataset) == aspect
