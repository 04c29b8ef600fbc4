"""The row of an instance as an object, and its codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shared.dicom.change_set import HeadLayout
from shared.storage import keys
from shared.storage.bundles import Extent
from shared.storage.properties import PROPERTY_BYTES, pack, unpack
from shared.storage.wire import Entity, Value

_ROW_BYTES = 700 * 1024


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One stored instance. `packed_metadata` is its DICOM JSON, compressed; empty when the row was read without it.

    `has_pixels` is known also when `frames`, which says where they are, was not read or is not to be found out.
    `bulk_data` says where the values are that metadata leaves out (shared/dicom/bulk_data.py). `metadata_blob` names the
    blob that holds the metadata, and `bulk_data` behind it, when they are too long for the row, or when the index of the
    frames is: then the blob has that behind them, in pages (shared/dicom/frame_pages.py), and `frames` just finds these.
    `offset` is where the file begins in `blob`, which was written with `files` of them (storage/bundles.py).
    `request` and `batch` name the commit that stored the instance, and `replaces` says whether it took the place of another
    (D-19).
    """

    series: str
    sop_instance: str
    version: int
    request: str
    blob: str
    sop_class: str
    length: int
    number: int
    layout: HeadLayout
    frames: bytes
    packed_metadata: bytes
    bulk_data: bytes = b""
    metadata_blob: str = ""
    has_pixels: bool = False
    batch: int = 0
    replaces: bool = False
    offset: int = 0
    files: int = 1
    etag: str = ""

    @property
    def extents(self) -> list[Extent]:
        """What belongs to this version of the instance alone."""
        file = Extent(self.blob, self.offset, self.length, self.files)
        return [file, Extent(self.metadata_blob)] if self.metadata_blob else [file]

    @property
    def row_key(self) -> str:
        return keys.instance_row(self.series, self.sop_instance)

    def entity(self, partition_key: str) -> Entity:
        properties: dict[str, Value] = {
            "version": self.version,
            "request": self.request,
            "blob": self.blob,
            "sopClass": self.sop_class,
            "length": self.length,
            "number": self.number,
            "transferSyntax": self.layout.transfer_syntax,
            "headLength": self.layout.head_length,
            "charsets": "\\".join(self.layout.character_sets),
            "textBeyondHead": self.layout.text_beyond_head,
            "updatableBeyondHead": self.layout.updatable_beyond_head,
            "metadataBlob": self.metadata_blob,
            "batch": self.batch,
            "replaces": self.replaces,
            "hasPixels": self.has_pixels,
        }
        if self.files > 1:
            properties |= {"offset": self.offset, "files": self.files}
        properties |= pack("f", self.frames)
        if not self.metadata_blob:
            properties |= pack("m", self.packed_metadata) | pack("b", self.bulk_data)
        return Entity(partition_key, self.row_key, properties, self.etag)

    @classmethod
    def of(cls, entity: Entity) -> InstanceRow:
        row: Any = entity.properties  # read without checks: an answer may need thousands
        series, sop_instance = keys.parse_instance_row(entity.row_key)
        charsets = row.get("charsets", "")
        return cls(
            series=series,
            sop_instance=sop_instance,
            version=row.get("version", 0),
            request=row.get("request", ""),
            blob=row.get("blob", ""),
            sop_class=row.get("sopClass", ""),
            length=row.get("length", 0),
            number=row.get("number", 0),
            layout=HeadLayout(
                transfer_syntax=row.get("transferSyntax", ""),
                head_length=row.get("headLength", 0),
                character_sets=tuple(charsets.split("\\")) if charsets else (),
                text_beyond_head=row.get("textBeyondHead", False),
                updatable_beyond_head=row.get("updatableBeyondHead", False),
            ),
            frames=unpack("f", row),
            bulk_data=unpack("b", row),
            packed_metadata=unpack("m", row),
            metadata_blob=row.get("metadataBlob", ""),
            has_pixels=row.get("hasPixels", False),
            batch=row.get("batch", 0),
            replaces=row.get("replaces", False),
            offset=row.get("offset", 0),
            files=row.get("files", 1),
            etag=entity.etag,
        )

    @property
    def weight(self) -> int:
        """About how many bytes the row takes in a transaction, where binary values are base64."""
        packed = 0 if self.metadata_blob else len(self.packed_metadata) + len(self.bulk_data)
        return 2048 + (len(self.frames) + packed) * 4 // 3

    def fits(self) -> bool:
        """Whether the row, with its metadata in it, stays below what one entity may hold."""
        return len(self.frames) + len(self.packed_metadata) + len(self.bulk_data) < _ROW_BYTES


FILE_PROPERTIES: Final = (
    "version", "request", "blob", "sopClass", "length", "number", "transferSyntax", "headLength", "charsets",
    "textBeyondHead", "updatableBeyondHead", "metadataBlob", "hasPixels", "batch", "replaces", "offset", "files",
)  # fmt: skip
"""All but the metadata and what is as long: the index of the frames and that of the bulk data."""

_MOST_PIECES: Final = -(-_ROW_BYTES // PROPERTY_BYTES)

METADATA_PROPERTIES: Final = (
    "version", "number", "charsets", "metadataBlob", "f0", *(f"m{piece}" for piece in range(_MOST_PIECES)),
)  # fmt: skip
"""What the DICOM JSON of an instance is made of; `f0` says where the metadata ends in a blob that has more."""
