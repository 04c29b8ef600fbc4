"""Bundles: blobs that hold the short files of one study that a request has brought, one behind the other.

A bundle takes one request to write, to read and to delete, where a blob each takes as many as there are files. Its metadata
name the files that are in it. One that is deleted alone is overwritten with zeros and named no more, so that nobody takes the
zeros for a file; those that are left never move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

BUNDLE_BYTES: Final = 8 << 20
"""The most that a bundle holds."""
MOST_FILES: Final = 30
"""In a bundle; their names have room in what a blob may have of metadata (8 KiB) and a client of HTTP headers."""

FILES: Final = "files"
"""The metadata with the names."""


class BundledFile(NamedTuple):
    """A file in a bundle: `length` bytes from `offset` on; the UIDs of the series and of the instance."""

    offset: int
    length: int
    series: str
    sop_instance: str


class Extent(NamedTuple):
    """Where a file is: `length` bytes from `offset` on of a blob, into which `files` files were written.

    A blob that has but one file belongs to that as a whole; neither offset nor length matter then.
    """

    blob: str
    offset: int = 0
    length: int = 0
    files: int = 1

    @property
    def place(self) -> tuple[str, int]:
        """What no other file has."""
        return self.blob, self.offset


def pack_files(files: Iterable[BundledFile]) -> str:
    """The value of the metadata `FILES`."""
    return " ".join(f"{file.offset}+{file.length}/{file.series}/{file.sop_instance}" for file in files)


def unpack_files(text: str) -> list[BundledFile]:
    """The inverse of `pack_files`."""
    files = (file.replace("+", "/").split("/") for file in text.split())
    return [BundledFile(int(offset), int(length), series, instance) for offset, length, series, instance in files]


def has_files(text: str, offsets: Iterable[int]) -> bool:
    """Whether the metadata `FILES` name the files at all these offsets."""
    return all(f" {offset}+" in f" {text}" for offset in offsets)


def contents(blob: str, length: int, metadata: Mapping[str, str]) -> dict[Extent, tuple[str, str, str]]:
    """The files that are in a blob of `length` bytes, with their StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID."""
    study = metadata.get("study", "")
    if FILES not in metadata:
        return {Extent(blob, 0, length): (study, metadata.get("series", ""), metadata.get("instance", ""))}
    files = unpack_files(metadata[FILES])
    return {
        Extent(blob, file.offset, file.length, len(files)): (study, file.series, file.sop_instance) for file in files
    }
