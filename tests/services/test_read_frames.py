"""Frames cost one ranged read of their own bytes (WADO-65): what is asked of storage, and what comes back."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterable
from itertools import accumulate

import pytest
from pydicom.uid import generate_uid

from shared.errors import NotFound
from shared.services import delete, frames, retrieve
from shared.services.frames import NEAR_BYTES
from shared.services.metadata import latest_metadata
from shared.services.races import StudyChanged
from shared.storage import keys
from shared.storage.instance_row import InstanceRow
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.support.services import counted, store_files

SIDE = 64
FRAME = SIDE * SIDE


async def stored(storage: Storage, file: bytes) -> InstanceRow:
    result = await store_files(storage, [file])
    item = result.files[0]
    assert item.row
    found = await retrieve.find(storage, DEFAULT, item.study, item.row.series, item.row.sop_instance)
    assert found.row
    return found.row


async def read(storage: Storage, row: InstanceRow, numbers: list[int]) -> list[bytes]:
    index = await frames.located(storage, row, frames.frame_index(row), numbers)
    found = []
    async for number, chunks in frames.read_frames(storage, row, index, numbers):
        assert number == numbers[len(found)]
        found.append(b"".join([chunk async for chunk in chunks]))
    return found


def fragments(values: Iterable[bytes]) -> bytes:
    """Encapsulated pixel data with an empty Basic Offset Table (PS3.5 A.4)."""
    items = (b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value for value in (b"", *values))
    return b"".join(items)


@pytest.mark.parametrize("transfer_syntax", [builders.EXPLICIT_LITTLE, builders.RLE])
@pytest.mark.parametrize(
    ("numbers", "reads"),
    [([1], 1), ([100], 1), ([1, 2, 3], 1), ([1, 3, 5], 1), ([99, 50, 1], 3), ([2, 2], 2), ([1, 2, 60, 61, 62], 2)],
)
async def test_neighbours_are_read_together(
    storage: Storage, transfer_syntax: str, numbers: list[int], reads: int
) -> None:
    """No more than 64 KiB of what lies between them is read with them."""
    frame = [builders.frame_pixels(number, FRAME) for number in range(1, 101)]
    row = await stored(storage, builders.instance(rows=SIDE, columns=SIDE, frames=100, transfer_syntax=transfer_syntax))
    with counted(storage) as spent:
        found = await read(storage, row, numbers)
    if transfer_syntax == builders.RLE:
        assert found == [builders.rle(frame[number - 1], SIDE) for number in numbers]
    else:
        assert found == [frame[number - 1] for number in numbers]
    assert spent.transactions == reads
    assert spent.bytes_received <= sum(map(len, found)) + len(numbers) * NEAR_BYTES


async def test_a_frame_of_a_large_object(storage: Storage) -> None:
    """Its own bytes and nothing else, wherever it is."""
    row = await stored(storage, builders.instance(rows=512, columns=512, frames=40))
    with counted(storage) as spent:
        [found] = await read(storage, row, [40])
    assert found == builders.frame_pixels(40, 512 * 512)
    assert (spent.transactions, spent.bytes_received) == (1, 512 * 512)


async def test_frames_of_packed_bits(storage: Storage) -> None:
    """PS3.5 8.1.1: they need not begin on a byte of the file, but do in the answer."""
    bits = ["101100111000", "011011000111", "111111111111"]
    packed = int("".join(bits)[::-1], 2).to_bytes(6, "little")
    content = builders.dataset()
    builders.add_pixels(content, 4, 3, 3, builders.EXPLICIT_LITTLE)
    builders.set_attributes(content, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    content["PixelData"].VR = "OB"
    row = await stored(storage, builders.part10(content))
    found = await read(storage, row, [1, 2, 3, 2])
    assert [f"{int.from_bytes(frame, 'little'):012b}"[::-1] for frame in found] == [*bits, bits[1]]


@pytest.mark.parametrize("numbers", [[1], [3, 1], [1, 2, 3]])
async def test_frames_of_a_deflated_file(storage: Storage, numbers: list[int]) -> None:
    file = builders.instance(rows=300, columns=300, frames=3, transfer_syntax="1.2.840.10008.1.2.1.99")
    row = await stored(storage, file)
    assert await read(storage, row, numbers) == [builders.frame_pixels(number, 90_000) for number in numbers]


async def test_frames_that_only_their_ends_tell_apart(storage: Storage) -> None:
    """WADO-65: their index was computed while the file was stored, and a frame costs no more than any other."""
    content = builders.dataset(generate_uid())
    builders.add_pixels(content, 4, 4, 2, builders.JPEG_2000)
    content.PixelData = fragments([b"jP 1", b"ab\xff\xd9", b"jP 2", b"cdef", b"gh\xff\xd9\0\0"])
    content["PixelData"].is_undefined_length = True
    row = await stored(storage, builders.part10(content, builders.JPEG_2000))
    with counted(storage) as spent:
        assert await read(storage, row, [2]) == [b"jP 2cdefgh\xff\xd9\0\0"]
    assert spent.transactions == 1
    assert spent.bytes_received < 100


async def test_a_frame_of_400_000(storage: Storage) -> None:
    """An index that no row could hold: what is read besides the frame stays below 64 KiB all the same."""
    noise = random.Random(1)
    frames = [noise.randbytes(noise.randrange(2, 42, 2)) for _ in range(400_000)]
    offsets = struct.pack("<400000Q", *accumulate((len(frame) + 8 for frame in frames[:-1]), initial=0))
    lengths = struct.pack("<400000Q", *map(len, frames))
    content = builders.dataset()
    builders.add_pixels(content, 4, 4, 2, builders.JPEG_2000)
    builders.set_attributes(
        content,
        NumberOfFrames=400_000,
        PixelData=fragments(frames),
        ExtendedOffsetTable=offsets,
        ExtendedOffsetTableLengths=lengths,
    )
    content["PixelData"].is_undefined_length = True
    file = builders.part10(content, builders.JPEG_2000)
    row = await stored(storage, file)
    assert len(row.frames) < 1000
    for numbers in ([300_000], [400_000, 1, 2], [8192, 8193]):
        with counted(storage) as spent:
            assert await read(storage, row, numbers) == [frames[number - 1] for number in numbers]
        assert spent.bytes_received < 64 * 1024 * len(numbers)
        assert spent.transactions <= 2 * len(numbers)
    with pytest.raises(NotFound):
        await read(storage, row, [400_001])
    metadata = json.loads(await latest_metadata(storage, row, {}, "bulkdata/"))
    assert metadata["00280008"] == {"vr": "IS", "Value": [400_000]}
    assert metadata["7FE00001"] == {"vr": "OV", "BulkDataURI": "bulkdata/7FE00001"}
    study, request = str(content.StudyInstanceUID), keys.request_prefix(row.request)
    assert len([name async for name in storage.wire.list_blobs(request)]) == 2
    await delete.delete(storage, DEFAULT, study)
    assert not [name async for name in storage.wire.list_blobs(request)]
    with pytest.raises(StudyChanged):
        await read(storage, row, [1])


async def test_frame_of_many_fragments(storage: Storage) -> None:
    """WADO-66: the fragments without their item headers."""
    content = builders.dataset(generate_uid())
    builders.add_pixels(content, 4, 4, 2, builders.JPEG_2000)
    pieces = [b"\xff\x4fab", b"cdef", b"\xff\x4fgh", b"ij"]
    content.PixelData = fragments(pieces)
    content["PixelData"].is_undefined_length = True
    row = await stored(storage, builders.part10(content, builders.JPEG_2000))
    with counted(storage) as spent:
        assert await read(storage, row, [1, 2]) == [b"\xff\x4fabcdef", b"\xff\x4fghij"]
    assert spent.transactions == 1
