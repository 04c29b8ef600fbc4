"""How requests prove that they may use the account: Shared Key signatures, or tokens of an identity."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.storage.account import StorageAccount

if TYPE_CHECKING:
    from azure.identity.aio import ChainedTokenCredential, ManagedIdentityCredential

    type Credential = ManagedIdentityCredential | ChainedTokenCredential

_SCOPE = "https://storage.azure.com/.default"
_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


class TableSharedKey(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Shared Key Lite of the Table service: signs the date and the path. Expects `x-ms-date` to be set."""

    def __init__(self, account: StorageAccount) -> None:
        self._account = account.name
        self._key = base64.b64decode(account.key)

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        headers, path = request.http_request.headers, urlsplit(request.http_request.url).path
        text = f"{headers['x-ms-date']}\n/{self._account}{path}"
        headers["Authorization"] = f"SharedKeyLite {self._account}:{_signature(self._key, text)}"


class BlobSharedKey(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Shared Key of the Blob service: signs method, headers, path and query. Expects `x-ms-date` to be set.

    Names of metadata are ASCII letters and digits: the service sorts others by rules of its own.
    """

    def __init__(self, account: StorageAccount) -> None:
        self._account = account.name
        self._key = base64.b64decode(account.key)

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        http = request.http_request
        text = self._text(http.method, http.url, http.headers)
        http.headers["Authorization"] = f"SharedKey {self._account}:{_signature(self._key, text)}"

    def _text(self, method: str, url: str, sent: Mapping[str, str]) -> str:
        parts = urlsplit(url)
        headers = {name.lower(): value.strip() for name, value in sent.items()}
        if headers.get("content-length") == "0":
            del headers["content-length"]
        lines = [method, *(headers.get(name, "") for name in _SIGNED_HEADERS)]
        lines += [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
        lines.append(f"/{self._account}{parts.path}")
        lines += [f"{name}:{value}" for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))]
        return "\n".join(lines)


def identity(account: StorageAccount) -> Credential:
    """The managed identity of the app or machine; where there is none, who has logged in with `az login`, for tools."""
    # Only what runs without a key needs the package, and it takes its time to import.
    from azure.identity.aio import AzureCliCredential, ChainedTokenCredential, ManagedIdentityCredential

    if account.client_id:
        return ManagedIdentityCredential(client_id=account.client_id)
    return ChainedTokenCredential(ManagedIdentityCredential(), AzureCliCredential())


def bearer_token(
    credential: Credential,
) -> AsyncBearerTokenCredentialPolicy[HttpRequest, AsyncHttpResponse]:
    return AsyncBearerTokenCredentialPolicy(credential, _SCOPE)


def _signature(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
