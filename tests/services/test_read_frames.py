"""Frames cost one ranged read of their own bytes (WADO-65): what is asked of storage, and what comes back."""

from __future__ import annotations

import pytest
from pydicom.uid import generate_uid

from shared.services import frames, retrieve
from shared.services.frames import NEAR_BYTES
from shared.storage.partitions import DEFAULT
from shared.storage.rows import InstanceRow
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
    index = frames.frame_index(row)
    found = []
    async for number, chunks in frames.read_frames(storage, row, index, numbers):
        assert number == numbers[len(found)]
        found.append(b"".join([chunk async for chunk in chunks]))
    return found


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


async def test_frame_of_many_fragments(storage: Storage) -> None:
    """WADO-66: the fragments without their item headers."""
    content = builders.dataset(generate_uid())
    builders.add_pixels(content, 4, 4, 2, builders.JPEG_2000)
    pieces = [b"\xff\x4fab", b"cdef", b"\xff\x4fgh", b"ij"]
    items = [b"", *pieces]
    value = b"".join(b"\xfe\xff\x00\xe0" + len(piece).to_bytes(4, "little") + piece for piece in items)
    content.PixelData = value
    content["PixelData"].is_undefined_length = True
    row = await stored(storage, builders.part10(content, builders.JPEG_2000))
    with counted(storage) as spent:
        assert await read(storage, row, [1, 2]) == [b"\xff\x4fabcdef", b"\xff\x4fghij"]
    assert spent.transactions == 1
