"""Where the data are, and how the service proves that it may use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONTAINER = "dicom"

_SETTING = "AzureWebJobsStorage"
_DEVELOPMENT = {
    "AccountName": "devstoreaccount1",
    "AccountKey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "BlobEndpoint": "http://127.0.0.1:10000/devstoreaccount1",
    "TableEndpoint": "http://127.0.0.1:10002/devstoreaccount1",
}


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account. Without a `key`, requests are signed in with the managed identity `client_id` (or the system's)."""

    name: str
    blob_endpoint: str
    table_endpoint: str
    key: str = ""
    client_id: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> StorageAccount:
        """Reads `AzureWebJobsStorage` (a connection string) or `AzureWebJobsStorage__accountName` (managed identity).

        Raises ValueError with the name of the setting that is missing or wrong.
        """
        if connection := environment.get(_SETTING, "").strip():
            return cls._from_connection_string(connection)
        name = environment.get(f"{_SETTING}__accountName", "").strip()
        blob = environment.get(f"{_SETTING}__blobServiceUri", "").strip().rstrip("/")
        table = environment.get(f"{_SETTING}__tableServiceUri", "").strip().rstrip("/")
        if not name and blob:
            name = blob.split("//")[-1].split(".")[0]
        if not name:
            raise ValueError(f"The setting {_SETTING} or {_SETTING}__accountName is missing.")
        return cls(
            name,
            blob or f"https://{name}.blob.core.windows.net",
            table or f"https://{name}.table.core.windows.net",
            client_id=environment.get(f"{_SETTING}__clientId", "").strip(),
        )

    @classmethod
    def _from_connection_string(cls, connection: str) -> StorageAccount:
        pairs = [item.split("=", 1) for item in connection.split(";") if item.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"The setting {_SETTING} is not a connection string.")
        parts = {name.strip(): value.strip() for name, value in pairs}
        if parts.get("UseDevelopmentStorage", "").lower() == "true":
            parts = _DEVELOPMENT
        if not parts.get("AccountName") or not parts.get("AccountKey"):
            raise ValueError(f"The connection string in {_SETTING} has no AccountName or no AccountKey.")
        name = parts["AccountName"]
        scheme = parts.get("DefaultEndpointsProtocol", "https")
        suffix = parts.get("EndpointSuffix", "core.windows.net")
        return cls(
            name,
            parts.get("BlobEndpoint", f"{scheme}://{name}.blob.{suffix}").rstrip("/"),
            parts.get("TableEndpoint", f"{scheme}://{name}.table.{suffix}").rstrip("/"),
            key=parts["AccountKey"],
        )
