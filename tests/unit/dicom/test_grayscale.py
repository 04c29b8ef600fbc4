"""The grayscale pipeline: PS3.3 C.7.6.3.1.2, C.11.1, C.11.2, C.11.6, C.7.5.1.1.2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from shared.dicom.grayscale import Function, Window, shades

RAMP = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)


def attributes(**values: Any) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored = 16
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def lut(first: int, entries: list[int], bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.add_new(0x00283002, "SS", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return [item]


def drawn(pixels: Any, dataset: Dataset, window: Window | None = None) -> list[int]:
    array = np.atleast_2d(pixels)
    result: list[int] = shades(array, dataset, window, is_little_endian=True).ravel().tolist()
    return result


def standard(x: float, center: float, width: float, function: Function) -> float:
    """The formulas as the standard writes them, with an output range of 0 to 255."""
    if function == "SIGMOID":  # C.11.2.1.3.1
        return 255 / (1 + math.exp(min(-4 * (x - center) / width, 700)))
    if function == "LINEAR_EXACT":  # C.11.2.1.3.2
        if x <= center - width / 2:
            return 0
        return 255 if x > center + width / 2 else ((x - center) / width + 0.5) * 255
    if x <= center - 0.5 - (width - 1) / 2:  # C.11.2.1.2.1
        return 0
    if x > center - 0.5 + (width - 1) / 2:
        return 255
    return ((x - (center - 0.5)) / (width - 1) + 0.5) * 255


@given(
    st.lists(st.integers(-2000, 2000), min_size=1, max_size=30),
    st.floats(-1500, 1500),
    st.floats(1, 3000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows(values: list[int], center: float, width: float, function: Function) -> None:
    found = drawn(np.array(values, np.int16), attributes(), Window(center, width, function))
    assert found == [pytest.approx(standard(value, center, width, function), abs=0.51) for value in values]


def test_windows_of_the_standard() -> None:
    """The examples of C.11.2.1.2.1: center 2048 and width 4096 show 12 bits as they are; width 1 is a threshold."""
    values = np.array([0, 1, 2048, 4094, 4095], np.uint16)
    assert drawn(values, attributes(), Window(2048, 4096)) == [0, 0, 128, 255, 255]
    assert drawn(np.array([99, 100, 101]), attributes(), Window(100.5, 1)) == [0, 0, 255]


def test_the_window_that_is_asked_for_wins() -> None:
    dataset = attributes(WindowCenter=0, WindowWidth=2, VOILUTSequence=lut(0, [1, 2]))
    assert drawn([[0, 50, 100]], dataset, Window(50, 100, "LINEAR_EXACT")) == [0, 128, 255]


def test_window_applies_behind_the_modality_lut() -> None:
    """C.11.2.1.2: the window of a CT is in Hounsfield units."""
    dataset = attributes(RescaleSlope=2, RescaleIntercept=-1000)
    assert drawn(np.array([0, 500, 1000], np.uint16), dataset, Window(0, 2000, "LINEAR_EXACT")) == [0, 128, 255]


def test_first_window_of_the_image() -> None:
    dataset = attributes(WindowCenter=[50, 5000], WindowWidth=[100, 1], VOILUTFunction="LINEAR_EXACT")
    assert drawn([[0, 50, 100]], dataset) == [0, 128, 255]
    dataset.VOILUTFunction = "SIGMOID"
    assert drawn([[0, 50, 100]], dataset) == [30, 128, 225]


@pytest.mark.parametrize(
    "window",
    [{"WindowWidth": 0}, {"WindowWidth": -5}, {"WindowWidth": 0.5}, {"WindowCenter": None}, {"WindowWidth": None}, {}],
)
def test_all_values_without_a_usable_window(window: dict[str, Any]) -> None:
    """WADO-76."""
    dataset = attributes(**({"WindowCenter": 7, "WindowWidth": 7} | window) if window else {})
    assert drawn([[-100, 0, 100]], dataset) == [0, 128, 255]


def test_padding_does_not_count() -> None:
    pixels = np.array([[-2000, 0, 50, 100]], np.int16)
    assert drawn(pixels, attributes(PixelPaddingValue=-2000)) == [0, 0, 128, 255]
    assert drawn(np.array([[-2000, -1500, 0, 50, 100]]), attributes(PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1500)) == [
        0, 0, 0, 128, 255,
    ]  # fmt: skip
    assert drawn([[5, 5]], attributes(PixelPaddingValue=5)) == [0, 0]


def test_single_bits_are_black_and_white() -> None:
    """An empty frame of a segmentation is black, a full one white."""
    dataset = attributes(BitsStored=1)
    assert drawn(np.array([[0, 1]], np.uint8), dataset) == [0, 255]
    assert drawn(np.array([[0, 0]], np.uint8), dataset) == [0, 0]
    assert drawn(np.array([[1, 1]], np.uint8), dataset) == [255, 255]


@pytest.mark.parametrize(
    ("interpretation", "shape", "expected"),
    [
        ("MONOCHROME2", None, [0, 255]),
        ("MONOCHROME1", None, [255, 0]),
        ("MONOCHROME2", "IDENTITY", [0, 255]),
        ("MONOCHROME2", "INVERSE", [255, 0]),
        ("MONOCHROME1", "INVERSE", [255, 0]),
        ("MONOCHROME1", "IDENTITY", [255, 0]),
    ],
)
def test_polarity(interpretation: str, shape: str | None, expected: list[int]) -> None:
    """Inverted once if one of the two says so."""
    dataset = attributes(PhotometricInterpretation=interpretation, PresentationLUTShape=shape)
    assert drawn([[0, 1000]], dataset) == expected


def test_voi_lut() -> None:
    """C.11.2.1.1: it wins over the window of the image."""
    dataset = attributes(VOILUTSequence=lut(10, [0, 51, 4095], 12), WindowCenter=0, WindowWidth=1)
    assert drawn([[0, 10, 11, 12, 99]], dataset) == [0, 0, 3, 255, 255]


def test_voi_lut_of_negative_values() -> None:
    """The first input is negative, though the file has it as an unsigned number: the rescaled values are negative."""
    dataset = attributes(RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=lut(0, [0, 65535]))
    dataset.VOILUTSequence[0]["LUTDescriptor"].VR = "US"
    dataset.VOILUTSequence[0].LUTDescriptor = [2, 65536 - 1024, 16]
    assert drawn(np.array([[0, 1]], np.uint16), dataset) == [0, 255]


def test_modality_lut() -> None:
    """C.11.1.1: before the VOI; without one all values of the table count, in whatever order they are."""
    dataset = attributes(ModalityLUTSequence=lut(0, [300, 100, 200], 12))
    assert drawn([[0, 1, 2]], dataset) == [255, 0, 128]
    assert drawn([[0, 1, 2]], dataset, Window(200, 200, "LINEAR_EXACT")) == [255, 0, 128]


@pytest.mark.parametrize("kind", ["u1", "<i2", ">i2", ">u4", "<i4", "<f4", ">f8", "u8"])
def test_number_types(kind: str) -> None:
    assert drawn(np.array([[0, 50, 100]], kind), attributes()) == [0, 128, 255]


def test_wide_range_of_integers() -> None:
    """More values than a table is made for."""
    pixels = np.array([[-(1 << 31), 0, (1 << 31) - 1]], np.int32)
    assert drawn(pixels, attributes()) == [0, 128, 255]
    assert drawn(pixels, attributes(), Window(0, 100)) == [0, 129, 255]


def test_floats_that_are_no_numbers() -> None:
    assert drawn(np.array([[np.nan, -np.inf, 0, 1, np.inf]], np.float32), attributes()) == [0, 0, 0, 255, 255]
    assert drawn(np.array([[np.nan, np.nan]], np.float64), attributes()) == [0, 0]


def test_absurd_rescaling() -> None:
    dataset = attributes(RescaleSlope=1e300, RescaleIntercept=0)
    assert len(drawn([[0, 1e300]], dataset)) == 2
    assert drawn([[0, 5]], attributes(RescaleSlope=0, RescaleIntercept=0)) == [0, 0]


def test_large_frames_are_drawn_in_bands() -> None:
    """The bands make no difference."""
    pixels = np.arange(1500 * 1000, dtype=np.uint32).reshape(1500, 1000)
    found = shades(pixels, attributes(), None, is_little_endian=True)
    assert found.shape == pixels.shape
    assert np.abs(found - pixels / (pixels.size - 1) * 255).max() <= 0.51
    small = (pixels % 4096).astype(np.uint16)
    assert np.abs(shades(small, attributes(), None, is_little_endian=True) - small / 4095 * 255).max() <= 0.51


def test_tables_and_formulas_agree() -> None:
    """A frame with few values is drawn by a table, one with more values than pixels by the formula."""
    dataset = attributes(RescaleSlope=3.7, RescaleIntercept=-1024)
    window = Window(40, 400)
    by_table = shades(RAMP, dataset, window, is_little_endian=True)
    by_formula = shades(RAMP.astype(np.float64), dataset, window, is_little_endian=True)
    assert np.array_equal(by_table, by_formula)
