"""host.json cannot hold comments: infra/README.md explains each of its settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.infra import bicep

ROOT = bicep.INFRA.parent
HOST = json.loads((ROOT / "host.json").read_text())


def leaves(value: Any, path: str = "") -> Iterator[str]:
    for key, inner in value.items():
        here = f"{path}.{key}".lstrip(".")
        if isinstance(inner, dict):
            yield from leaves(inner, here)
        else:
            yield here


def test_every_setting_is_explained() -> None:
    section = (bicep.INFRA / "README.md").read_text().partition("## host.json")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+`) \|", section, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert explained == [path for path in leaves(HOST) if path != "version"]


def test_patients_names_stay_out_of_telemetry() -> None:
    """Inputs of bulk updates and query strings of searches are patient data."""
    assert HOST["extensions"]["durableTask"]["tracing"] == {"traceInputsAndOutputs": False}
    assert "enableQueryStringTracing" not in HOST["logging"]["applicationInsights"]


def test_alerts_can_count() -> None:
    """They look at the records of requests and at what the service logs, all of them."""
    assert HOST["logging"]["applicationInsights"]["samplingSettings"] == {"isEnabled": False}
    assert HOST["logging"]["logLevel"]["Host.Results"] == HOST["logging"]["logLevel"]["Function"] == "Information"


def test_values_that_the_platform_takes() -> None:
    durable = HOST["extensions"]["durableTask"]
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", durable["hubName"])
    assert 1 <= durable["storageProvider"]["partitionCount"] <= 16
    assert re.fullmatch(r"\d\d:\d\d:\d\d", HOST["functionTimeout"])
    assert HOST["extensions"]["http"] == {"routePrefix": ""}
    assert HOST["extensionBundle"] == {
        "id": "Microsoft.Azure.Functions.ExtensionBundle",
        "version": "[4.*, 5.0.0)",
    }
