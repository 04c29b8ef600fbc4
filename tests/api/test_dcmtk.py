"""Files that come back are what dcmtk reads of them, where it is installed (STOW-130, STOW-131)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import builders
from tests.pydicom_json import sample_files
from tests.support.dicomweb import ANY_FILE, Uids, store
from tests.support.host import Host

DCMDUMP = shutil.which("dcmdump")
pytestmark = pytest.mark.skipif(not DCMDUMP, reason="dcmtk is not installed")

SAMPLES = ("CT_small.dcm", "JPEG2000.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "reportsi.dcm", "chrH32.dcm")


def dump(path: Path) -> bytes:
    assert DCMDUMP
    return subprocess.run([DCMDUMP, "-q", "+L", path], capture_output=True, check=True).stdout


@pytest.mark.parametrize("name", [*SAMPLES, builders.RLE, builders.DEFLATED])
def test_stored_and_retrieved(host: Host, name: str, tmp_path: Path) -> None:
    file = builders.instance(transfer_syntax=name, frames=2) if name[0] == "1" else sample_files()[name].read_bytes()
    assert store(host, file).status_code in (200, 202, 409)  # one host for all tests: it may be there already
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    before.write_bytes(file)
    after.write_bytes(host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content)
    assert dump(after) == dump(before)
