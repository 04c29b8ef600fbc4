"""The description of pixels: the Image Pixel module (PS3.3 C.7.6.3) of one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from shared.dicom import tags

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Chrominance is sampled for every second pixel only (PS3.3 C.7.6.3.1.2).
SUBSAMPLED: Final = "YBR_FULL_422"

_IMAGE_GROUP: Final = 0x0028
_OVERLAY_BITS_ALLOCATED: Final = frozenset(group << 16 | 0x0100 for group in range(0x6000, 0x6020, 2))


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """How the pixels of a frame are to be read. Two descriptions of equal pixels may differ: codecs change them."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int  # 0 unsigned, 1 two's complement
    photometric_interpretation: str
    planar_configuration: int = 0  # of native pixels with several samples: 0 by pixel, 1 by plane
    number_of_frames: int = 1
    has_embedded_overlays: bool = False  # in bits of the pixels that are not stored (retired, PS3.5 8.1.2)

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The description in a data set of pydicom.

        Raises ValueError when it is incomplete or no image can be like that.
        """
        found = {int(element.tag): element.value for element in dataset if is_description(int(element.tag))}
        return cls._of(found)

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """The same, of a DICOM JSON object (PS3.18 F.2)."""
        found = {int(key, 16): element.get("Value", [None])[0] for key, element in metadata.items()}
        return cls._of(found)

    @classmethod
    def _of(cls, values: Mapping[int, Any]) -> Self:
        def integer(tag: int, default: int | None = None) -> int:
            value: Any = values.get(tag)
            return int(value) if default is None or value not in (None, "") else default

        try:
            bits_allocated = integer(tags.BITS_ALLOCATED)
            bits_stored = integer(tags.BITS_STORED, bits_allocated)
            samples = integer(tags.SAMPLES_PER_PIXEL, 1)
            image = cls(
                rows=integer(tags.ROWS),
                columns=integer(tags.COLUMNS),
                samples_per_pixel=samples,
                bits_allocated=bits_allocated,
                bits_stored=bits_stored,
                high_bit=integer(tags.HIGH_BIT, bits_stored - 1),
                pixel_representation=integer(tags.PIXEL_REPRESENTATION, 0),
                photometric_interpretation=str(values.get(tags.PHOTOMETRIC_INTERPRETATION) or "").strip(" \0"),
                planar_configuration=integer(tags.PLANAR_CONFIGURATION, 0) if samples > 1 else 0,
                number_of_frames=max(integer(tags.NUMBER_OF_FRAMES, 1), 1),
                has_embedded_overlays=any(values.get(tag) not in (None, "", 1) for tag in _OVERLAY_BITS_ALLOCATED),
            )
        except TypeError as error:
            raise ValueError("The description of the image is incomplete.") from error
        has_pixels = image.rows > 0 and image.columns > 0 and samples in (1, 3) and image.photometric_interpretation
        if not has_pixels or not 1 <= bits_stored <= bits_allocated <= 64:
            raise ValueError("The description of the image is incomplete or contradicts itself.")
        return image

    @property
    def pixels(self) -> int:
        """The number of samples of a frame: pixels, times three when they have colours."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def frame_length(self) -> int:
        """Bytes of a native frame; bits that do not fill the last one are counted as a byte."""
        samples = self.pixels // 3 * 2 if self.photometric_interpretation == SUBSAMPLED else self.pixels
        return (samples * self.bits_allocated + 7) // 8

    @property
    def length(self) -> int:
        """Bytes of all native frames, without padding."""
        return self.frame_length * self.number_of_frames


def is_description(tag: int) -> bool:
    """Whether an element can tell something about the pixels."""
    return tag >> 16 == _IMAGE_GROUP or tag in _OVERLAY_BITS_ALLOCATED
