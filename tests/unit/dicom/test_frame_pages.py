"""Pages of long frame indexes: every frame is found in its page, and a page is small (WADO-65)."""

from __future__ import annotations

import random

import pytest

from shared.dicom.frame_pages import PAGE_FRAGMENTS, PagedFrameIndex, cut, pages_position, read_index
from shared.dicom.frames import FrameIndex

POSITION = 1000


def index_of(fragments_per_frame: list[int], seed: int = 1) -> FrameIndex:
    noise = random.Random(seed)
    lengths = [noise.randrange(0, 1 << 32, 2) for _ in range(sum(fragments_per_frame))]
    return FrameIndex.of_fragments(5000, fragments_per_frame, lengths)


def loaded(stored: bytes, pages: bytes, numbers: list[int]) -> PagedFrameIndex:
    index = read_index(stored)
    assert isinstance(index, PagedFrameIndex)
    wanted = {index.page_of(number) for number in numbers}
    slices = [(page, slice(*(position - POSITION for position in index.positions[page : page + 2]))) for page in wanted]
    return index.with_pages((page, pages[part]) for page, part in slices)


@pytest.mark.parametrize(
    "fragments_per_frame",
    [
        [1] * 400_000,
        [1] * (PAGE_FRAGMENTS + 1),
        [3, 1, 2] * 5000,
        [PAGE_FRAGMENTS + 5, 1, 1, PAGE_FRAGMENTS, 2],
        [1, PAGE_FRAGMENTS - 1, PAGE_FRAGMENTS],
    ],
    ids=["400,000 frames", "one too many", "several fragments", "long frames", "full pages"],
)
def test_every_frame_is_in_its_page(fragments_per_frame: list[int]) -> None:
    index = index_of(fragments_per_frame)
    stored, pages = cut(index, POSITION)
    assert pages
    assert pages_position(stored) == POSITION
    found = read_index(stored)
    assert (found.count, found.offset) == (index.count, 5000)
    assert isinstance(found, PagedFrameIndex)
    assert found.positions[-1] == POSITION + len(pages)
    last = loaded(stored, pages, [index.count])
    assert len(last.pages) == 1
    assert last.ranges(index.count) == index.ranges(index.count)
    all_numbers = [*range(1, index.count + 1)]
    whole = loaded(stored, pages, all_numbers)
    assert [whole.ranges(number) for number in all_numbers] == [index.ranges(number) for number in all_numbers]
    assert [whole.length(number) for number in (1, index.count)] == [
        index.length(number) for number in (1, index.count)
    ]


def test_pages_are_small() -> None:
    """What has to be read beside a frame: its page and what is in the row, 64 KiB at most, whatever the lengths are."""
    stored, pages = cut(index_of([1] * 400_000), 0)
    index = read_index(stored)
    assert isinstance(index, PagedFrameIndex)
    largest = max(after - before for before, after in zip(index.positions, index.positions[1:], strict=False))
    assert largest + len(stored) < 40 * 1024
    assert len(pages) > 1_500_000


def test_short_index_has_no_pages() -> None:
    for index in (index_of([1] * PAGE_FRAGMENTS), FrameIndex(offset=5, frame_length=10, frames=1_000_000)):
        stored, pages = cut(index, POSITION)
        assert not pages
        assert pages_position(stored) is None
        assert read_index(stored) == index
        assert len(stored) < 40 * 1024


@pytest.mark.parametrize("frame", [0, -1, PAGE_FRAGMENTS + 2])
def test_frame_that_does_not_exist(frame: int) -> None:
    """WADO-62."""
    stored, pages = cut(index_of([1] * (PAGE_FRAGMENTS + 1)), POSITION)
    with pytest.raises(IndexError):
        loaded(stored, pages, [1]).ranges(frame)
