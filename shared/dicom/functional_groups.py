"""What enhanced multi-frame objects say of one frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from shared.dicom.plain_values import items

# The macros whose attributes change what a frame looks like: PS3.3 C.7.6.16.2.1, .9 and .10.
_MACROS: Final = ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence")


def attributes_of_frame(dataset: Dataset, number: int) -> Dataset:
    """The top-level attributes, and over them those of the functional groups of a frame; `number` counts from 1."""
    frame = Dataset()
    frame.update(dataset)
    groups = [
        *items(dataset, "SharedFunctionalGroupsSequence")[:1],
        *items(dataset, "PerFrameFunctionalGroupsSequence")[number - 1 : number],
    ]
    for group in groups:
        for macro in _MACROS:
            for item in items(group, macro)[:1]:
                frame.update(item)
    return frame
