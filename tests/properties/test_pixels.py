"""Lossless means that every sample comes back, whatever the image (D-22)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.dicom import pixels, transcoding
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.transcoding import EXPLICIT_VR_LITTLE_ENDIAN, TARGETS


@st.composite
def images(draw: st.DrawFn) -> tuple[NDArray[Any], ImagePixel]:
    """Noise, or a gradient, of any size and depth."""
    samples, bits_allocated = draw(st.sampled_from([(1, 8), (1, 16), (3, 8), (3, 16)]))
    bits_stored = draw(st.integers(2, bits_allocated))
    signed = samples == 1 and draw(st.booleans())
    interpretation = "MONOCHROME2" if samples == 1 else draw(st.sampled_from(["RGB", "YBR_FULL"]))
    image = ImagePixel(
        draw(st.integers(1, 70)),
        draw(st.integers(1, 70)),
        samples,
        bits_allocated,
        bits_stored,
        bits_stored - 1,
        int(signed),
        interpretation,
    )
    least = -(1 << bits_stored - 1) if signed else 0
    values = np.arange(image.pixels) % (1 << bits_stored)
    if draw(st.booleans()):
        values = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 1 << bits_stored, image.pixels)
    shape = (image.rows, image.columns, 3)[: 2 + samples // 2]
    return (values + least).astype(f"<{'i' if signed else 'u'}{bits_allocated // 8}").reshape(shape), image


@pytest.mark.parametrize("target", sorted(TARGETS))
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_can_be_transcoded_comes_back(target: str, data: st.DataObject) -> None:
    array, image = data.draw(images())
    assume(transcoding.can_transcode(EXPLICIT_VR_LITTLE_ENDIAN, target, image))
    assume(target != pixels.JPEG_2000_LOSSLESS or min(image.rows, image.columns) >= 32 or array.nbytes == array.size)
    try:
        frame, described = transcoding.transcode_frame(array.tobytes(), image, EXPLICIT_VR_LITTLE_ENDIAN, target)
    except RuntimeError:  # CharLS gives up on images that do not get smaller: such an instance is 406 (WADO-54)
        assume(target != pixels.JPEG_LS_LOSSLESS)
        raise
    decoded, after = pixels.decode(frame, described, target)
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)
    assert after.photometric_interpretation == image.photometric_interpretation
