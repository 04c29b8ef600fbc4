"""Data sets in another encoding have the same elements and values."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from pydicom.dataset import Dataset

from shared.dicom.reencoding import swapped
from shared.dicom.transcoding import EXPLICIT_VR_LITTLE_ENDIAN, Head
from tests import builders
from tests.datasets import datasets

_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


@pytest.mark.parametrize("source", [builders.IMPLICIT_LITTLE, builders.EXPLICIT_BIG, builders.EXPLICIT_LITTLE])
@settings(max_examples=60, deadline=None)
@given(content=datasets())
def test_to_explicit_little_endian(source: str, content: Dataset) -> None:
    file = builders.part10(content, source)
    transcoded = Head.of(file).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, None)
    expected = pydicom.dcmread(BytesIO(file), force=True)
    if source == builders.EXPLICIT_BIG:
        expected.walk(_swap)
    assert pydicom.dcmread(BytesIO(transcoded), force=True) == expected


@settings(max_examples=60, deadline=None)
@given(content=datasets())
def test_to_implicit_and_back(content: Dataset) -> None:
    """Private elements lose their VR on the way, which implicit VR does not tell."""
    content.remove_private_tags()
    file = builders.part10(content, builders.EXPLICIT_LITTLE)
    implicit = Head.of(file).transcoded(builders.IMPLICIT_LITTLE, None)
    explicit = Head.of(implicit).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, None)
    assert pydicom.dcmread(BytesIO(explicit), force=True) == pydicom.dcmread(BytesIO(file), force=True)


def _swap(dataset: Dataset, element: pydicom.DataElement) -> None:
    """pydicom leaves the words of big endian as they are."""
    if element.VR in _WORDS and element.value:
        element.value = swapped(element.value, _WORDS[element.VR])
