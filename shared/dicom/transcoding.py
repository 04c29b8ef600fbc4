"""Stored files in other transfer syntaxes (WADO-50 to WADO-57, D-22): what is possible, and all but the order of bytes.

A file is a head (everything before its pixel data), the pixel data, and the elements behind. Nothing here needs more of
a file than the head, one frame, or what is behind the pixel data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final, Self

from pydicom.pixels.encoders.base import ENCODING_PROFILES
from pydicom.uid import UID

from shared.dicom import dicom_json, pixels, tags
from shared.dicom.dataset_scanner import DatasetScanner
from shared.dicom.element import ScannedFile
from shared.dicom.element_codec import ElementEncoding
from shared.dicom.element_list import replace as replace_elements
from shared.dicom.file_meta import end_of_file_meta, patch_file_meta
from shared.dicom.head import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    HeadScanner,
)
from shared.dicom.image_pixel import ImagePixel, is_description
from shared.dicom.reencoding import reencode

_NATIVE: Final = frozenset(
    {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN}
)
SOURCES: Final = _NATIVE | pixels.DECODERS.keys()
TARGETS: Final = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN}) | pixels.ENCODERS.keys()

# Of a frame, as stored or decoded. Codecs take several times the memory.
MAX_FRAME_BYTES: Final = 512 << 20
# The length of native pixel data is an even number of 32 bits, and not the one that means "undefined".
MAX_NATIVE_BYTES: Final = (1 << 32) - 2

_UNUSED_BITS_STAY: Final = _NATIVE | {pixels.RLE_LOSSLESS}
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
# YBR_ICT and YBR_RCT exist in code streams of JPEG 2000 only, and codecs give RGB.
_RGB: Final = frozenset({"RGB", "YBR_ICT", "YBR_RCT"})
_YBR: Final = frozenset({"YBR_FULL", "YBR_FULL_422"})

_OFFSET_TABLES: Final = frozenset({tags.EXTENDED_OFFSET_TABLE, tags.EXTENDED_OFFSET_TABLE_LENGTHS})


def is_native(transfer_syntax: str) -> bool:
    """Whether pixel data is not compressed; that it may be deflated along with its data set is another matter."""
    return transfer_syntax in _NATIVE


def knows(source: str, target: str) -> bool:
    """Whether there are instances in the transfer syntax `source` that can be had in `target` (WADO-53, D-22)."""
    return source in SOURCES and target in TARGETS


def can_transcode(source: str, target: str, image: ImagePixel | None) -> bool:
    """Whether an instance with pixels can be had in another transfer syntax, without loss (WADO-53, WADO-55, D-22).

    `image` describes the pixels as they are stored. None, when they have no complete description or are not integers,
    makes no difference between native transfer syntaxes only. That a frame is damaged may still turn up later.
    """
    if not knows(source, target):
        return False
    if is_native(source) and is_native(target):
        return True
    return image is not None and _can_decode(source, image) and _can_encode(target, image)


def _can_decode(source: str, image: ImagePixel) -> bool:
    if image.photometric_interpretation not in _GREY | _RGB | _YBR:
        return False
    if image.bits_allocated not in (8, 16) and (image.bits_allocated != 32 or source != pixels.RLE_LOSSLESS):
        return False
    return image.pixels * image.bits_allocated // 8 <= MAX_FRAME_BYTES


def _can_encode(target: str, image: ImagePixel) -> bool:
    encoded = pixels.encoded_as(decoded_as(image), target)
    if is_native(target):
        return encoded.length <= MAX_NATIVE_BYTES
    uses_other_bits = image.high_bit != image.bits_stored - 1 or image.has_embedded_overlays
    if image.bits_allocated > 16 or (uses_other_bits and target not in _UNUSED_BITS_STAY):
        return False
    return any(  # PS3.5 8.2
        encoded.photometric_interpretation == photometric_interpretation
        and encoded.samples_per_pixel == samples
        and encoded.pixel_representation in representations
        and encoded.bits_allocated in bits_allocated
        and encoded.bits_stored in bits_stored
        for photometric_interpretation, samples, representations, bits_allocated, bits_stored in ENCODING_PROFILES[
            UID(target)
        ]
    )


def decoded_as(image: ImagePixel) -> ImagePixel:
    """The description that `pixels.decode` can be expected to give."""
    interpretation = image.photometric_interpretation
    interpretation = "RGB" if interpretation in _RGB else "YBR_FULL" if interpretation in _YBR else interpretation
    return replace(image, photometric_interpretation=interpretation, planar_configuration=0)


def transcode_frame(frame: bytes, image: ImagePixel, source: str, target: str) -> tuple[bytes, ImagePixel]:
    """One frame of `source`, native ones in little endian, as a frame of `target` without padding, and its description.

    Raises exceptions of all kinds when a codec fails.
    """
    if source in (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
        source = EXPLICIT_VR_LITTLE_ENDIAN
    keep = target in _UNUSED_BITS_STAY
    array, decoded = pixels.decode(frame, image, source, keep_unused_bits=keep)
    encoded = pixels.encoded_as(decoded, target)
    return pixels.encode(array, decoded, target), replace(encoded, number_of_frames=image.number_of_frames)


@dataclass(frozen=True, slots=True)
class Head:
    """What a file begins with: everything before its pixel data, or all of it when there are none."""

    data: bytes
    scan: ScannedFile
    image: ImagePixel | None  # None when the pixels are not described

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Reads a head, which is not deflated. Raises InvalidDicom."""
        scanner = HeadScanner()
        scanner.feed(data)
        scan = scanner.finish()
        return cls(data, scan, _image(scan))

    def transcoded(self, target: str, image: ImagePixel | None) -> bytes:
        """The head of the transcoded file: a zero preamble, the File Meta Information and the data set (WADO-56).

        `image` describes the pixels that are to follow; None when they stay as they are. Raises InvalidDicom.
        """
        end_of_meta = end_of_file_meta(self.data, is_deflated=False) or len(self.data)
        source, encoding = ElementEncoding.of(self.scan.transfer_syntax), ElementEncoding.of(target)
        elements = reencode(self.scan.dataset, self.data, source, encoding)
        elements = [(tag, element) for tag, element in elements if tag not in _OFFSET_TABLES]
        if image is not None:
            interpretation = image.photometric_interpretation.encode()
            values = {tags.PHOTOMETRIC_INTERPRETATION: ("CS", interpretation + b" " * (len(interpretation) % 2))}
            if image.samples_per_pixel > 1:
                values[tags.PLANAR_CONFIGURATION] = ("US", image.planar_configuration.to_bytes(2, "little"))
            encoded = {tag: encoding.element(tag, vr, value) for tag, (vr, value) in values.items()}
            elements = replace_elements(elements, encoded)
        data_set = b"".join(element for _, element in elements)
        return patch_file_meta(self.data[:end_of_meta], target) + data_set


def _image(scan: ScannedFile) -> ImagePixel | None:
    description = [element for element in scan.dataset if is_description(element.tag)]
    metadata = json.loads(dicom_json.encode(description, scan.character_sets, scan.is_little_endian))
    try:
        return ImagePixel.of_metadata(metadata)
    except ValueError:
        return None


def transcoded_rest(data: bytes, source: str, target: str) -> bytes:
    """The elements behind the pixel data; zeros that follow them are left out. Raises InvalidDicom."""
    encoding = ElementEncoding.of(source)
    scanner = DatasetScanner(0, encoding.is_implicit_vr, encoding.is_little_endian, source)
    scanner.feed(data)
    scanner.finish()
    return b"".join(element for _, element in reencode(scanner.elements, data, encoding, ElementEncoding.of(target)))


def native_pixel_data_header(target: str, image: ImagePixel) -> bytes:
    """The header of pixel data that were decoded."""
    vr = "OB" if image.bits_allocated <= 8 else "OW"  # PS3.5 8.1.2, A.2
    return ElementEncoding.of(target).header(tags.PIXEL_DATA, vr, image.length + image.length % 2)
