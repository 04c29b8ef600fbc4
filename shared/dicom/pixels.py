"""Frames decoded and encoded, by the codecs behind pydicom. Codecs can take long, and crash: see services/codecs.py."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

from shared.dicom import openjpeg_plugin
from shared.dicom.image_pixel import SUBSAMPLED, ImagePixel

JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"

_JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"

# One decoder for each syntax, so that a damaged image is not given to the next one until one makes something of it.
# All of them refuse images that end early. Of those for JPEG, only GDCM leaves colours alone whatever the markers say.
DECODERS: Final = {
    _JPEG_BASELINE: "gdcm",
    _JPEG_EXTENDED: "gdcm",
    "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    JPEG_LS_LOSSLESS: "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    JPEG_2000_LOSSLESS: openjpeg_plugin.NAME,
    "1.2.840.10008.1.2.4.91": openjpeg_plugin.NAME,
    "1.2.840.10008.1.2.4.201": openjpeg_plugin.NAME,
    "1.2.840.10008.1.2.4.202": openjpeg_plugin.NAME,
    "1.2.840.10008.1.2.4.203": openjpeg_plugin.NAME,
    RLE_LOSSLESS: "pydicom",
}
ENCODERS: Final = {
    JPEG_LS_LOSSLESS: "pyjpegls",
    JPEG_2000_LOSSLESS: openjpeg_plugin.NAME,
    RLE_LOSSLESS: "gdcm",
}

# What a code stream may claim to be, of what it is: pydicom refuses 12 bits of JPEG Extended, which GDCM can decode.
_DECODED_AS: Final = {_JPEG_EXTENDED: _JPEG_BASELINE}

openjpeg_plugin.register()


def decode(
    frame: bytes, image: ImagePixel, transfer_syntax: str, *, keep_unused_bits: bool = False
) -> tuple[NDArray[Any], ImagePixel]:
    """The pixels of one frame, of shape (rows, columns) or (rows, columns, 3), and their description.

    `frame` is the frame as stored: native, beginning on a byte, or a whole code stream. Colours are not converted,
    other than by codecs that cannot help it: YBR_RCT and YBR_ICT become RGB; chrominance that is subsampled is
    expanded. Bits beyond BitsStored are cleared (or repeat the sign) unless they are to be kept. Eight bits in OW of
    big endian are expected with their bytes in order.

    Raises exceptions of all kinds where `frame` is not such an image.
    """
    syntax = UID(_DECODED_AS.get(transfer_syntax, transfer_syntax))
    source = encapsulate([frame], has_bot=False) if syntax.is_encapsulated else frame
    options = _options(image) | {"correct_unused_bits": not keep_unused_bits}
    with warnings.catch_warnings(action="ignore"):  # of what the images of others have wrong
        pixels, properties = get_decoder(syntax).as_array(
            source, index=0, raw=True, decoding_plugin=DECODERS.get(transfer_syntax, ""), **options
        )
    photometric_interpretation = str(properties["photometric_interpretation"])
    if photometric_interpretation == SUBSAMPLED:
        photometric_interpretation = "YBR_FULL"
    decoded = replace(
        image, photometric_interpretation=photometric_interpretation, planar_configuration=0, number_of_frames=1
    )
    return pixels, decoded


def encode(pixels: NDArray[Any], image: ImagePixel, transfer_syntax: str) -> bytes:
    """One frame in a lossless or uncompressed little endian transfer syntax, without padding.

    `pixels` and `image` are as `decode` gives them; `encoded_as` describes the result. Raises ValueError when the
    syntax cannot hold pixels like these, and whatever else a codec raises.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    plugin = ENCODERS.get(transfer_syntax)
    if plugin is None:
        return pixels.tobytes()
    options = _options(encoded_as(image, transfer_syntax))
    if transfer_syntax == RLE_LOSSLESS:
        options["bits_stored"] = image.bits_allocated  # it holds whole bytes, used or not
        if pixels.nbytes % 2:
            plugin = "pydicom"  # GDCM fails on an odd number of bytes
    if transfer_syntax == JPEG_LS_LOSSLESS and image.pixel_representation:
        # JPEG-LS knows no sign: the stored bits count as a number without one (PS3.5 8.2.3).
        mask = (1 << image.bits_stored) - 1
        pixels = pixels.view(pixels.dtype.str.replace("i", "u")) & mask
        options["pixel_representation"] = 0
    return bytes(get_encoder(transfer_syntax).encode(pixels, encoding_plugin=plugin, **options))


def encoded_as(image: ImagePixel, transfer_syntax: str) -> ImagePixel:
    """The description of pixels, described by `image` so far, in another transfer syntax."""
    if transfer_syntax == JPEG_2000_LOSSLESS and image.photometric_interpretation == "RGB":
        return replace(image, photometric_interpretation="YBR_RCT", planar_configuration=0)
    return replace(image, planar_configuration=0)


def _options(image: ImagePixel) -> dict[str, Any]:
    """The description of one frame by the names that pydicom has for it."""
    return {
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples_per_pixel,
        "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored,
        "pixel_representation": image.pixel_representation,
        "photometric_interpretation": image.photometric_interpretation,
        "planar_configuration": image.planar_configuration,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
