"""Alerts look for what is written: records of functions that exist, and log lines of the service."""

from __future__ import annotations

import re

from tests.infra import bicep

README = (bicep.INFRA / "README.md").read_text()
SOURCE = "".join(path.read_text() for path in (bicep.INFRA.parent / "shared").rglob("*.py"))
RULES = bicep.read(bicep.INFRA / "modules" / "alerts.bicep").variables["rules"]


def test_functions_that_alerts_name_exist() -> None:
    named = {name for rule in RULES for name in re.findall(r'name [!=]= "(\w+)"', rule["query"])}
    assert named
    assert named <= set(re.findall(r'function_name\("(\w+)"\)', SOURCE))


def test_log_lines_that_alerts_wait_for_are_written() -> None:
    """At the level Warning or Error, beginning as the alert has it."""
    sought = {line for rule in RULES for line in re.findall(r'message startswith "([^"]+)"', rule["query"])}
    assert sought
    assert sought == {line for line in sought if re.search(rf'logger\.(warning|error)\(\s*"{line}', SOURCE)}


def test_every_alert_is_described() -> None:
    section = README.partition("## Alerts")[2].partition("\n## ")[0]
    assert [rule["name"] for rule in RULES] == re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)


def test_queries_look_at_one_table_of_application_insights() -> None:
    for rule in RULES:
        table, *pipes = [line.strip() for line in rule["query"].strip().splitlines()]
        assert table in ("requests", "traces")
        assert all(line.startswith("| ") for line in pipes)
        assert 0 <= rule["severity"] <= 4
        assert rule["rows"] >= 1
