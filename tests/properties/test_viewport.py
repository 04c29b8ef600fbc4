from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.dicom.viewport import Viewport, place
from shared.errors import BadRequest

sides = st.integers(1, 5000)
positions = st.floats(-6000, 6000)


@given(
    sides, sides, st.floats(0.1, 10), sides, sides, positions, positions, st.none() | positions, st.none() | positions
)
def test_a_placement_fits(
    columns: int,
    rows: int,
    aspect: float,
    width: int,
    height: int,
    left: float,
    top: float,
    across: float | None,
    down: float | None,
) -> None:
    """PS3.18 8.3.5.1.3: within the image, within the viewport, filling it in one direction, undistorted."""
    try:
        placed = place(columns, rows, aspect, Viewport(width, height, left, top, across, down))
    except BadRequest:
        return
    first, upper, end, lower = placed.region
    assert 0 <= first < end <= columns
    assert 0 <= upper < lower <= rows
    assert 1 <= placed.width <= width
    assert 1 <= placed.height <= height
    assert placed.width == width or placed.height == height
    assert placed.mirrored == (across is not None and across < 0)
    assert placed.upside_down == (down is not None and down < 0)
    drawn = placed.height / placed.width
    wanted = (lower - upper) / (end - first) * aspect
    assume(min(placed.width, placed.height) > 1)  # a side of one pixel is rounded up from less
    tolerance = 1 / placed.width + 1 / placed.height
    assert abs(drawn / wanted - 1) <= 2 * tolerance


@given(sides, sides, st.floats(0.1, 10), sides)
def test_not_magnified(columns: int, rows: int, aspect: float, side: int) -> None:
    """Thumbnails are never larger than their image as it is drawn without a viewport."""
    whole = place(columns, rows, aspect, None)
    small = place(columns, rows, aspect, Viewport(side, side), enlarge=False)
    assert small.width <= whole.width
    assert small.height <= whole.height
