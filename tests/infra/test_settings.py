"""The app settings that Bicep sets are those that the service and its host know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from shared import settings
from shared.settings import Settings
from shared.storage.account import StorageAccount
from tests.infra import bicep
from tests.infra.bicep import Expression, Name

PLATFORM = {
    "AzureWebJobsStorage__credential": "managedidentity: tokens, not keys",
    "AzureWebJobsStorage__clientId": "which identity of the app",
    "AzureWebJobsStorage__blobServiceUri": "the host's own account",
    "AzureWebJobsStorage__queueServiceUri": "the host's own account",
    "AzureWebJobsStorage__tableServiceUri": "the host's own account",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "where telemetry goes",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "with a token of which identity",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "bytes; 100 MiB without it",
}
"""Settings of the Functions host (learn.microsoft.com/azure/azure-functions/functions-app-settings)."""
STORAGE = {f"DICOM_STORAGE__{part}" for part in ("clientId", "blobServiceUri", "tableServiceUri")}

MAIN = bicep.read(bicep.INFRA / "main.bicep")
APP = MAIN.module("app")


def app_settings() -> dict[str, Any]:
    """The settings by name, as Bicep writes their values."""
    together = APP.resources["app"].body["properties"]["siteConfig"]["appSettings"]
    assert isinstance(together, Expression)
    assert together.kind == "concat"
    pairs, others = together.parts
    assert others == Name(("others",))
    found = {pair["name"]: pair["value"] for pair in pairs}
    assert len(found) == len(pairs)
    return found


def evaluated(value: Any, **parameters: Any) -> Any:
    """What Azure would make of a value with these parameters of main.bicep, the others being as they are by default.

    The endpoints are those of the modules' names.
    """
    match value:
        case Name((parameter,)):
            given = MAIN.modules["app"].body["params"][parameter]
            match given:
                case Name((module, "outputs", output)) if output.endswith("Endpoint"):
                    endpoint = MAIN.module(module).outputs[output]
                    assert endpoint.parts[:3] == ("account", "properties", "primaryEndpoints")
                    return f"https://{module}.{endpoint.parts[-1]}.core.windows.net/"
                case Name((own,)) if own in MAIN.parameters:
                    return parameters.get(own, MAIN.parameters[own].default)
            return str(given)
        case Expression("string", (inner,)):
            return str(evaluated(inner, **parameters))
        case Expression("join", (items, separator)):
            return separator.join(evaluated(items, **parameters))
        case Expression("empty", (inner,)):
            return not evaluated(inner, **parameters)
        case Expression("conditional", (condition, yes, no)):
            return evaluated(yes if evaluated(condition, **parameters) else no, **parameters)
    return value


def environment(**parameters: Any) -> dict[str, str]:
    return {name: evaluated(value, **parameters) for name, value in app_settings().items()}


def test_every_setting_is_known() -> None:
    service = set(re.findall(r'"(DICOM_[A-Z_]+)"', Path(settings.__file__).read_text()))
    assert set(app_settings()) <= service | STORAGE | set(PLATFORM)


def test_every_setting_of_the_platform_is_set() -> None:
    assert set(PLATFORM) | STORAGE <= set(app_settings())


def test_the_service_keeps_its_data_in_the_account_for_them() -> None:
    account = StorageAccount.from_environment(environment())
    assert (account.name, account.key) == ("data", "")
    assert account.blob_endpoint == "https://data.blob.core.windows.net"
    assert account.table_endpoint == "https://data.table.core.windows.net"
    assert account.client_id == "identity.properties.clientId"


def test_the_host_has_the_other_account() -> None:
    found = environment()
    for service in ("blob", "queue", "table"):
        assert found[f"AzureWebJobsStorage__{service}ServiceUri"] == f"https://host.{service}.core.windows.net/"
    assert found["AzureWebJobsStorage__credential"] == "managedidentity"
    assert found["AzureWebJobsStorage__clientId"] == found["DICOM_STORAGE__clientId"]


def test_without_parameters_the_service_starts_with_its_defaults_and_function_keys() -> None:
    assert Settings.from_environment(environment()) == Settings()


def test_parameters_reach_the_service() -> None:
    """AUTH-2: who signs, and for whom tokens are meant; D-4, D-17."""
    found = environment(
        authAudiences=["api://a", "b"],
        authAuthority="https://login.example.org/v2.0",
        corsOrigins=["https://a", "https://b"],
        maxRequestBytes=1000,
    )
    assert Settings.from_environment(found) == Settings(
        max_request_bytes=1000,
        max_part_bytes=1000,
        cors_origins=("https://a", "https://b"),
        authentication=True,
        authority="https://login.example.org/v2.0",
        audiences=("api://a", "b"),
    )


def test_the_host_lets_through_what_the_service_takes() -> None:
    found = app_settings()
    assert found["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"] == found["DICOM_MAX_REQUEST_BYTES"]
