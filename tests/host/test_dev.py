"""The developer's entry (dev.py): what it finds, and what it says when something is missing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dev


def test_taken_port_is_named_and_another_one_used(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert dev.choose_port(port) not in (port, 0)
    assert f"Port {port} is taken" in capsys.readouterr().out
    assert dev.choose_port(port) == port


def test_python_of_the_pinned_version_is_found() -> None:
    found = subprocess.run([dev.find_python(), "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"Python {(dev.ROOT / '.python-version').read_text().strip()}.")


def test_missing_python_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(SystemExit, match=r"Python 3\.13 is missing"):
        dev.find_python()


@pytest.mark.parametrize(("version", "message"), [(None, "Node.js is missing"), ("v18.19.0", "v18.19.0 is too old")])
def test_node_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, message: str) -> None:
    if version:
        for name in ("node", "npm"):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\necho {version}\n")
            program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/bin"] if version else [str(tmp_path)]))
    with pytest.raises(SystemExit, match=message):
        dev.install_azurite()


def test_setting_up_again_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    dev.set_up()
    assert capsys.readouterr().out == ""
