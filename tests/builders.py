"""Makes DICOM data sets and Part 10 files for tests. Everything is generated; UIDs are fresh unless given."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import pydicom
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, RLELossless, SecondaryCaptureImageStorage, generate_uid

from tests.support import privacy

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"

UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)

type PrivateElement = tuple[int, str, Any]
"""Tag, VR and value of an element that has no keyword."""


def instance(
    study: str | None = None,
    series: str | None = None,
    sop: str | None = None,
    *,
    rows: int = 4,
    columns: int = 4,
    frames: int = 1,
    transfer_syntax: str = EXPLICIT_LITTLE,
    elements: Iterable[PrivateElement] = (),
    **attributes: Any,
) -> bytes:
    """A valid Part 10 file: an image of one byte a pixel, or a document without pixels when `rows` is 0.

    `attributes` are keywords with their values and win over the defaults; None leaves an attribute out. The pixel data
    fits the transfer syntax: native, decodable RLE, or fragments that merely begin like a compressed image.
    """
    content = dataset(study, series, sop)
    if rows:
        add_pixels(content, rows, columns, frames, transfer_syntax)
    set_attributes(content, elements, **attributes)
    return part10(content, transfer_syntax)


def dataset(study: str | None = None, series: str | None = None, sop: str | None = None, **attributes: Any) -> Dataset:
    """A data set that the service stores without a warning."""
    content = Dataset()
    content.SOPClassUID = SecondaryCaptureImageStorage
    content.SOPInstanceUID = sop or generate_uid()
    content.StudyInstanceUID = study or generate_uid()
    content.SeriesInstanceUID = series or generate_uid()
    content.PatientID = "patient-4711"
    content.PatientName = "Doe^Jane"
    content.PatientBirthDate = "19700102"
    content.PatientSex = "O"
    content.StudyDate = "20240131"
    content.StudyTime = "101112"
    content.StudyID = "1"
    content.StudyDescription = "Chest"
    content.AccessionNumber = "A1"
    content.ReferringPhysicianName = "Roe^Richard"
    content.Modality = "OT"
    content.Manufacturer = "Maker"
    content.SeriesNumber = 1
    content.InstanceNumber = 1
    set_attributes(content, **attributes)
    for element in content:
        privacy.remember(element.keyword, element.value)
    return content


def set_attributes(content: Dataset, elements: Iterable[PrivateElement] = (), **attributes: Any) -> None:
    """Sets elements of the data set, with values that may break the rules of their VR; None removes an element."""
    with config.disable_value_validation():
        for keyword, value in attributes.items():
            privacy.remember(keyword, value)
            if keyword in content:
                delattr(content, keyword)
            if value is not None:
                setattr(content, keyword, value)
        for tag, vr, value in elements:
            content.add_new(tag, vr, value)


def add_pixels(content: Dataset, rows: int, columns: int, frames: int, transfer_syntax: str) -> None:
    """Adds an image of one byte a pixel to the data set."""
    content.Rows, content.Columns, content.SamplesPerPixel = rows, columns, 1
    content.PhotometricInterpretation = "MONOCHROME2"
    content.BitsAllocated, content.BitsStored, content.HighBit, content.PixelRepresentation = 8, 8, 7, 0
    if frames > 1:
        content.NumberOfFrames = frames
    pixels = [frame_pixels(number, rows * columns) for number in range(1, frames + 1)]
    if transfer_syntax in UNCOMPRESSED:
        value = b"".join(pixels)
        content.PixelData = value + bytes(len(value) % 2)
    else:
        content.PixelData = encapsulate([compress(frame, columns, transfer_syntax) for frame in pixels])
        content["PixelData"].is_undefined_length = True
    content["PixelData"].VR = "OW" if transfer_syntax == IMPLICIT_LITTLE else "OB"


def frame_pixels(number: int, length: int) -> bytes:
    """The pixels of a frame, which differ from frame to frame; `number` counts from 1."""
    return bytes((number * 37 + position) % 251 for position in range(length))


def compress(frame: bytes, columns: int, transfer_syntax: str) -> bytes:
    """A frame as one fragment: real RLE (PS3.5 G), or else bytes that only begin and end like a compressed image."""
    if transfer_syntax == RLELossless:
        return rle(frame, columns)
    if transfer_syntax in (JPEG2000Lossless, "1.2.840.10008.1.2.4.91"):
        return b"\xff\x4f\xff\x51" + frame + b"\xff\xd9"
    return b"\xff\xd8\xff\xe0" + frame + b"\xff\xd9"


def rle(frame: bytes, columns: int) -> bytes:
    """One segment of literal runs, none of which crosses a row (PS3.5 G.3)."""
    segment = bytearray()
    for row in range(0, len(frame), columns):
        pixels = frame[row : row + columns]
        for start in range(0, len(pixels), 128):
            run = pixels[start : start + 128]
            segment += bytes([len(run) - 1]) + run
    return struct.pack("<16L", 1, 64, *[0] * 14) + segment + bytes(len(segment) % 2)


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    content = Dataset()
    set_attributes(content, **attributes)
    return content


def part10(content: Dataset, transfer_syntax: str = EXPLICIT_LITTLE, preamble: bytes = bytes(128)) -> bytes:
    """The data set as a Part 10 file in this transfer syntax."""
    content.file_meta = FileMetaDataset()
    content.file_meta.MediaStorageSOPClassUID = content.get("SOPClassUID") or SecondaryCaptureImageStorage
    content.file_meta.MediaStorageSOPInstanceUID = content.get("SOPInstanceUID") or UID("2.25.1")
    content.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    content.file_meta.ImplementationClassUID = UID("1.2.3.4")
    file = BytesIO()
    with config.disable_value_validation():
        pydicom.dcmwrite(file, content, enforce_file_format=True)
    return preamble + file.getvalue()[128:]


def file_start(transfer_syntax: str = EXPLICIT_LITTLE) -> bytes:
    """Preamble, prefix and the shortest file meta information; elements written by hand may follow."""
    uid = transfer_syntax.encode()
    syntax = element(0x00020010, "UI", uid + bytes(len(uid) % 2))
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(syntax))) + syntax


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """An element in explicit VR little endian; `length` lies when it is given."""
    start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    length = len(value) if length is None else length
    if vr in {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}:
        return start + struct.pack("<HL", 0, length) + value
    return start + struct.pack("<H", length) + value


def implicit_element(tag: int, value: bytes, length: int | None = None) -> bytes:
    """An element, item or delimiter in implicit VR little endian; `length` lies when it is given."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def chunks(data: bytes, sizes: Sequence[int]) -> Iterable[bytes]:
    """The data in pieces of these sizes, again and again."""
    start = 0
    while start < len(data):
        for size in sizes:
            yield data[start : start + size]
            start += size
