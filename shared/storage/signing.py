"""Signs requests with the account's key (Shared Key for blobs, Shared Key Lite for tables)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy

_SIGNED_HEADERS = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)


class SharedKey(SansIOHTTPPolicy[Any, Any]):
    """`tables` chooses between the two schemes. Runs after the retry policy: each try has its own date and signature."""

    def __init__(self, account: str, key: str, *, tables: bool) -> None:
        self._account = account
        self._key = base64.b64decode(key)
        self._tables = tables

    def on_request(self, request: PipelineRequest[Any]) -> None:
        http = request.http_request
        http.headers["x-ms-date"] = formatdate(usegmt=True)
        text = self._lite(http) if self._tables else self._full(http)
        digest = base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()
        scheme = "SharedKeyLite" if self._tables else "SharedKey"
        http.headers["Authorization"] = f"{scheme} {self._account}:{digest}"

    def _lite(self, http: Any) -> str:
        return f"{http.headers['x-ms-date']}\n/{self._account}{urlsplit(http.url).path}"

    def _full(self, http: Any) -> str:
        url = urlsplit(http.url)
        headers = {name.lower(): str(value) for name, value in http.headers.items()}
        signed = [headers.get(name.lower(), "") for name in _SIGNED_HEADERS]
        if signed[2] == "0":
            signed[2] = ""
        own = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
        query = sorted((name.lower(), unquote(value)) for name, value in parse_qsl(url.query, keep_blank_values=True))
        lines = [http.method, *signed, *(f"{name}:{value}" for name, value in own)]
        lines.append(f"/{self._account}{url.path}")
        lines += [f"{name}:{value}" for name, value in query]
        return "\n".join(lines)
