"""The bulk values of a file as pydicom reads them, and the BulkDataURIs of metadata. The oracle of the tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.pydicom_json import BULK, private_elements_stay_unknown

_NUMBERS = {"OW": "u2", "OB or OW": "u2", "US or OW": "u2", "US or SS or OW": "u2", "OF": "u4", "OL": "u4",
            "OD": "u8", "OV": "u8"}  # fmt: skip

type Value = bytes | list[bytes] | None
"""Little endian bytes; the frames of encapsulated pixel data; None when it is empty."""


def expected(file: bytes) -> dict[str, Value]:
    """Every value of a file that metadata leaves out, by the path that its URI ends in."""
    with warnings.catch_warnings(), private_elements_stay_unknown():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(file))
        is_big_endian = not dataset.file_meta.TransferSyntaxUID.is_little_endian
        frames = int(dataset.get("NumberOfFrames") or 1)
        return dict(_expected(dataset, "", is_big_endian, frames))


def _expected(dataset: Dataset, prefix: str, is_big_endian: bool, frames: int) -> Iterator[tuple[str, Value]]:
    for element in dataset:
        path = f"{prefix}{element.tag:08X}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _expected(item, f"{path}/{number}/", is_big_endian, frames)
        elif element.VR in BULK:
            if element.is_undefined_length:
                yield path, list(generate_frames(element.value, number_of_frames=frames))
            elif is_big_endian and element.VR in _NUMBERS and element.value:
                yield path, numpy.frombuffer(element.value, _NUMBERS[element.VR]).byteswap().tobytes()
            else:
                yield path, element.value or None


def uris(dataset: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    """The BulkDataURI of every element of metadata that has one, by its place in the data set.

    None where an element that may have one has neither that nor a value. Checks that keys ascend, and that no element
    has more than one kind of value (PS3.18 F.2.2).
    """
    found: dict[str, str | None] = {}
    assert list(dataset) == sorted(dataset)
    for key, element in dataset.items():
        assert len({"Value", "InlineBinary", "BulkDataURI"} & element.keys()) <= 1
        path = f"{prefix}{key}"
        if element["vr"] == "SQ":
            for number, item in enumerate(element.get("Value", [])):
                found |= uris(item, f"{path}/{number}/")
        elif "BulkDataURI" in element or element["vr"] in BULK:
            found[path] = element.get("BulkDataURI")
    return found
