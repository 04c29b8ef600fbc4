"""What pydicom makes of a frame, to hold the service's images against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space

from tests.api.corpus import corpus_files


def reference(name: str) -> Any:
    """The first frame by pydicom's own means."""
    dataset = pydicom.dcmread(corpus_files()[name])
    pixels, properties = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset, index=0, raw=True)
    interpretation = properties["photometric_interpretation"]
    if interpretation == "PALETTE COLOR":
        colors = apply_color_lut(pixels, pydicom.dcmread(corpus_files()[name.replace("_expb", "").replace("_big", "")]))
        return colors / (257 if colors.max() > 255 else 1)
    if interpretation in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        colors = convert_color_space(pixels, interpretation, "RGB") if interpretation != "RGB" else pixels
        return colors / 256.0 ** (colors.dtype.itemsize - 1)
    values = apply_modality_lut(pixels, dataset)
    window = "VOILUTSequence" not in dataset and "WindowWidth" in dataset
    shown = apply_voi_lut(values, dataset).astype(float)
    low, high = (shown.min(), shown.max()) if not window else _range(dataset)
    shown = (shown - low) / (high - low) * 255
    return 255 - shown if interpretation == "MONOCHROME1" else shown


def _range(dataset: Dataset) -> tuple[float, float]:
    """pydicom's windows have the range that all stored values would have."""
    low = -(1 << dataset.BitsStored - 1) if dataset.PixelRepresentation else 0
    ends = apply_modality_lut(np.array([low, low + (1 << dataset.BitsStored) - 1]), dataset)
    return ends[0], ends[1]
