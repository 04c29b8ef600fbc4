"""azure.yaml and the workflow agree with what they deploy and run. No parser of YAML is needed for that."""

from __future__ import annotations

import json
import re

from tests.infra import bicep

ROOT = bicep.INFRA.parent
AZD = (ROOT / "azure.yaml").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_azd_finds_the_app_by_its_tag() -> None:
    [service] = re.findall(r"^services:\n  (\w+):$", AZD, re.MULTILINE)
    app = bicep.read(bicep.INFRA / "modules" / "function-app.bicep").resources["app"]
    assert app.body["tags"].parts[1] == {"azd-service-name": service}
    assert re.search(r"^    project: \.\n    language: py\n    host: function$", AZD, re.MULTILINE)


def test_azd_finds_the_template() -> None:
    found = dict(re.findall(r"^  (provider|path|module): (\S+)$", AZD, re.MULTILINE))
    assert found["provider"] == "bicep"
    assert (ROOT / found["path"] / f"{found['module']}.bicep").is_file()


def test_the_workflow_runs_the_checks_on_the_versions_that_are_needed() -> None:
    assert "run: .ci/run" in WORKFLOW
    assert WORKFLOW.count("python-version-file: .python-version") == WORKFLOW.count("actions/setup-python@")
    [node] = re.findall(r"node-version: (\d+)", WORKFLOW)
    assert json.loads((ROOT / "package.json").read_text())["engines"]["node"] == f">={node}"


def test_the_workflow_deploys_only_what_was_tested_and_without_secrets() -> None:
    deploy = WORKFLOW.partition("\n  deploy:\n")[2]
    assert "needs: test" in deploy
    assert "id-token: write" in deploy
    assert "id-token" not in WORKFLOW.partition("\n  deploy:\n")[0]
    assert "secrets." not in WORKFLOW


def test_the_readme_names_the_variables_of_the_workflow() -> None:
    readme = (bicep.INFRA / "README.md").read_text()
    variables = set(re.findall(r"vars\.(\w+)", WORKFLOW))
    assert variables
    assert all(f"`{name}`" in readme for name in variables)
