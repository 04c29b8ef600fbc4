"""A stored file read once, from its beginning to its end: head, pixel data by frame, rest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Final

from shared.dicom.element import PixelData
from shared.dicom.element_codec import EXPLICIT_VR_LITTLE_ENDIAN, UNDEFINED_LENGTH, ElementEncoding
from shared.dicom.head import EXPLICIT_VR_BIG_ENDIAN, HeadScanner
from shared.dicom.image_pixel import ImagePixel
from shared.dicom.reencoding import swapped, width_of_pixels
from shared.dicom.tags import ITEM
from shared.dicom.transcoding import MAX_FRAME_BYTES
from shared.errors import InvalidDicom
from shared.services.byte_stream import ByteStream, EndOfStream

# Of what has to be held as a whole: the elements before the pixel data, and those behind (WADO-52).
MAX_HELD_BYTES: Final = 100 << 20

_ITEM_HEADER: Final = 8


class TooLong(Exception):
    """Something has to be held as a whole, and is too long for that."""


async def read_head(stream: ByteStream, transfer_syntax: str) -> tuple[bytes, PixelData | None]:
    """What is before the pixel data and their header, and what the header says; the whole file when there are none.

    The stream is at the value of the pixel data then. Raises InvalidDicom and TooLong.
    """
    scanner, data = HeadScanner(), bytearray()
    while (pixel_data := scanner.pixel_data) is None:
        if len(data) > MAX_HELD_BYTES:
            raise TooLong
        try:
            chunk = await stream.any()
        except EndOfStream:
            return bytes(data), None
        scanner.feed(chunk)
        data += chunk
    stream.put_back(bytes(data[pixel_data.value_offset :]))
    header = ElementEncoding.of(transfer_syntax).header(pixel_data.tag, pixel_data.vr, pixel_data.length)
    return bytes(data[: pixel_data.value_offset - len(header)]), pixel_data


async def read_rest(stream: ByteStream) -> bytes:
    """What is behind the pixel data. Raises TooLong."""
    rest = await stream.rest(MAX_HELD_BYTES)
    if len(rest) > MAX_HELD_BYTES:
        raise TooLong
    return rest


async def native_pixels(
    stream: ByteStream, pixel_data: PixelData, image: ImagePixel | None, transfer_syntax: str
) -> AsyncGenerator[bytes]:
    """The value of native pixel data in little endian, as it comes. Raises EndOfStream."""
    width = width_of_pixels(pixel_data.vr, image) if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else 1
    rest = b""
    async for piece in stream.pieces(pixel_data.length):
        values = rest + piece
        whole = len(values) // width * width
        rest = values[whole:]
        yield swapped(values[:whole], width)
    yield rest


async def native_frames(
    stream: ByteStream, pixel_data: PixelData, image: ImagePixel, transfer_syntax: str
) -> AsyncGenerator[bytes]:
    """The frames of native pixel data in little endian. Raises EndOfStream."""
    pixels = ByteStream(native_pixels(stream, pixel_data, image, transfer_syntax))
    for _ in range(image.number_of_frames):
        yield await pixels.read(image.frame_length)
    await pixels.skip_rest()


async def encapsulated_frames(stream: ByteStream, fragments_per_frame: Iterable[int]) -> AsyncGenerator[bytes]:
    """The frames of compressed pixel data. Raises EndOfStream, InvalidDicom and TooLong."""
    fragments = _fragments(stream)
    for count in fragments_per_frame:
        frame, length = [], 0
        for _ in range(count):
            frame.append(await anext(fragments))
            length += len(frame[-1])
            if length > MAX_FRAME_BYTES:
                raise TooLong
        yield b"".join(frame)
    async for _ in fragments:
        raise InvalidDicom("There are more fragments than frames have.")


async def _fragments(stream: ByteStream) -> AsyncGenerator[bytes]:
    """The fragments of encapsulated pixel data (PS3.5 A.4), without the Basic Offset Table."""
    is_offset_table = True
    while True:
        header = EXPLICIT_VR_LITTLE_ENDIAN.read_header(await stream.read(_ITEM_HEADER))
        if header.tag != ITEM:
            return
        if header.length > MAX_FRAME_BYTES:
            raise TooLong
        fragment = await stream.read(header.length)
        if not is_offset_table:
            yield fragment
        is_offset_table = False


def is_encapsulated(pixel_data: PixelData) -> bool:
    """Whether the pixel data consists of fragments."""
    return pixel_data.length == UNDEFINED_LENGTH
