"""The service beside dcmtk, where that is installed: metadata beside dcm2json, changed files as dcmdump reads them."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from shared.dicom import dicom_json, tags
from shared.dicom.change_set import Changes
from shared.dicom.element import ScannedFile
from shared.errors import InvalidDicom
from tests.builders import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, part10
from tests.datasets import datasets
from tests.patching import patch, scan
from tests.properties.test_head import damaged_files, files
from tests.pydicom_json import normalised, sample_files

DCM2JSON, DCMDUMP = shutil.which("dcm2json"), shutil.which("dcmdump")
ELEMENT = re.compile(r"\((?!0002)....,(?!0000)....\)")
pytestmark = pytest.mark.skipif(not (DCM2JSON and DCMDUMP), reason="dcmtk is not installed")
some_examples = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Where dcmtk keeps UN for known elements, which the service and pydicom read by the dictionary (PS3.5 6.2.2).
UNKNOWN = {"bad_sequence.dcm", "rtdose_rle.dcm", "rtdose_rle_1frame.dcm"}

LARGEST = sys.float_info.max

NAME_TAG = "(0010,0010)"
NAME: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}


def dcmtk_json(file: bytes, folder: Path) -> dict[str, Any] | None:
    """What dcm2json makes of a file; None when it cannot express it: it lacks some character sets, and infinity."""
    path = folder / "file.dcm"
    path.write_bytes(file)
    assert DCM2JSON
    run = subprocess.run([DCM2JSON, "-q", "-fc", "+fo", path], capture_output=True, check=False)
    try:
        parsed: dict[str, Any] = json.loads(run.stdout.decode(), strict=False)
    except ValueError:
        return None
    return comparable(parsed)


def comparable(dataset: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the character set, which is that of the JSON text in dcmtk's, and without padding."""
    return {key: element for key, element in normalised(dataset).items() if key != "00080005"}


def same(ours: Any, theirs: Any, vr: str = "") -> bool:
    """dcmtk writes fewer digits of floats (the largest ones round up to infinity), and leaves out
    padding, empty components at the end of names, and values that are all empty.
    """
    match ours, theirs:
        case {"vr": str(vr)}, {"vr": str()} if vr != "SQ" and not any(map(has_text, ours.get("Value", []))):
            return not any(map(has_text, theirs.get("Value", [])))
        case {"vr": str(vr)}, {"vr": str(other)}:
            return vr == other and same(ours.get("Value", []), theirs.get("Value", []), vr)
        case dict(), dict():
            return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key], vr) for key in ours)
        case list(), list():
            return len(ours) == len(theirs) and all(same(*pair, vr) for pair in zip(ours, theirs, strict=True))
        case str(), str() if vr in ("FD", "FL", "SV", "UV"):
            return math.isclose(float(ours), min(max(float(theirs), -LARGEST), LARGEST), rel_tol=1e-6)
        case str(), str() if vr == "PN":
            return name(ours) == name(theirs)
        case str(), str():
            return ours.strip() == theirs.strip()
    return bool(ours == theirs)


def name(text: str) -> str:
    return "^".join(component.strip() for component in text.split("^")).rstrip("^")


def has_text(value: Any) -> bool:
    texts = value.values() if isinstance(value, dict) else [value or ""]
    return any(str(text).strip("^ ") for text in texts)


def metadata(content: ScannedFile) -> dict[str, Any]:
    encoded = dicom_json.encode(content.dataset, content.character_sets, content.is_little_endian)
    return comparable(orjson.loads(encoded))


def without_pixels(file: bytes, content: ScannedFile) -> bytes:
    """dcm2json has no JSON for compressed pixels."""
    offsets = [element.offset for element in content.dataset if element.tag == tags.PIXEL_DATA]
    return file[: min(offsets)] if offsets and not content.is_deflated else file


@pytest.mark.parametrize("name", sorted(sample_files().keys() - UNKNOWN))
def test_metadata_of_sample_files(name: str, tmp_path: Path) -> None:
    """PS3.18 F.2."""
    file = sample_files()[name].read_bytes()
    try:
        content = scan(file)
    except InvalidDicom:
        pytest.skip("The service refuses it.")
    theirs = dcmtk_json(without_pixels(file, content), tmp_path)
    if theirs is None:
        pytest.skip("dcm2json cannot express it.")
    assert same(metadata(content), theirs), theirs


@some_examples
@given(dataset=datasets(), transfer_syntax=st.sampled_from((EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)))
def test_metadata_of_generated_data_sets(dataset: Dataset, transfer_syntax: str, tmp_path: Path) -> None:
    """PS3.18 F.2. In implicit VR, newer attributes are unknown to dcmtk."""
    file = part10(dataset, transfer_syntax)
    theirs = dcmtk_json(file, tmp_path)
    if theirs is not None:
        assert same(metadata(scan(file)), theirs), theirs


def dump(file: bytes, folder: Path) -> list[str] | None:
    """The elements of the top level as dcmdump shows them, without group lengths; None if it cannot read the file."""
    path = folder / "file.dcm"
    path.write_bytes(file)
    assert DCMDUMP
    run = subprocess.run([DCMDUMP, "-q", "+L", path], capture_output=True, check=False)
    if run.returncode:
        return None
    lines = run.stdout.decode("latin-1").splitlines()
    return [line for line in lines if ELEMENT.match(line)]


@some_examples
@given(file=files() | damaged_files())
def test_changed_files(file: bytes, tmp_path: Path) -> None:
    """UPD-53, D-65: what dcmtk reads of a file, damaged or not, it reads of its changed form; only what was to change has."""
    try:
        content = scan(file)
    except InvalidDicom:
        return
    before = dump(file, tmp_path)
    if before is None or not content.dataset:
        return
    after = dump(patch(file, NAME), tmp_path)
    assert after is not None
    assert [line.split("#")[0].rstrip() for line in after if line.startswith(NAME_TAG)] == [f"{NAME_TAG} PN [New^Name]"]
    assert [line for line in after if not line.startswith(NAME_TAG)] == [
        line for line in before if not line.startswith(NAME_TAG)
    ]
