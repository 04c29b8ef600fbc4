"""DICOM JSON as pydicom makes it, brought to the form that the service promises. The oracle of the tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import data_store  # type: ignore[import-untyped]  # pydicom-data, which has no types
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.hooks import hooks, raw_element_vr

BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or OW", "US or SS or OW"}
NUMBERS = {"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"}

type Json = dict[str, dict[str, Any]]


def expected(file: bytes, left_out: Iterable[str] = ()) -> Json:
    """The metadata of a file, from pydicom, without the elements that these paths name.

    A path has the tags of sequences, whose first item it goes through, and of the element: "300C0002.00081155".
    """
    with warnings.catch_warnings(), private_elements_stay_unknown():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(file))
        for path in left_out:
            *sequences, tag = (int(each, 16) for each in path.split("."))
            item = dataset
            for sequence in sequences:
                item = item[sequence].value[0]
            del item[tag]
        return normalised(dataset.to_json_dict())


def normalised(dataset: Json) -> Json:
    """The data set without what metadata leaves out, and without what two correct encodings may differ in.

    Left out: bulk values and group lengths (WADO-82, WADO-84). Made equal: empty sequences and name groups, which
    pydicom writes; missing values, null or empty; trailing padding, which pydicom removes only from the last value of
    some VRs, and NULs, which it always removes; numbers, which may be written in different ways.
    """
    return {
        key: _element(element)
        for key, element in sorted(dataset.items())
        if element["vr"] not in BULK and not key.endswith("0000")
    }


def _element(element: dict[str, Any]) -> dict[str, Any]:
    vr = element["vr"]
    values = [_value(vr, value) for value in element.get("Value", ())]
    return {"vr": vr} if values in ([], [None]) else {"vr": vr, "Value": values}


def _value(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return normalised(value)
    if vr == "PN" and isinstance(value, dict):
        return {
            group: text for group, text in ((name, _text(vr, each)) for name, each in value.items()) if text
        } or None
    if vr in NUMBERS and isinstance(value, int | float):
        return repr(float(value))
    return _text(vr, value) if isinstance(value, str) else value


def _text(vr: str, value: str) -> str | None:
    return (value.strip(" \0") if vr in ("AE", "CS") else value.rstrip(" \0")) or None


@contextmanager
def private_elements_stay_unknown() -> Iterator[None]:
    """pydicom has a dictionary of private elements, the service has not (STOW-83)."""

    def vr(raw: RawDataElement, data: dict[str, Any], **arguments: Any) -> None:
        raw_element_vr(raw, data, **arguments)
        if raw.tag.is_private and not raw.tag.is_private_creator and raw.VR in (None, "UN"):
            data["VR"] = "UN"

    hooks.register_callback("raw_element_vr", vr)
    try:
        yield
    finally:
        hooks.register_callback("raw_element_vr", raw_element_vr)


@cache
def sample_files() -> dict[str, Path]:
    """The Part 10 files that pydicom and pydicom-data bring, as they lie on the disk."""
    folders = (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent)
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.name: path for path in paths if path.read_bytes()[128:132] == b"DICM"}
