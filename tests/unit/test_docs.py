"""What the README says is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from shared import settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_documented() -> None:
    source = Path(settings.__file__).read_text()
    names = set(re.findall(r'"(DICOM_[A-Z_]+)"', source))
    assert names
    assert names == set(re.findall(r"`(DICOM_[A-Z_]+)`", README))


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"dev\.py ([a-z]+)", README))
    assert commands <= {"demo", "run", "test", "check", "bench", "fsck"}
    assert {"demo", "run", "test"} <= commands
