"""Files to patch, and what pydicom says of the results. Used by the tests of `shared/dicom/change_set.py`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from functools import cache
from io import BytesIO
from itertools import chain, repeat
from pathlib import Path

import data_store  # type: ignore[import-untyped]
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    generate_uid,
)
from pydicom.valuerep import PersonName

from shared.dicom import dicom_json
from shared.dicom.change_set import Changes, HeadLayout, patch_file
from shared.dicom.element import ScannedFile
from shared.dicom.head import HeadScanner

IMPLEMENTATION = {0x00020000, 0x00020012, 0x00020013}

# SpecificCharacterSet, and a name that it can express.
CHARACTER_SETS: dict[str, tuple[str | list[str] | None, str]] = {
    "absent": (None, "Muller"),
    "ascii": ("ISO_IR 6", "Muller"),
    "latin-1": ("ISO_IR 100", "Müller^Jürgen"),
    "latin-2": ("ISO_IR 101", "Wałęsa"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "cyrillic": ("ISO_IR 144", "Жданов"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "katakana": ("ISO_IR 13", "ﾔﾏﾀﾞ"),
    "kanji": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "katakana-kanji": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "hangul": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "latin-1-greek": (["ISO_IR 100", "ISO 2022 IR 126"], "Dionysios=Διονυσιος"),
    "utf-8": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "gb18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "gbk": ("GBK", "Wang^XiaoDong=王^小东"),
}
TRANSFER_SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "encapsulated": JPEGBaseline8Bit,
}


def scan(file: bytes) -> ScannedFile:
    scanner = HeadScanner()
    scanner.feed(file)
    return scanner.finish()


def metadata(scanned: ScannedFile) -> bytes:
    return dicom_json.encode(scanned.dataset, scanned.character_sets, scanned.is_little_endian)


def patch(
    file: bytes, changes: Changes, chunk_sizes: Iterable[int] = (65536,), layout: HeadLayout | None = None
) -> bytes:
    """The patched file; it is fed in chunks of these sizes, the last of them repeated."""
    chunks = _chunks(file, chunk_sizes)
    return asyncio.run(_joined(patch_file(chunks, layout or HeadLayout.of(scan(file)), changes)))


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _chunks(file: bytes, sizes: Iterable[int]) -> AsyncIterator[bytes]:
    sizes = list(sizes)
    start = 0
    for size in chain(sizes, repeat(sizes[-1])):
        if start >= len(file):
            return
        yield file[start : start + size]
        start += size


def read(file: bytes) -> FileDataset:
    """The file as pydicom reads it; its warnings are about the sample files of pydicom, which are often irregular."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(file))
        dataset.walk(lambda *_: None)
        return dataset


def differences(before: Dataset, after: Dataset, changed: Collection[int] = ()) -> list[str]:
    """The elements, other than `changed` ones and group lengths, that differ or that only one side has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_differences(before, after, changed, ""))


def _differences(before: Dataset, after: Dataset, changed: Collection[int], path: str) -> Iterator[str]:
    tags = {tag for tag in {*before.keys(), *after.keys()} if tag.element != 0 and tag not in changed}
    for tag in sorted(tags):
        name = f"{path}{tag}"
        if tag not in before or tag not in after:
            yield f"{name} is only in one of them"
            continue
        mine, other = before[tag], after[tag]
        if mine.VR != other.VR:
            yield f"{name} {mine.VR} -> {other.VR}"
        elif mine.VR == "SQ":
            if len(mine.value) != len(other.value):
                yield f"{name} has another number of items"
            for number, (item, other_item) in enumerate(zip(mine.value, other.value, strict=False)):
                yield from _differences(item, other_item, (), f"{name}[{number}].")
        elif _comparable(mine.value) != _comparable(other.value):
            yield f"{name} {mine.value!r:.80} -> {other.value!r:.80}"


def _comparable(value: object) -> object:
    if isinstance(value, PersonName):
        return str(value)
    if isinstance(value, pydicom.multival.MultiValue):
        return [_comparable(each) for each in value]
    return repr(value) if isinstance(value, float) else value


@cache
def sample_files() -> dict[str, bytes]:
    """The Part 10 files among those that pydicom brings: each can be scanned, and pydicom reads it."""
    folders = (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent)
    files = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in ("", ".dcm", ".DCM")):
        if path.is_file():
            content = path.read_bytes()
            try:
                scan(content)
                read(content)
            except Exception:  # not DICOM, not Part 10, or broken on purpose
                continue
            files[path.name] = content
    return files


def build(
    character_sets: str | list[str] | None,
    name: str,
    transfer_syntax: UID = ExplicitVRLittleEndian,
    undefined_length: bool = False,
) -> bytes:
    """A file with `name` in elements before, in and behind the head, and in nested items, and with pixel data."""
    dataset = Dataset()
    if character_sets is not None:
        dataset.SpecificCharacterSet = character_sets
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2", "1.2.4"
    dataset.InstitutionName = name
    dataset.ReferencedStudySequence = Sequence([_item(name), _item("plain")])
    dataset.add_new(0x00090010, "LO", "MAKER")
    dataset.add_new(0x00091001, "OB", bytes(range(256)) * 4)
    dataset.PatientName = name
    dataset.PatientID = "ID-1"
    dataset.RequestedProcedureDescription = name
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored = 4, 4, 8, 8
    dataset.HighBit, dataset.SamplesPerPixel, dataset.PixelRepresentation = 7, 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.RequestAttributesSequence = Sequence([_item(name)])
    dataset.TextValue = name
    if transfer_syntax == JPEGBaseline8Bit:
        dataset.PixelData = encapsulate([b"\xff\xd8" + bytes(range(200)), b"\xff\xd8" + bytes(7)])
        dataset.NumberOfFrames = 2
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = bytes(range(16))
    for sequence in ("ReferencedStudySequence", "RequestAttributesSequence"):
        dataset[sequence].is_undefined_length = undefined_length
        for item in dataset[sequence].value:
            item.is_undefined_length_sequence_item = undefined_length
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.file_meta.PrivateInformationCreatorUID = generate_uid(entropy_srcs=["patching"])
    dataset.file_meta.PrivateInformation = b"\x01\x02"
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return b"\x7f" * 128 + file.getvalue()[128:]


def _item(text: str) -> Dataset:
    inner = Dataset()
    inner.CodeMeaning = text
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.5"
    item.RetrieveAETitle = "AE"
    item.ConceptNameCodeSequence = Sequence([inner])
    return item
