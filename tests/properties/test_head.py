"""Properties of the scanner, of generated data sets in every encoding, and of what is left when they are damaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from shared.dicom import dicom_json
from shared.dicom.element import Element
from shared.dicom.head import HeadScanner, ScannedFile
from shared.errors import InvalidDicom
from tests.builders import JPEG_BASELINE, RLE, UNCOMPRESSED, add_pixels, chunks, part10
from tests.datasets import datasets

SYNTAXES = (*UNCOMPRESSED, RLE, JPEG_BASELINE)
CHUNKS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    transfer_syntax = draw(st.sampled_from(SYNTAXES))
    content: Dataset = draw(datasets())
    if draw(st.booleans()):
        add_pixels(content, 4, 3, draw(st.integers(1, 3)), transfer_syntax)
    return part10(content, transfer_syntax) + bytes(draw(st.integers(0, 20)))


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Files with bytes replaced, inserted or left out behind the prefix."""
    file = bytearray(draw(files()))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(132, len(file)))
        file[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(file)


def outcome(file: bytes, sizes: list[int]) -> ScannedFile | None:
    """What the scanner says of the file, None when it refuses it."""
    scanner = HeadScanner()
    try:
        for chunk in chunks(file, sizes):
            scanner.feed(chunk)
        return scanner.finish()
    except InvalidDicom:
        return None


@given(files(), CHUNKS)
def test_chunks_do_not_matter(file: bytes, sizes: list[int]) -> None:
    whole = outcome(file, [len(file)])
    assert whole is not None
    assert outcome(file, sizes) == whole


@given(damaged_files(), CHUNKS)
def test_chunks_do_not_matter_in_damaged_files(file: bytes, sizes: list[int]) -> None:
    assert outcome(file, sizes) == outcome(file, [len(file)])


@given(st.binary(max_size=300), CHUNKS)
def test_any_bytes_are_refused_or_understood(data: bytes, sizes: list[int]) -> None:
    for start in (b"", bytes(128) + b"DICM", part10(Dataset())):
        assert outcome(start + data, sizes) == outcome(start + data, [len(start + data)])


@given(damaged_files())
def test_whatever_is_understood_can_be_encoded(file: bytes) -> None:
    content = outcome(file, [len(file)])
    if content is not None:
        dicom_json.encode(content.dataset, content.character_sets, content.is_little_endian)


@given(files())
def test_values_are_those_at_their_offsets(file: bytes) -> None:
    content = outcome(file, [len(file)])
    assert content is not None
    if content.is_deflated:
        return
    pending: list[Element] = [*content.file_meta, *content.dataset]
    while pending:
        element = pending.pop()
        if isinstance(element.value, list):
            pending += [each for item in element.value for each in item]
        elif element.value is not None:
            assert file[element.value_offset : element.value_offset + element.length] == element.value
