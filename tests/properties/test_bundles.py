"""The names of the files in a bundle survive being metadata, and fit into them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.storage.bundles import BUNDLE_BYTES, MOST_FILES, BundledFile, has_files, pack_files, unpack_files

METADATA_BYTES = 8192

uids = st.from_regex(r"[0-9.]{0,63}[0-9]", fullmatch=True)
offsets = st.integers(0, BUNDLE_BYTES)
files = st.lists(
    st.builds(BundledFile, offsets, offsets, uids, uids), max_size=MOST_FILES, unique_by=lambda file: file.offset
)


@given(files)
def test_names_can_be_read_back(some: list[BundledFile]) -> None:
    assert unpack_files(pack_files(some)) == some


@given(files, offsets)
def test_only_files_that_are_named_are_there(some: list[BundledFile], offset: int) -> None:
    text = pack_files(some)
    assert has_files(text, [file.offset for file in some])
    assert has_files(text, [offset]) == (offset in [file.offset for file in some])


def test_the_longest_names_fit() -> None:
    longest = BundledFile(BUNDLE_BYTES, BUNDLE_BYTES, "1" * 64, "1" * 64)
    assert len(pack_files([longest] * MOST_FILES)) + len("study") + 64 + len("files") < METADATA_BYTES
