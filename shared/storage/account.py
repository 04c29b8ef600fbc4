"""Where the data are, and how the service proves that it may use them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONTAINER = "dicom"

_SETTING = "DICOM_STORAGE"
_HOST_SETTING = "AzureWebJobsStorage"
# The account of the emulator, which everybody knows.
_DEVELOPMENT = {
    "AccountName": "devstoreaccount1",
    "AccountKey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "BlobEndpoint": "http://127.0.0.1:10000/devstoreaccount1",
    "TableEndpoint": "http://127.0.0.1:10002/devstoreaccount1",
}


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account. Without a `key`, requests carry a token of the managed identity `client_id` (or the system's).

    The endpoints are URLs without a slash at the end. Raises ValueError when a part is missing or malformed.
    """

    name: str
    blob_endpoint: str
    table_endpoint: str
    key: str = field(default="", repr=False)
    client_id: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the storage account has no name.")
        try:
            base64.b64decode(self.key, validate=True)
        except ValueError:
            raise ValueError("the AccountKey is not base64.") from None
        for endpoint in (self.blob_endpoint, self.table_endpoint):
            url = urlsplit(endpoint)
            if url.scheme not in ("http", "https") or not url.netloc or url.query:
                raise ValueError(f"the endpoint {endpoint!r} is not an http or https URL.")
            if not self.key and url.scheme != "https":
                raise ValueError(f"a managed identity needs https, unlike the endpoint {endpoint!r}.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> StorageAccount:
        """Reads `DICOM_STORAGE`, or else `AzureWebJobsStorage`, the Functions host's own account, in the forms that it takes:
        a connection string with a key; or, for a managed identity, the suffixes `__accountName` (or `__blobServiceUri` and
        `__tableServiceUri`) and `__clientId`.

        Raises ValueError with the name of the setting that is missing or wrong; keys never appear in the message.
        """
        given = {name for name, value in environment.items() if value.strip()}
        own = any(name == _SETTING or name.startswith(f"{_SETTING}__") for name in given)
        setting = _SETTING if own else _HOST_SETTING
        try:
            if connection := environment.get(setting, "").strip():
                return cls._from_connection_string(connection)
            name, blob, table, client_id = (
                environment.get(f"{setting}__{part}", "").strip()
                for part in ("accountName", "blobServiceUri", "tableServiceUri", "clientId")
            )
            if not name and not (blob and table):
                raise ValueError(
                    f"set it to a connection string, or {setting}__accountName to a storage account's name."
                )
            return cls(
                name or (urlsplit(blob).hostname or "").split(".")[0],
                (blob or f"https://{name}.blob.core.windows.net").rstrip("/"),
                (table or f"https://{name}.table.core.windows.net").rstrip("/"),
                client_id=client_id,
            )
        except ValueError as error:
            raise ValueError(f"{setting}: {error}") from None

    @classmethod
    def _from_connection_string(cls, connection: str) -> StorageAccount:
        pairs = [item.split("=", 1) for item in connection.split(";") if item.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("this is not a connection string: it needs the form Name=value;Name=value.")
        parts = {name.strip(): value.strip() for name, value in pairs}
        if parts.get("UseDevelopmentStorage", "").lower() == "true":
            parts = _DEVELOPMENT
        for required in ("AccountName", "AccountKey"):
            if not parts.get(required):
                raise ValueError(f"the connection string has no {required}.")
        name = parts["AccountName"]
        scheme = parts.get("DefaultEndpointsProtocol", "https")
        suffix = parts.get("EndpointSuffix", "core.windows.net")
        return cls(
            name,
            parts.get("BlobEndpoint", f"{scheme}://{name}.blob.{suffix}").rstrip("/"),
            parts.get("TableEndpoint", f"{scheme}://{name}.table.{suffix}").rstrip("/"),
            key=parts["AccountKey"],
        )
