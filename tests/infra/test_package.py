"""The package that is deployed: what .funcignore leaves of the checkout, which is what runs and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pathspec
import pytest

from tests.infra import bicep

ROOT = bicep.INFRA.parent
TOP = {"constraints.txt", "function_app.py", "host.json", "requirements.txt", "shared"}

INDEX = """
import asyncio, sys
from pathlib import Path
from devhost.worker import Worker

worker = asyncio.run(Worker.load(Path(sys.argv[1])))
import shared
print(Path(shared.__file__).parent)
print(*(function.name for function in worker.functions))
"""


def packed(folder: Path) -> list[str]:
    """The files that are packed, as Core Tools and azd choose them: .funcignore has the syntax of .gitignore."""
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    found = []
    for directory, folders, names in os.walk(folder):
        here = Path(directory).relative_to(folder)
        folders[:] = [name for name in folders if not ignored.match_file(f"{(here / name).as_posix()}/")]
        found += [path for name in names if not ignored.match_file(path := (here / name).as_posix())]
    return sorted(found)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked package."""
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        for name in packed(ROOT):
            archive.write(ROOT / name, name)
    with zipfile.ZipFile(folder / "app.zip") as archive:
        archive.extractall(folder / "app")
    return folder / "app"


def test_the_package_holds_what_runs() -> None:
    names = packed(ROOT)
    assert {name.split("/")[0] for name in names} == TOP
    source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "shared").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("shared/")} == {n for n in source if "__pycache__" not in n}


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".venv/lib/python3.13/site-packages/a.py",
        ".git/config",
        ".data/azurite/db.json",
        "app.zip",
        "local.settings.json",
        "node_modules/azurite/index.js",
        "shared/__pycache__/settings.cpython-313.pyc",
        "tests/infra/bicep.py",
    ],
)
def test_what_lies_about_is_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    (tmp_path / "host.json").touch()
    assert packed(tmp_path) == ["host.json"]


def test_the_worker_library_indexes_the_package(package: Path) -> None:
    """As it does in Azure, with nothing of the checkout but the local host, which starts it."""
    imported, functions = indexed(package)
    assert imported == package / "shared"
    assert functions
    assert functions == indexed(ROOT)[1]


def indexed(app: Path) -> tuple[Path, list[str]]:
    """Where the app's modules come from, and its functions. The library takes one app a process."""
    run = subprocess.run([sys.executable, "-c", INDEX, str(app)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    imported, functions = run.stdout.splitlines()[-2:]
    return Path(imported), sorted(functions.split())


def test_requirements_of_the_package_are_all_in_it(package: Path) -> None:
    for line in (package / "requirements.txt").read_text().splitlines():
        if option := re.match(r"-[cr] (\S+)", line):
            assert (package / option[1]).is_file()


@pytest.mark.parametrize("file", ["infra/README.md", ".github/workflows/ci.yml"])
def test_zip_commands_pack_the_same(file: str) -> None:
    """What is built on the way brings its bytecode, which an instance could not keep."""
    text = (ROOT / file).read_text()
    commands = re.findall(r"zip -qr app\.zip (.+?)( -x '\*/__pycache__/\*')?$", text, re.MULTILINE)
    assert commands
    for files, without_bytecode in commands:
        assert set(files.split()) - {".python_packages"} == TOP
        assert bool(without_bytecode) != (".python_packages" in files)
    (compiled,) = re.findall(r"compileall -q --invalidation-mode checked-hash (.+)$", text, re.MULTILINE)
    assert set(compiled.split()) == {".python_packages", "function_app.py", "shared"}
