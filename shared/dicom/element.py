"""What is known of a DICOM file once it has been scanned."""

from __future__ import annotations

from dataclasses import dataclass, field

type Item = list[Element]
"""The elements of a sequence item, in file order."""


@dataclass(slots=True)
class Element:
    """A data element. All offsets are counted from the start of the file; of a deflated file: of its inflated form."""

    tag: int
    vr: str  # as encoded, or that of the data dictionary where the file leaves it open; never one with a choice
    value: bytes | list[Item] | None  # as encoded, in the byte order of the file; items of a SQ; None: was not kept
    offset: int  # of the tag
    value_offset: int  # of the value field
    length: int  # of the value field as encoded: bytes, or 0xFFFFFFFF for an undefined length


@dataclass(slots=True)
class Fragment:
    """A fragment of encapsulated pixel data (PS3.5 A.4)."""

    offset: int  # of its value
    length: int  # bytes
    starts_image: bool  # it begins a compressed image: with a JPEG SOI or JPEG 2000 SOC marker, or it is RLE
    ends_image: bool = False  # it ends in a JPEG EOI or JPEG 2000 EOC marker, but for padding


@dataclass(slots=True)
class PixelData:
    """Where the pixels of an instance are."""

    tag: int  # (7FE0,0008), (7FE0,0009) or (7FE0,0010)
    vr: str
    value_offset: int
    length: int  # bytes, or 0xFFFFFFFF when encapsulated
    basic_offset_table: bytes = b""
    fragments: list[Fragment] = field(default_factory=list)  # without the offset table; empty when native


@dataclass(slots=True)
class ScannedFile:
    """The structure of a Part 10 file, with all values but the bulky ones."""

    file_meta: list[Element]  # group 0002, without the group length; all values are kept
    dataset: list[Element]  # top level, in file order, without group lengths
    transfer_syntax: str
    is_implicit_vr: bool
    is_little_endian: bool
    is_deflated: bool
    length: int  # bytes of the file as it was fed
    head_length: int  # offset of the first top-level element with a tag above (0040,3001), or where the data set ends
    pixel_data: PixelData | None
    character_sets: list[str]  # values of the top-level (0008,0005), [] when it is absent
    kept_bytes: int  # about what the data set occupies in memory
    text_beyond_head: bool  # behind the head, at any depth, text has a byte >= 0x80 or an escape
