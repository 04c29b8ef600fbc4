"""What README and docs say is held against the code."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from shared import errors, settings
from shared.dicom import tags
from shared.dicom.searchable import SEARCHABLE
from shared.dicom.updatable import UPDATABLE
from shared.web.problems import STATUS
from shared.web.routing import RESOURCES
from tests.support.routes import routes

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CONFORMANCE, LIMITS, OPERATIONS = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("conformance", "limits", "operations")
)

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
CONSTANT = re.compile(r"`(shared[\w.]*)\.([A-Z_0-9]+)`")


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, without their heads."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [cells for cells in lines if cells[-1] != "tests" and not cells[0].startswith("---")]


@cache
def names_in(file: str) -> set[str]:
    path = ROOT / "tests" / file
    defined = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
    return {node.name for node in defined if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("text", [CONFORMANCE, LIMITS], ids=["conformance", "limits"])
def test_every_row_names_tests_that_exist(text: str) -> None:
    found = rows(text)
    assert len(found) > 30
    for cells in found:
        assert TEST.search(cells[-1]), cells
    for file, test in TEST.findall(text):
        assert test in names_in(file), f"{file}::{test}"


def test_every_route_is_in_the_conformance_statement_and_no_other() -> None:
    section = CONFORMANCE.split("## Resources")[1].split("\n## ")[0]
    documented = {
        path: {method.strip() for method in cells[1].split(",")}
        for cells in rows(section)
        for path in re.findall(r"`([^`]+)`", cells[0])
    }
    paths = {route.removeprefix("{version}/").removeprefix("partitions/{partition}/") for route in routes().values()}
    assert set(documented) == paths | {"studies/$bulkUpdate"}
    for resource in RESOURCES:
        assert documented[resource.path] == set(resource.endpoints), resource.path


def test_every_error_is_in_the_conformance_statement_with_its_status() -> None:
    section = CONFORMANCE.split("## Errors")[1].split("\n## ")[0]
    documented = {name: int(cells[1]) for cells in rows(section) for name in re.findall(r"`(\w+)`", cells[0])}
    assert documented == {kind.__name__: status.value for kind, status in STATUS.items()}
    assert set(STATUS) == set(errors.ServiceError.__subclasses__())


def test_attributes_of_the_conformance_statement() -> None:
    search = CONFORMANCE.split("## Search")[1].split("\n## ")[0]
    named = {
        name: cells[1]
        for cells in rows(search)
        for name in cells[0].split(", ")
        if name in map(tags.keyword_of, SEARCHABLE)
    }
    assert named == {attribute.keyword: attribute.level.name.lower() for attribute in SEARCHABLE.values()}
    update = CONFORMANCE.split("The attributes: ")[1].split(".\n")[0]
    assert set(update.replace("\n", " ").split(", ")) == {tags.keyword_of(tag) for tag in UPDATABLE}


def test_limits_are_those_of_the_code() -> None:
    for cells in rows(LIMITS):
        [(module, name)] = CONSTANT.findall(cells[2])
        number, _, unit = cells[1].partition(" ")
        assert getattr(importlib.import_module(module), name) == int(number.replace(",", "")) * UNITS.get(unit, 1), name


def test_every_limit_of_requests_is_documented() -> None:
    documented = set(CONSTANT.findall(LIMITS))
    for module in ("shared.web.limits", "shared.web.body", "shared.services.json_body", "shared.web.audit"):
        limits = re.findall(
            r"^((?:MAX|MOST|LONGEST)_\w+)", Path(importlib.import_module(module).__file__ or "").read_text(), re.M
        )
        assert {(module, name) for name in limits} <= documented


def test_every_setting_is_documented() -> None:
    source = Path(settings.__file__).read_text()
    names = set(re.findall(r'"(DICOM_[A-Z_]+)"', source))
    assert names
    assert names == set(re.findall(r"`(DICOM_[A-Z_]+)`", README))
    for text in (CONFORMANCE, LIMITS, OPERATIONS):
        assert set(re.findall(r"`(DICOM_[A-Z_]+)`", text)) <= names


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"dev\.py ([a-z]+)", README))
    assert commands <= {"demo", "run", "test", "check", "bench", "fsck"}
    assert {"demo", "run", "test"} <= commands


@pytest.mark.parametrize("name", ["conformance", "limits", "operations"])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / "docs" / target).exists(), target
