"""The Bicep files, as far as it can be said without a compiler; where there is one, it has the last word."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.infra import bicep
from tests.infra.bicep import Declaration, Expression, File, Name, Parameter
from tests.infra.resource_types import PROPERTIES, ROLES, RUNTIME

MAIN = bicep.INFRA / "main.bicep"
README = (bicep.INFRA / "README.md").read_text()
COMMON = {"name", "location", "tags", "parent", "scope"}

files = pytest.mark.parametrize("file", [bicep.read(path) for path in bicep.FILES], ids=[p.name for p in bicep.FILES])


def declarations(file: File) -> dict[str, Declaration]:
    return file.resources | file.modules


def content(file: File) -> list[Any]:
    """All expressions of a file; the variables of loops count as declared."""
    defaults = [parameter.default for parameter in file.parameters.values()]
    bodies = [[d.condition, d.loop or d.body] for d in declarations(file).values()]
    return [defaults, list(file.variables.values()), bodies, list(file.outputs.values())]


def resources(kind: str) -> list[Declaration]:
    """All resources of a type that are created; a module that is used twice counts once."""
    every = [resource for path in bicep.FILES for resource in bicep.read(path).resources.values()]
    found = [resource for resource in every if resource.what.split("@")[0] == kind and not resource.existing]
    assert found
    return found


# Names


@files
def test_every_name_is_declared_and_every_declaration_is_used(file: File) -> None:
    used = {name.parts[0] for name in bicep.names(content(file))}
    assert used <= file.names()
    assert set(file.parameters) | set(file.variables) <= used


@files
def test_members_exist(file: File) -> None:
    """Outputs of modules are declared there; of resources, only what Azure is known to tell is read."""
    for name in bicep.names(content(file)):
        first, *members = name.parts
        if first in file.modules and members:
            assert members[0] == "outputs", name
            assert members[1] in file.module(first).outputs, name
        if first in file.resources and members:
            assert ".".join(members) in RUNTIME[file.resources[first].what.split("@")[0]], name


@files
def test_modules_get_the_parameters_that_they_declare(file: File) -> None:
    for name, module in file.modules.items():
        assert module.what.startswith("modules/"), "only plain modules of this repository"
        declared, passed = file.module(name).parameters, module.body["params"]
        assert set(passed) <= set(declared), name
        assert {key for key, parameter in declared.items() if parameter.required} <= set(passed), name
        for key, given in passed.items():
            assert type_of(file, given) in (None, declared[key].type), f"{name}.{key}"


def type_of(file: File, given: Any) -> str | None:
    """The type of what is passed, None where only Azure knows."""
    match given:
        case bool():
            return "bool"
        case int():
            return "int"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case Name((first,)) if first in file.parameters:
            return file.parameters[first].type
        case Name((first,)) if first in file.variables:
            return type_of(file, file.variables[first])
    return None


def test_the_parameter_file_sets_parameters_that_exist() -> None:
    text = (bicep.INFRA / "main.bicepparam").read_text()
    assert "using './main.bicep'" in text
    parameters = bicep.read(MAIN).parameters
    assigned = set(re.findall(r"^(?://   )?param (\w+) =", text, re.MULTILINE))
    assert {name for name, parameter in parameters.items() if parameter.required} <= assigned <= set(parameters)


def test_every_parameter_is_described() -> None:
    parameters = bicep.read(MAIN).parameters
    assert all("description" in parameter.decorators for parameter in parameters.values())
    section = README.partition("## Parameters")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(parameters)


@pytest.mark.parametrize("parameter", bicep.read(MAIN).parameters.items(), ids=lambda item: item[0])
def test_defaults_are_allowed_and_documented(parameter: tuple[str, Parameter]) -> None:
    name, declared = parameter
    default, decorators = declared.default, declared.decorators
    if "allowed" in decorators:
        assert default in decorators["allowed"]
    if isinstance(default, int) and not isinstance(default, bool):
        assert decorators.get("minValue", default) <= default <= decorators.get("maxValue", default)
    if isinstance(default, (int, str)) and default and name not in ("maxRequestBytes", "authAuthority"):
        assert re.search(rf"^\| `{name}` \| `?{re.escape(str(default).lower())}`? \|", README.lower(), re.M | re.I)


# Types


@files
def test_only_known_properties_of_known_api_versions(file: File) -> None:
    for name, resource in file.resources.items():
        documented = set(PROPERTIES[resource.what].split())
        found = set(bicep.paths(resource.body))
        leaves = {path for path in found if not any(other.startswith(f"{path}.") for other in found)}
        assert {path for path in leaves if path.split(".")[0] not in COMMON} <= documented, name


def test_the_table_lists_nothing_else() -> None:
    used = {resource.what for path in bicep.FILES for resource in bicep.read(path).resources.values()}
    assert used == set(PROPERTIES)


@files
def test_children_name_a_resource_of_the_parent_type(file: File) -> None:
    for resource in file.resources.values():
        kind = resource.what.split("@")[0]
        if kind.count("/") == 1:
            assert "parent" not in resource.body
            continue
        parent = resource.body["parent"]
        symbol = parent if isinstance(parent, Name) else parent.parts[0]
        assert file.resources[str(symbol)].what.split("@")[0] == kind.rpartition("/")[0]


# Policies


def test_storage_accounts_have_no_keys_no_public_blobs_and_tls_1_2() -> None:
    for account in resources("Microsoft.Storage/storageAccounts"):
        properties = account.body["properties"]
        assert properties["allowSharedKeyAccess"] is False
        assert properties["allowBlobPublicAccess"] is False
        assert properties["allowCrossTenantReplication"] is False
        assert properties["minimumTlsVersion"] == "TLS1_2"
        assert properties["supportsHttpsTrafficOnly"] is True


def test_no_keys_are_read_anywhere() -> None:
    text = "".join(path.read_text() for path in bicep.FILES).lower()
    for secret in (
        "listkeys",
        "accountkey",
        "sharedaccesssignature",
        "listaccountsas",
        "instrumentationkey",
        "@secure",
    ):
        assert secret not in text


def test_the_data_have_an_account_of_their_own_with_the_least_roles() -> None:
    main = bicep.read(MAIN)
    roles = {name: [str(role) for role in main.modules[name].body["params"]["roles"]] for name in ("data", "host")}
    assert roles == {
        "data": ["blobDataContributor", "tableDataContributor"],
        "host": ["blobDataOwner", "queueDataContributor", "tableDataContributor"],
    }
    for name in ("data", "host"):
        assert main.modules[name].what == "modules/storage.bicep"
        assert main.modules[name].body["params"]["principalId"] == Name(("identity", "properties", "principalId"))
    given = chain(*roles.values())
    ids = {"Storage" + re.sub("(?=[A-Z])", " ", f"{role[0].upper()}{role[1:]}"): main.variables[role] for role in given}
    assert ids.items() <= ROLES.items()


def test_rights_are_given_on_single_resources_only() -> None:
    for assignment in resources("Microsoft.Authorization/roleAssignments"):
        assert isinstance(assignment.body["scope"], Name)
        assert assignment.body["properties"]["principalType"] == "ServicePrincipal"
    monitoring = bicep.read(bicep.INFRA / "modules" / "monitoring.bicep")
    assert monitoring.variables["monitoringMetricsPublisher"] == ROLES["Monitoring Metrics Publisher"]


def test_a_delete_is_final_unless_somebody_asks() -> None:
    main, storage = bicep.read(MAIN), bicep.read(bicep.INFRA / "modules" / "storage.bicep")
    assert main.parameters["deletedFilesRetentionDays"].default == 0
    [service] = resources("Microsoft.Storage/storageAccounts/blobServices")
    assert service.body["properties"]["isVersioningEnabled"] is False
    assert service.body["properties"]["containerDeleteRetentionPolicy"] == {"enabled": False}
    assert service.body["properties"]["deleteRetentionPolicy"].parts[2] == {"enabled": False}
    assert storage.variables["keepsDeleted"] == Expression("greater_than", (Name(("deletedBlobsRetentionDays",)), 0))


def test_telemetry_needs_a_token() -> None:
    [insights] = resources("Microsoft.Insights/components")
    assert insights.body["properties"]["DisableLocalAuth"] is True
    [workspace] = resources("Microsoft.OperationalInsights/workspaces")
    assert workspace.body["properties"]["features"] == {"disableLocalAuth": True}


def test_the_app_is_a_flex_consumption_app_of_the_tested_python() -> None:
    [plan], [app] = resources("Microsoft.Web/serverfarms"), resources("Microsoft.Web/sites")
    assert plan.body["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert app.body["kind"] == "functionapp,linux"
    config = app.body["properties"]["functionAppConfig"]
    python = (bicep.INFRA.parent / ".python-version").read_text().strip()
    assert config["runtime"] == {"name": "python", "version": python}
    assert config["deployment"]["storage"]["type"] == "blobContainer"
    assert config["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    assert app.body["identity"]["type"] == "UserAssigned"


def test_the_app_takes_https_only_and_no_passwords() -> None:
    [app] = resources("Microsoft.Web/sites")
    assert app.body["properties"]["httpsOnly"] is True
    site = app.body["properties"]["siteConfig"]
    assert (site["minTlsVersion"], site["scmMinTlsVersion"], site["ftpsState"]) == ("1.2", "1.2", "Disabled")
    policies = resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {policy.body["name"]: policy.body["properties"] for policy in policies} == {
        "scm": {"allow": False},
        "ftp": {"allow": False},
    }


def test_a_private_network_has_endpoints_for_all_that_is_used() -> None:
    main = bicep.read(MAIN)
    used = {name: main.modules[name].body["params"]["services"] for name in ("dataEndpoints", "hostEndpoints")}
    assert used == {"dataEndpoints": ["blob", "table"], "hostEndpoints": ["blob", "queue", "table"]}
    for name in (*used, "network"):
        assert main.modules[name].condition == Name(("privateNetwork",))
    network = bicep.read(bicep.INFRA / "modules" / "network.bicep")
    assert list(network.outputs["zoneIds"]) == network.variables["services"] == ["blob", "queue", "table"]
    [subnet, _] = network.resources["network"].body["properties"]["subnets"]
    assert subnet["properties"]["delegations"][0]["properties"]["serviceName"] == "Microsoft.App/environments"


# The compiler


@pytest.mark.skipif(shutil.which("bicep") is None, reason="no Bicep compiler")
def test_it_compiles(tmp_path: Path) -> None:
    for command, source in (("build", "main.bicep"), ("build-params", "main.bicepparam")):
        arguments = ["bicep", command, str(bicep.INFRA / source), "--outfile", str(tmp_path / f"{command}.json")]
        built = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
