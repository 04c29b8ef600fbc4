"""High-throughput JPEG 2000 as a source (D-22). OpenJPH has made these code streams, of images that formulas describe."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate

from shared.dicom.pixels import JPEG_2000_LOSSLESS, RLE_LOSSLESS
from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, parts, store
from tests.support.host import Host

LOSSLESS, LOSSLESS_RPCL, LOSSY = (f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
RAMP = np.arange(64).reshape(8, 8)
IMAGES = {
    "grey": (
        LOSSLESS, 8, "MONOCHROME2", (RAMP * 4).astype("u1"), 0,
        "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABBwEB/1AACAACAAAAAv9SAAwAAgABAAUEBEAB/1wAEyBI"
        "UFBQUFBQUFBQUFBQSEhI/2QAFwABT3BlbkpQSCBWZXIgMC4zMi4wLv+QAAoAAAAAAEkAAf+TwCXbAId0AAAAwBLAEoDiAAd0ACIB"
        "h3QAwBLAEwAAAMJ0AI6OAENUAMAlgFSAqqnidAC+9/7AAAHstgD/2Q==",
    ),
    "signed": (
        LOSSLESS_RPCL, 12, "MONOCHROME2", (RAMP * 64 - 2048).astype("<i2"), 0,
        "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABiwEB/1AACAACAAAABv9SAAwAAgABAAUEBEAB/1wAEyBo"
        "cHBwcHBwcHBwcHBwaGho/2QAFwABT3BlbkpQSCBWZXIgMC4zMi4wLv9VAAoAYAAAAAAAVv+QAAoAAAAAAFYAAf+TwAJgu/0Ch3QA"
        "AADAATQAEwBG/gIHdAA+8gOHdADAATQAE4AeHgGCdAD+6I8Aw1QAwAKiABVAvu/7qnCCdQD++/fvwEIB7LYA/9k=",
    ),
    "lossy": (
        LOSSY, 8, "MONOCHROME2", (RAMP * 4).astype("u1"), 1,
        "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABBwEB/1AACAACAAAAIv9SAAwAAgABAAUEBEAA/1wAIyJ3"
        "GHbqdup2vG8AbwBu4mdMZ0xnZFADUANQRlfSV9JXYf9kABcAAU9wZW5KUEggVmVyIDAuMzIuMC7/kAAKAAAAAABUAAH/k8ABMEP6"
        "Awd0AAAAwASwASj0AId0ALgCB3QAwBLAFQDMAMJ0AAK5gPwAhrQAwBPAFcAQ4Cn7SxUAbjvRCZ1oogAAKbvqNwD/2Q==",
    ),
    "colour": (
        LOSSLESS, 8, "YBR_RCT", np.stack([RAMP * 4, 255 - RAMP * 4, RAMP], -1).astype("u1"), 0,
        "/0//UQAvQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAAv9SAAwAAgABAQEEBEAB"
        "/1wAByBQUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4zMi4wLv+QAAoAAAAAAJQAAf+TwBaQkWPPTyFe5uaO8ukAUBjpJrcAwBbA/V3T"
        "J1XX/H70JqQiVHL8yfwAGghAMbcAwBbA/f3d3b29mZkAICBAQGBkhAFAxwhA0LgAwBJAE4CgC+QAu+3ASey1AMATwBVAAPCgp0J1"
        "AE7Hcf7AEIHstgDAE8AVILb9oKdCdQB+3/fAEIHstgD/2Q==",
    ),
}  # fmt: skip
"""Transfer syntax, BitsStored, PhotometricInterpretation, pixels, by how much these may differ, code stream."""


def instance(transfer_syntax: str, bits: int, photometric: str, pixels: NDArray[Any], streams: list[bytes]) -> bytes:
    content = builders.dataset()
    content.Rows, content.Columns, content.SamplesPerPixel = 8, 8, pixels.size // 64
    content.PhotometricInterpretation, content.NumberOfFrames = photometric, len(streams)
    content.BitsAllocated, content.BitsStored, content.HighBit = pixels.itemsize * 8, bits, bits - 1
    content.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        content.PlanarConfiguration = 0
    content.PixelData = encapsulate(streams)
    content["PixelData"].VR, content["PixelData"].is_undefined_length = "OB", True
    return builders.part10(content, transfer_syntax)


@pytest.mark.parametrize("kind", IMAGES)
def test_source(host: Host, kind: str) -> None:
    """D-22: as files, frames and images, in other transfer syntaxes and as they are."""
    transfer_syntax, bits, photometric, expected, most, text = IMAGES[kind]
    stream = b64decode(text)
    file = instance(transfer_syntax, bits, photometric, expected, [stream, stream])
    assert store(host, file).status_code == 200
    path = f"/v2{Uids.of(file).instance_path}"
    assert host.get(path, Accept=ANY_FILE).content == file
    [(content_type, frame)] = parts(host.get(f"{path}/frames/2", Accept='multipart/related; type="image/jphc"'))
    assert content_type == f"image/jphc; transfer-syntax={transfer_syntax}"
    assert frame.removesuffix(b"\0") == stream

    def check(pixels: NDArray[Any]) -> None:
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= most

    native = host.get(f"{path}/frames/2", Accept="application/octet-stream")
    check(np.frombuffer(native.content, expected.dtype).reshape(expected.shape))
    for target in (builders.EXPLICIT_LITTLE, JPEG_2000_LOSSLESS, RLE_LOSSLESS):
        transcoded = pydicom.dcmread(
            BytesIO(host.get(path, Accept=f"application/dicom; transfer-syntax={target}").content)
        )
        assert transcoded.file_meta.TransferSyntaxUID == target
        for pixels in transcoded.pixel_array:
            check(pixels)
    image = np.asarray(Image.open(BytesIO(host.get(f"{path}/rendered", Accept="image/png").content)))
    shown = expected if expected.ndim == 3 else (RAMP * 255 / 63)  # grey values are spread from black to white
    assert image.shape == expected.shape
    assert np.abs(image - shown).max() <= most + 1
