"""Stored instances and frames in other transfer syntaxes, transcoded while they are read (WADO-50 to WADO-57, D-21, D-22).

Of a file, no more is held than the elements around the pixel data and the few frames that codecs are working on (D-25).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from shared.dicom import dicom_json, encapsulation, transcoding
from shared.dicom.change_set import Changes
from shared.dicom.element import PixelData
from shared.dicom.element_codec import ElementEncoding
from shared.dicom.file_meta import patch_file_meta
from shared.dicom.frames import FrameIndex
from shared.dicom.head import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from shared.dicom.image_pixel import ImagePixel, is_description
from shared.dicom.inflation import inflated
from shared.dicom.reencoding import swapped, width_of_pixels
from shared.dicom.tags import PIXEL_DATA
from shared.dicom.transcoding import Head, is_native
from shared.errors import InvalidDicom, NotAcceptable, NotFound
from shared.services import codecs, pixel_stream
from shared.services.byte_stream import ByteStream, EndOfStream
from shared.services.frames import frame_index, located, read_frame
from shared.services.metadata import latest_metadata
from shared.services.read_ahead import ahead
from shared.services.stored_file import read_bytes, read_file
from shared.storage.instance_row import InstanceRow
from shared.storage.storage import Storage

# Frames in the hands of the codecs, the next one to be sent among them, and the bytes that these may have when decoded.
LOOK_AHEAD: Final = codecs.MAX_PROCESSES
LOOK_AHEAD_BYTES: Final = 64 << 20


class NotTranscodable(NotAcceptable):
    """An instance cannot be had in a transfer syntax (WADO-54)."""

    def __init__(self) -> None:
        super().__init__("The specified transcoding is not supported.")


async def check(storage: Storage, row: InstanceRow, target: str) -> None:
    """Raises NotTranscodable when metadata say that an instance cannot be had in a transfer syntax (D-21, WADO-55).

    `row` has been read with its metadata. What codecs make of the frames turns out when these are transcoded.
    """
    source = row.layout.transfer_syntax
    if not transcoding.knows(source, target):
        raise NotTranscodable
    image = await _described(storage, row)
    if (image or row.frames) and not transcoding.can_transcode(source, target, image):
        raise NotTranscodable


async def transcoded_file(storage: Storage, row: InstanceRow, changes: Changes, target: str) -> AsyncGenerator[bytes]:
    """The DICOM file of an instance in the transfer syntax `target`, in chunks; `changes` are those of its study.

    `row` has been read with its frames. The first chunk comes when the first frame has been transcoded. Raises
    NotTranscodable; also behind the first chunk, when a later frame is damaged.
    """
    source = row.layout.transfer_syntax
    if not transcoding.knows(source, target):
        raise NotTranscodable
    if source == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        source = EXPLICIT_VR_LITTLE_ENDIAN
    async with _failing_as_not_transcodable(), aclosing(_stored(storage, row, changes)) as chunks:
        stream = ByteStream(chunks)
        data, pixel_data = await pixel_stream.read_head(stream, source)
        head = await asyncio.to_thread(Head.of, data)
        if pixel_data is None:
            yield await asyncio.to_thread(head.transcoded, target, None)
            return
        async with aclosing(_with_pixels(storage, row, stream, head, pixel_data, target)) as transcoded:
            async for chunk in transcoded:
                yield chunk
        rest = await pixel_stream.read_rest(stream)
        yield await asyncio.to_thread(transcoding.transcoded_rest, rest, source, target)


async def transcoded_frame(storage: Storage, row: InstanceRow, index: FrameIndex, number: int, target: str) -> bytes:
    """One frame in the transfer syntax `target`, without padding (WADO-57); `number` counts from 1.

    Native frames are little endian. `row` has been read with its metadata. Raises NotTranscodable.
    """
    return await _transcoded_frame(storage, row, await _described(storage, row), index, number, target)


async def _transcoded_frame(
    storage: Storage, row: InstanceRow, image: ImagePixel | None, index: FrameIndex, number: int, target: str
) -> bytes:
    source = row.layout.transfer_syntax
    async with _failing_as_not_transcodable():
        if not transcoding.can_transcode(source, target, image):
            raise NotTranscodable
        if source == EXPLICIT_VR_BIG_ENDIAN and source != target:
            frame = await _read_big_endian_frame(storage, row, index, number, image)
        else:
            frame = b"".join([chunk async for chunk in read_frame(storage, row, index, number)])
        if image is None or source == target or (is_native(source) and is_native(target)):
            return frame
        transcoded, _ = await codecs.run(transcoding.transcode_frame, frame, image, source, target)
        return transcoded


async def transcoded_frames(
    storage: Storage, row: InstanceRow, index: FrameIndex, numbers: Sequence[int], target: str
) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
    """Several frames, as `transcoded_frame` gives them, the next ones being transcoded while one is sent."""
    image = await _described(storage, row)

    async def whole(number: int) -> AsyncIterator[bytes]:
        yield await _transcoded_frame(storage, row, image, index, number, target)

    async def frames() -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        for number in numbers:
            yield number, whole(number)

    async for item in ahead(frames(), LOOK_AHEAD):
        yield item


@asynccontextmanager
async def _failing_as_not_transcodable() -> AsyncIterator[None]:
    """Whatever turns out to be wrong with a file that was good enough to be stored: it cannot be transcoded."""
    try:
        yield
    except (codecs.CodecFailed, pixel_stream.TooLong, EndOfStream, InvalidDicom, ValueError) as error:
        raise NotTranscodable from error


async def _described(storage: Storage, row: InstanceRow) -> ImagePixel | None:
    """What the metadata of an instance say of its pixels; None when that is nothing, or not enough."""
    lines = dicom_json.lines(await latest_metadata(storage, row, {}))
    description = b",".join(line for key, line in lines.items() if is_description(int(key, 16)))
    try:
        return ImagePixel.of_metadata(json.loads(b"{" + description + b"}"))
    except ValueError:
        return None


async def _read_big_endian_frame(
    storage: Storage, row: InstanceRow, index: FrameIndex, number: int, image: ImagePixel | None
) -> bytes:
    """A native frame in little endian. In words of several pixels, it may begin or end within one."""
    value_offset = index.ranges(1)[0][0]
    vr = ""
    if image is None or image.bits_allocated <= 8:
        vr = (await _read(storage, row, value_offset - 8, 2)).decode("latin-1")  # VR, reserved bytes, length
    width = width_of_pixels(vr, image)
    [(offset, length)] = index.ranges(number)
    before = (offset - value_offset) % width
    words = await _read(storage, row, offset - before, before + length + -(before + length) % width)
    frame = swapped(words, width)[before : before + length]
    return index.aligned(number, frame) if index.frame_bits else frame


async def _read(storage: Storage, row: InstanceRow, offset: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in read_bytes(storage, row, offset, length)])


async def _stored(storage: Storage, row: InstanceRow, changes: Changes) -> AsyncGenerator[bytes]:
    """The file with the changes of its study, and inflated."""
    async with aclosing(read_file(storage, row, changes)) as chunks:
        if row.layout.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            chunks = inflated(chunks)
            yield patch_file_meta(await anext(chunks), EXPLICIT_VR_LITTLE_ENDIAN)
        async for chunk in chunks:
            yield chunk


async def _with_pixels(
    storage: Storage, row: InstanceRow, stream: ByteStream, head: Head, pixel_data: PixelData, target: str
) -> AsyncGenerator[bytes]:
    """The file up to the end of its pixel data."""
    source, image = head.scan.transfer_syntax, head.image
    is_as_expected = pixel_stream.is_encapsulated(pixel_data) != is_native(source)
    if not is_as_expected or not transcoding.can_transcode(source, target, image):
        raise NotTranscodable
    if image is None or (is_native(source) and is_native(target)):
        padding = pixel_data.length % 2
        header = ElementEncoding.of(target).header(pixel_data.tag, pixel_data.vr, pixel_data.length + padding)
        yield await asyncio.to_thread(head.transcoded, target, None) + header
        async for piece in pixel_stream.native_pixels(stream, pixel_data, image, source):
            yield piece
        yield bytes(padding)
    elif pixel_data.tag != PIXEL_DATA:
        raise NotTranscodable
    else:
        frames = await _frames(storage, row, stream, head, image, pixel_data)
        async for chunk in _frame_by_frame(frames, head, image, target):
            yield chunk


async def _frames(
    storage: Storage, row: InstanceRow, stream: ByteStream, head: Head, image: ImagePixel, pixel_data: PixelData
) -> AsyncIterator[bytes]:
    """The frames as stored, native ones in little endian."""
    count = image.number_of_frames
    if not pixel_stream.is_encapsulated(pixel_data):
        if count * image.frame_length > pixel_data.length:
            raise NotTranscodable
        return pixel_stream.native_frames(stream, pixel_data, image, head.scan.transfer_syntax)
    try:
        index = frame_index(row)
    except NotFound as error:
        raise NotTranscodable from error
    if index.count != count:
        raise NotTranscodable
    index = await located(storage, row, index, range(1, count + 1))
    return pixel_stream.encapsulated_frames(stream, (len(index.ranges(number)) for number in range(1, count + 1)))


async def _frame_by_frame(
    frames: AsyncIterator[bytes], head: Head, image: ImagePixel, target: str
) -> AsyncGenerator[bytes]:
    """Head and pixel data, once the first frame has told how the pixels are to be described."""
    described: ImagePixel | None = None
    async with aclosing(_transcoded(frames, image, head.scan.transfer_syntax, target)) as transcoded:
        async for frame, description in transcoded:
            if described is None:
                described = description
                start = encapsulation.START
                if is_native(target):
                    start = transcoding.native_pixel_data_header(target, description)
                yield await asyncio.to_thread(head.transcoded, target, description) + start
            elif described != description:
                raise NotTranscodable
            yield frame if is_native(target) else encapsulation.fragment(frame)
    if described is not None and is_native(target):
        yield bytes(described.length % 2)
    else:
        yield encapsulation.END


async def _transcoded(
    frames: AsyncIterator[bytes], image: ImagePixel, source: str, target: str
) -> AsyncGenerator[tuple[bytes, ImagePixel]]:
    """The frames in their order, with their description, some of them being transcoded while others are sent."""
    most = max(1, min(LOOK_AHEAD, LOOK_AHEAD_BYTES // image.frame_length))
    running: deque[asyncio.Task[tuple[bytes, ImagePixel]]] = deque()
    try:
        async for frame in frames:
            call = codecs.run(transcoding.transcode_frame, frame, image, source, target)
            running.append(asyncio.create_task(call))
            if len(running) == most:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
