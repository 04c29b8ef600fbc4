"""Makes pydicom decode JPEG 2000 and HTJ2K, and encode JPEG 2000, with OpenJPEG.

pydicom has such a plugin for the package pylibjpeg, which is not needed for anything else here; its functions have the
signatures that pydicom's decoders and encoders want of theirs.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from openjpeg.utils import decode_pixel_data, encode_pixel_data
from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner
    from pydicom.pixels.encoders.base import EncodeRunner

NAME: Final = "openjpeg"

_BUFFER: Final = 2  # the version of OpenJPEG's interface that gives bytes
_DECODED: Final = (
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
)
# The package makes code streams of six resolutions, each half the size of the other.
_LEAST_SIDE: Final = 32
_MODES: Final = {(1, False): "L", (1, True): "I;16", (3, False): "RGB"}  # samples per pixel, more than 8 bits
_ENCODED: Final = "1.2.840.10008.1.2.4.90"  # OpenJPEG writes no HTJ2K


def register() -> None:
    """Adds the plugin to pydicom's decoders and encoders, once."""
    if NAME in get_encoder(_ENCODED).available_plugins:
        return
    for syntax in _DECODED:
        get_decoder(syntax).add_plugin(NAME, (__name__, "decode_frame"))
    get_encoder(_ENCODED).add_plugin(NAME, (__name__, "encode_frame"))


def is_available(_uid: str) -> bool:
    """Asked by pydicom."""
    return True


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes | bytearray:
    """The samples of a code stream, by pixel, in the fewest bytes that its precision fits in."""
    samples = decode_pixel_data(frame, version=_BUFFER)
    assert isinstance(samples, bytes | bytearray)
    # OpenJPEG undoes the transformation of colours.
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    precision = runner.get_option("j2k_precision", runner.bits_stored)
    runner.set_option("bits_allocated", 8 if precision <= 8 else 16 if precision <= 16 else 32)
    return samples


def encode_frame(samples: bytes, runner: EncodeRunner) -> bytes:
    """A lossless code stream; YBR_RCT means that OpenJPEG transforms RGB samples to that."""
    if min(runner.rows, runner.columns) < _LEAST_SIDE:
        return _encode_small_frame(samples, runner)
    return encode_pixel_data(samples, **runner.options)


def _encode_small_frame(samples: bytes, runner: EncodeRunner) -> bytes:
    """A code stream with fewer resolutions. Pillow, which has OpenJPEG too, gives 9 to 15 bits a precision of 16.

    Raises ValueError for colours of more than 8 bits, which it does not take.
    """
    mode = _MODES.get((runner.samples_per_pixel, runner.bits_stored > 8))
    if mode is None:
        raise ValueError("Small images in colours of more than 8 bits cannot be encoded.")
    stream = BytesIO()
    Image.frombytes(mode, (runner.columns, runner.rows), samples).save(
        stream,
        "JPEG2000",
        no_jp2=True,
        num_resolutions=min(runner.rows, runner.columns).bit_length(),
        mct=int(runner.photometric_interpretation == "YBR_RCT"),
        signed=bool(runner.pixel_representation),
    )
    return stream.getvalue()
