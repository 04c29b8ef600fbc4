"""What takes bytes from outside, each with what must hold of it whatever the bytes: an error that is not declared, or an
assertion that fails, is a bug.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Final
from urllib.parse import parse_qsl, urlencode

import orjson

from shared.dicom import dicom_json, tags
from shared.dicom.beginning import missing_beginning
from shared.dicom.change_set import Changes, HeadLayout, patch_file, patch_metadata
from shared.dicom.element import ScannedFile
from shared.dicom.frames import locate_frames
from shared.dicom.head import HeadScanner
from shared.dicom.searchable import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Level
from shared.dicom.validation import validate
from shared.errors import BadRequest, InvalidDicom, NotAcceptable, UnsupportedMediaType
from shared.services import query, update_request
from shared.services.query import Query
from shared.services.summaries import integer, summary_of
from shared.web import representations
from shared.web.multipart import MultipartReader, PartBegin, PartData, PartEnd, closing, parse_content_type, part_header
from shared.web.negotiation import negotiate
from tests import builders
from tests.datasets import CHARACTER_SETS
from tests.pydicom_json import sample_files

BOUNDARY: Final = "b-1"
LONGEST_SAMPLE: Final = 8192  # bytes of a file of pydicom's that is worth to start from

CHANGES: Final[tuple[Changes, ...]] = (
    {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}, "00100020": {"vr": "LO", "Value": ["new"]}},
    {"00100010": {"vr": "PN", "Value": [{"Ideographic": "山田"}]}, "00104000": {"vr": "LT"}},
)
VALUES: Final = ("", "CT", "Doe^Jane=山田", "20240131", "101112.5", "1.5", "12", "1.2.840.10008", "a" * 64)


def head(data: bytes) -> None:
    """The scanner, and all that a store does with what it has found: STOW-27, STOW-40 to STOW-85."""
    data = (missing_beginning(data, is_all=True) or b"") + data
    content = scan(data, [len(data)])
    assert scan(data, chunk_sizes(data)) == content, "The size of chunks makes a difference."
    if content is None:
        return
    for study in (None, "1.2.3"):
        findings = validate(content, study)
        assert all(text.startswith("DICOM100: (") for _, text in (*findings.failures, *findings.warnings))
    encoded = dicom_json.encode(findings.dataset, content.character_sets, content.is_little_endian)
    lines = dicom_json.lines(encoded)
    assert dicom_json.join(lines) == encoded
    assert all(tags.key(int(key, 16)) == key for key in orjson.loads(encoded))
    summary_of(lines, (*STUDY_ATTRIBUTES, *SERIES_ATTRIBUTES))
    integer(lines, tags.INSTANCE_NUMBER)
    if (frames := locate_frames(content)) is not None:
        assert type(frames).from_bytes(frames.to_bytes()) == frames


def change_set(data: bytes) -> None:
    """A stored file with changes: it can be read, has them, and says the same as the changed metadata (UPD-53, UPD-56)."""
    content = scan(data, [len(data)])
    if content is None or validate(content).failures:
        return
    stored = dicom_json.encode(content.dataset, content.character_sets, content.is_little_endian)
    for changes in CHANGES:
        patched = patch(data, [len(data)], content, changes)
        if not content.is_deflated:
            assert patch(data, chunk_sizes(data), content, changes) == patched
        after = scan(patched, [len(patched)])
        assert after is not None, "The changed file cannot be read."
        metadata = dicom_json.encode(after.dataset, after.character_sets, after.is_little_endian)
        expected = orjson.loads(patch_metadata(stored, changes, content.character_sets))
        assert {key: value for key, value in orjson.loads(metadata).items() if key in changes} == {
            key: value for key, value in expected.items() if key in changes
        }
        assert expected.keys() == orjson.loads(metadata).keys()


def multipart(data: bytes) -> None:
    """A store's body: CL-7, STOW-24."""
    whole = parts(data, [len(data) or 1])
    assert parts(data, chunk_sizes(data)) == whole, "The size of chunks makes a difference."


def accept(data: bytes) -> None:
    """Accept, Content-Type: D-3, STOW-12 to STOW-15."""
    text = data.decode("latin-1")
    with suppress(UnsupportedMediaType, BadRequest):
        parse_content_type(text)
    resources = (representations.INSTANCES, representations.INSTANCE, representations.FRAMES, representations.RENDERED)
    for resource in (*resources, representations.DATA_SETS, representations.STORE_RESPONSE):
        with suppress(NotAcceptable):
            assert negotiate(text, resource)


def search(data: bytes) -> None:
    """The query string of a search, and matching with what it asks for: QIDO-20 to QIDO-35, QIDO-60 to QIDO-80."""
    parameters = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True)
    for level, study, series in product(Level, (None, "1.2"), (None, "1.2.3")):
        with suppress(BadRequest):
            parsed = query.parse(Query(level, study, series), parameters)
            for condition in parsed.conditions:
                for value in VALUES:
                    condition.matches(value)


def bulk_update(data: bytes) -> None:
    """The body of a bulk update: what is accepted can be applied (UPD-10 to UPD-20)."""
    try:
        update = update_request.parse(data)
    except BadRequest:
        return
    for file in stored_files():
        content = scan(file, [len(file)])
        assert content is not None
        patched = patch(file, [len(file)], content, update.changes)
        assert scan(patched, [len(patched)]) is not None
        orjson.loads(patch_metadata(b"{\n}", update.changes, content.character_sets))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "head": head,
    "change_set": change_set,
    "multipart": multipart,
    "accept": accept,
    "search": search,
    "bulk_update": bulk_update,
}


def seeds(target: str) -> Iterable[bytes]:
    """What a run starts from."""
    match target:
        case "head" | "change_set":
            return files()
        case "multipart":
            payloads = (b"", b"data\r\n", b"\r\n--b-\r\n--b-1x", bytes(300))
            headers = (part_header(BOUNDARY, builders.EXPLICIT_LITTLE, "/a", first=not n) for n in range(4))
            body = b"".join(header + payload for header, payload in zip(headers, payloads, strict=True))
            folded = b"a\r\n--b-1 \t\r\nA:\r\n b\r\n\tc\r\n\r\nx\r\n--b-1--"
            return [body + closing(BOUNDARY), b"\r\n--b-1--", folded, b"--b-1\r\n\r\n\r\n--b-1--\r\nepilogue"]
        case "accept":
            types = (
                '*/*;q=0.1, multipart/related; type="application/dicom"; transfer-syntax=*, image/*, a/b; c=\'d\\"\''
            )
            return [types.encode(), b'multipart/related; boundary="b 1"; start=x', b"application/octet-stream"]
        case "search":
            pairs = {
                "PatientName": "Do*^J?n",
                "StudyDate": "2024-",
                "ModalitiesInStudy": "CT,MR",
                "includefield": "all",
            }
            others = {"fuzzymatching": "true", "00100010": "a b", "limit": "1", "Rows": "1.0", "StudyTime": "10-1112"}
            return [urlencode(pairs).encode(), urlencode(others).encode(), b"StudyInstanceUID=1.2%5C3&offset=0"]
        case _:
            return [
                json.dumps({"studyInstanceUids": ["1.2"], "changeDataset": changes}).encode()
                for changes in (*CHANGES, {"00101030": {"vr": "DS", "Value": [72.5]}}, {"PatientSex": {"vr": "CS"}})
            ]


@cache
def files() -> list[bytes]:
    """Small files: in every encoding and character set, and of pydicom's."""
    nested = builders.item(StudyID="7", ContentSequence=[builders.item(TextValue="x", PatientID="1")])
    made = [
        builders.instance(
            transfer_syntax=syntax,
            RequestAttributesSequence=[nested, builders.item()],
            elements=[(0x00090010, "LO", "MAKER"), (0x00091001, "OB", b"\1\2"), (0x00091002, "DS", "1\\2")],
            SpecificCharacterSet=list(character_sets) or None,
            PatientComments=characters or None,
        )
        for syntax, (character_sets, characters) in product(builders.UNCOMPRESSED, CHARACTER_SETS.items())
    ]
    made += [builders.instance(frames=2, transfer_syntax=each) for each in (builders.RLE, builders.JPEG_BASELINE)]
    found = [path.read_bytes() for path in sample_files().values() if path.stat().st_size <= LONGEST_SAMPLE]
    return made + found


@cache
def stored_files() -> list[bytes]:
    return [builders.instance(rows=0, transfer_syntax=each) for each in builders.UNCOMPRESSED]


def chunk_sizes(data: bytes) -> list[int]:
    """Three sizes of chunks that the data itself chooses."""
    return [byte % 61 + 1 for byte in (data[-3:] or b"\0")]


def scan(data: bytes, sizes: list[int]) -> ScannedFile | None:
    """What the scanner says of the file, None when it refuses it."""
    scanner = HeadScanner()
    try:
        for chunk in builders.chunks(data, sizes or [1]):
            scanner.feed(bytes(chunk))
        return scanner.finish()
    except InvalidDicom:
        return None


def parts(body: bytes, sizes: list[int]) -> list[tuple[dict[str, str], bytes]] | None:
    """Headers and payload of each part, None for a body that is refused."""
    reader = MultipartReader(BOUNDARY)
    found: list[tuple[dict[str, str], bytes]] = []
    is_open = False
    try:
        for chunk in builders.chunks(body, sizes):
            for event in reader.feed(bytes(chunk)):
                match event:
                    case PartBegin(headers):
                        assert not is_open
                        found.append((headers, b""))
                    case PartData(payload):
                        assert is_open
                        found[-1] = (found[-1][0], found[-1][1] + payload)
                    case PartEnd():
                        assert is_open
                is_open = not isinstance(event, PartEnd)
        reader.finish()
    except BadRequest:
        return None
    assert not is_open
    return found


def patch(file: bytes, sizes: list[int], content: ScannedFile, changes: Changes) -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in builders.chunks(file, sizes):
            yield bytes(chunk)

    async def joined() -> bytes:
        return b"".join([chunk async for chunk in patch_file(chunks(), HeadLayout.of(content), changes)])

    return asyncio.run(joined())
