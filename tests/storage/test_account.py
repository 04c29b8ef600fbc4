"""Which account the settings name. What Azure Functions' own storage settings mean, this service takes the same way."""

from __future__ import annotations

import pytest

from shared.storage.account import StorageAccount
from shared.storage.signing import identity

KEY = "a2V5"


def account(**settings: str) -> StorageAccount:
    return StorageAccount.from_environment(settings)


def connected(text: str) -> StorageAccount:
    return account(AzureWebJobsStorage=text)


def test_connection_string_of_an_account() -> None:
    found = connected(
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
    )
    assert found == StorageAccount(
        "acme", "https://acme.blob.core.windows.net", "https://acme.table.core.windows.net", KEY
    )


def test_endpoint_suffix_of_another_cloud() -> None:
    found = connected(f"AccountName=acme;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn")
    assert found.table_endpoint == "https://acme.table.core.chinacloudapi.cn"


def test_endpoints_win_over_the_suffix() -> None:
    found = connected(
        f"AccountName=acme;AccountKey={KEY};BlobEndpoint=http://localhost:1/acme/;TableEndpoint=http://localhost:2/acme"
    )
    assert (found.blob_endpoint, found.table_endpoint) == ("http://localhost:1/acme", "http://localhost:2/acme")


def test_key_keeps_its_padding() -> None:
    assert connected("AccountName=acme;AccountKey=a2V5cw==").key == "a2V5cw=="


def test_development_storage_is_the_emulator_on_its_default_ports() -> None:
    found = connected("UseDevelopmentStorage=true")
    assert found.name == "devstoreaccount1"
    assert found.blob_endpoint == "http://127.0.0.1:10000/devstoreaccount1"
    assert found.table_endpoint == "http://127.0.0.1:10002/devstoreaccount1"
    assert found.key


def test_account_name_means_managed_identity() -> None:
    found = account(AzureWebJobsStorage__accountName="acme", AzureWebJobsStorage__clientId="1234")
    assert found == StorageAccount(
        "acme", "https://acme.blob.core.windows.net", "https://acme.table.core.windows.net", client_id="1234"
    )


async def test_identities() -> None:
    """An app uses the identity that its settings name; tools the one of the machine, or else of `az login`."""
    for settings, kinds in (
        ({"AzureWebJobsStorage__clientId": "1234"}, ["ManagedIdentityCredential"]),
        ({}, ["ManagedIdentityCredential", "AzureCliCredential"]),
    ):
        credential = identity(account(AzureWebJobsStorage__accountName="acme", **settings))
        assert [type(each).__name__ for each in getattr(credential, "credentials", [credential])] == kinds
        await credential.close()


def test_service_uris_win_over_the_account_name() -> None:
    found = account(
        AzureWebJobsStorage__accountName="acme",
        AzureWebJobsStorage__blobServiceUri="https://acme.blob.core.usgovcloudapi.net/",
        AzureWebJobsStorage__tableServiceUri="https://acme.table.core.usgovcloudapi.net",
    )
    assert found.blob_endpoint == "https://acme.blob.core.usgovcloudapi.net"
    assert found.table_endpoint == "https://acme.table.core.usgovcloudapi.net"


def test_both_service_uris_need_no_account_name() -> None:
    found = account(
        AzureWebJobsStorage__blobServiceUri="https://acme.blob.core.windows.net",
        AzureWebJobsStorage__tableServiceUri="https://acme.table.core.windows.net",
    )
    assert found.name == "acme"


def test_a_connection_string_wins_over_an_account_name() -> None:
    found = account(
        AzureWebJobsStorage=f"AccountName=acme;AccountKey={KEY}", AzureWebJobsStorage__accountName="another"
    )
    assert found.name == "acme"


@pytest.mark.parametrize(
    "data",
    [
        {"DICOM_STORAGE": f"AccountName=data;AccountKey={KEY}"},
        {"DICOM_STORAGE__accountName": "data", "DICOM_STORAGE__clientId": "1234"},
        {
            "DICOM_STORAGE__blobServiceUri": "https://data.blob.core.windows.net",
            "DICOM_STORAGE__tableServiceUri": "https://data.table.core.windows.net",
        },
    ],
    ids=["connection string", "account name", "service uris"],
)
@pytest.mark.parametrize(
    "host",
    [{"AzureWebJobsStorage": f"AccountName=host;AccountKey={KEY}"}, {"AzureWebJobsStorage__accountName": "host"}],
)
def test_an_account_for_the_data_wins_over_that_of_the_host(data: dict[str, str], host: dict[str, str]) -> None:
    found = account(**host, **data)
    assert found.name == "data"
    assert found.table_endpoint == "https://data.table.core.windows.net"
    assert found.client_id == data.get("DICOM_STORAGE__clientId", "")


def test_a_blank_account_for_the_data_leaves_that_of_the_host() -> None:
    assert (
        account(DICOM_STORAGE="", DICOM_STORAGE__accountName=" ", AzureWebJobsStorage__accountName="host").name
        == "host"
    )


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(connected(f"AccountName=acme;AccountKey={KEY}"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "AzureWebJobsStorage: set it to a connection string, or AzureWebJobsStorage__accountName"),
        ({"AzureWebJobsStorage": "  "}, "AzureWebJobsStorage: set it to a connection string"),
        ({"DICOM_STORAGE": "acme"}, "DICOM_STORAGE: this is not a connection string"),
        (
            {"DICOM_STORAGE__clientId": "1234"},
            "DICOM_STORAGE: set it to a connection string, or DICOM_STORAGE__accountName",
        ),
        ({"AzureWebJobsStorage": "acme"}, "is not a connection string"),
        ({"AzureWebJobsStorage": f"AccountKey={KEY}"}, "has no AccountName"),
        ({"AzureWebJobsStorage": "AccountName=acme"}, "has no AccountKey"),
        ({"AzureWebJobsStorage": "AccountName=acme;AccountKey=not base64"}, "the AccountKey is not base64"),
        ({"AzureWebJobsStorage": f"AccountName=acme;AccountKey={KEY};BlobEndpoint=acme"}, "endpoint 'acme' is not"),
        ({"AzureWebJobsStorage__blobServiceUri": "https://acme.blob.core.windows.net"}, "AzureWebJobsStorage: set it"),
        (
            {"AzureWebJobsStorage__accountName": "acme", "AzureWebJobsStorage__tableServiceUri": "http://acme"},
            "a managed identity needs https",
        ),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        account(**settings)


def test_a_wrong_key_is_not_shown() -> None:
    with pytest.raises(ValueError, match="AccountKey") as error:
        connected("AccountName=acme;AccountKey=sécret")
    assert "sécret" not in str(error.value)
