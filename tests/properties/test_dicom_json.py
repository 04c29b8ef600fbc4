"""DICOM JSON of generated data sets. The oracle is pydicom."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from shared.dicom import dicom_json
from shared.dicom.head import HeadScanner
from tests.builders import UNCOMPRESSED, part10
from tests.datasets import datasets
from tests.pydicom_json import expected, normalised


def encode(file: bytes) -> bytes:
    scanner = HeadScanner()
    scanner.feed(file)
    content = scanner.finish()
    return dicom_json.encode(content.dataset, content.character_sets, content.is_little_endian)


@given(datasets(), st.sampled_from(UNCOMPRESSED))
def test_pydicom_says_the_same(dataset: Dataset, transfer_syntax: str) -> None:
    file = part10(dataset, transfer_syntax)
    assert normalised(orjson.loads(encode(file))) == expected(file)


@given(datasets())
def test_explicit_encodings_have_the_same_metadata(dataset: Dataset) -> None:
    little, big = (encode(part10(dataset, transfer_syntax)) for transfer_syntax in (UNCOMPRESSED[0], UNCOMPRESSED[2]))
    assert little == big


@given(datasets(), st.data())
def test_lines_can_be_selected_and_merged(dataset: Dataset, data: st.DataObject) -> None:
    text = encode(part10(dataset))
    lines = dicom_json.lines(text)
    selected = data.draw(st.sets(st.sampled_from(sorted(lines)))) if lines else set()
    some = dicom_json.join({key: lines[key] for key in selected})
    rest = dicom_json.join({key: line for key, line in lines.items() if key not in selected})
    assert orjson.loads(some) == {key: value for key, value in orjson.loads(text).items() if key in selected}
    assert dicom_json.join({**dicom_json.lines(rest), **dicom_json.lines(some)}) == text
