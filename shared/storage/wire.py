"""The lean client of Table and Blob Storage for the request path.

It does just what the services need, on azure-core's pipeline with a retry and a signing policy: a tenth to a quarter of the
SDKs' CPU time (bench/wire.py). A write that is retried after its answer got lost may find its own traces (409, 412, 404):
callers look at what is there before they believe an error.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import aiohttp
import orjson
from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.storage.account import CONTAINER, StorageAccount
from shared.storage.signing import SharedKey
from shared.storage.table_codec import (
    BatchFailure,
    Entity,
    Operation,
    Value,
    batch,
    batch_result,
    decode,
    path_of,
    request_of,
)

__all__ = ["Counters", "Entity", "Operation", "Page", "StorageError", "TransactionFailed", "Value", "Wire", "literal"]

MOST_OPERATIONS = 100
CONNECTIONS = 64
TIMEOUT_SECONDS = 60
RETRIES = 4
RETRY_SECONDS = 0.2
READ_RESUMES = 3
KEEP_ALIVE_SECONDS = 60

_TABLE_VERSION = "2019-02-02"
_BLOB_VERSION = "2021-12-02"
_METHODS = ["GET", "PUT", "POST", "DELETE"]
_SCOPE = "https://storage.azure.com/.default"


class StorageError(Exception):
    """An unexpected answer; `status` 0 and code `Unreachable` when there was none after all retries."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"Storage answered {status} {code}")
        self.status = status
        self.code = code


class BlobNotFound(StorageError):
    """The blob does not exist."""


class TransactionFailed(StorageError):
    """The operation with this index could not be applied, so none was."""

    def __init__(self, index: int, status: int, code: str) -> None:
        super().__init__(status, code)
        self.index = index


type Continuation = tuple[str, str]


@dataclass(slots=True)
class Page:
    entities: list[Entity]
    continuation: Continuation | None


@dataclass(slots=True)
class Counters:
    """Requests sent, and the bytes of their bodies and of their answers' bodies."""

    transactions: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


def literal(text: str) -> str:
    """An OData string literal."""
    return "'" + text.replace("'", "''") + "'"


class _Count(SansIOHTTPPolicy[Any, Any]):
    """Counts what is sent; it stands behind the retry policy, so every try counts."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def on_request(self, request: PipelineRequest[Any]) -> None:
        self._counters.transactions += 1
        content = request.http_request.content
        self._counters.bytes_sent += len(content) if isinstance(content, bytes) else 0


class Wire:
    """One account over one event loop."""

    def __init__(self, account: StorageAccount) -> None:
        self.counters = Counters()
        self._tables = account.table_endpoint
        self._container = f"{account.blob_endpoint}/{CONTAINER}"
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
        transport = AioHttpTransport(session=self._session, session_owner=False)
        self._credential = None if account.key else _managed_identity(account)
        self._table_client = self._client(account, transport, tables=True)
        self._blob_client = self._client(account, transport, tables=False)

    @classmethod
    def open(cls, account: StorageAccount) -> Wire:
        return cls(account)

    async def close(self) -> None:
        await self._session.close()
        if self._credential:
            await self._credential.close()

    def _client(self, account: StorageAccount, transport: Any, *, tables: bool) -> AsyncPipelineClient[Any, Any]:
        sign: Any = (
            AsyncBearerTokenCredentialPolicy(self._credential, _SCOPE)
            if self._credential
            else SharedKey(account.name, account.key, tables=tables)
        )
        retry = AsyncRetryPolicy(
            retry_total=RETRIES,
            retry_backoff_factor=RETRY_SECONDS,
            retry_on_methods=_METHODS,
            retry_status_codes=[408, 429, 500, 502, 503, 504],
        )
        endpoint = account.table_endpoint if tables else account.blob_endpoint
        return AsyncPipelineClient(endpoint, policies=[retry, sign, _Count(self.counters)], transport=transport)

    async def create_table(self, table: str) -> None:
        body = orjson.dumps({"TableName": table})
        headers = {"Content-Type": "application/json", "Prefer": "return-no-content"}
        await self._table("POST", "Tables", headers, body, accept=(201, 204, 409))

    async def delete_table(self, table: str) -> None:
        await self._table("DELETE", f"Tables('{table}')", {}, accept=(204, 404))

    async def create_container(self) -> None:
        await self._blob("PUT", f"{self._container}?restype=container", {}, accept=(201, 409))

    async def get_entity(self, table: str, partition_key: str, row_key: str) -> Entity | None:
        response = await self._table("GET", path_of(table, partition_key, row_key), {}, accept=(200, 404))
        if response.status_code == 404:
            return None
        return decode(orjson.loads(response.content), response.headers.get("etag", ""))

    async def query(
        self,
        table: str,
        filter: str,
        *,
        select: Sequence[str] = (),
        top: int | None = None,
        continuation: Continuation | None = None,
    ) -> Page:
        """One page. It may hold fewer entities than there are, or none, and still have a continuation."""
        parameters = {"$filter": filter, "$select": ",".join(select), "$top": str(top or "")}
        if continuation:
            parameters["NextPartitionKey"], parameters["NextRowKey"] = continuation
        query = urlencode({name: value for name, value in parameters.items() if value}, quote_via=quote)
        response = await self._table("GET", f"{table}()?{query}" if query else f"{table}()", {}, accept=(200,))
        partition_key = response.headers.get("x-ms-continuation-NextPartitionKey")
        following = (partition_key, response.headers.get("x-ms-continuation-NextRowKey", "")) if partition_key else None
        return Page([decode(row) for row in orjson.loads(response.content)["value"]], following)

    async def entities(
        self, table: str, filter: str, *, select: Sequence[str] = (), top: int | None = None
    ) -> AsyncIterator[Entity]:
        """All entities, page by page; `top` bounds each page."""
        continuation = None
        while True:
            page = await self.query(table, filter, select=select, top=top, continuation=continuation)
            for entity in page.entities:
                yield entity
            if page.continuation is None:
                return
            continuation = page.continuation

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        """Applies all operations, which are on one partition, or none. Returns the new ETags, "" for deleted entities."""
        if not 1 <= len(operations) <= MOST_OPERATIONS:
            raise ValueError(f"A transaction has 1 to {MOST_OPERATIONS} operations, not {len(operations)}.")
        if len(operations) == 1:
            method, path, headers, body = request_of(table, operations[0])
            try:
                response = await self._table(method, path, headers, body, accept=(204,))
            except StorageError as error:
                if error.status in (404, 409, 412):
                    raise TransactionFailed(0, error.status, error.code) from None
                raise
            return [response.headers.get("etag", "")]
        content_type, body = batch(self._tables, table, operations)
        response = await self._table("POST", "$batch", {"Content-Type": content_type}, body, accept=(202,))
        result = batch_result(response.content)
        if isinstance(result, BatchFailure):
            raise TransactionFailed(result.index, result.status, result.code)
        return result

    async def put_blob(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Writes a new blob. One of that name that is there already has come from an earlier try of the same request."""
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*", "Content-Type": "application/dicom"}
        await self._blob("PUT", self._url(name), headers | _metadata(metadata), data, accept=(201, 409))

    async def put_block(self, name: str, block_id: str, data: bytes) -> None:
        url = f"{self._url(name)}?comp=block&blockid={quote(block_id, safe='')}"
        await self._blob("PUT", url, {}, data, accept=(201,))

    async def put_block_list(self, name: str, block_ids: Sequence[str], metadata: Mapping[str, str]) -> None:
        blocks = "".join(f"<Uncommitted>{block}</Uncommitted>" for block in block_ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        headers = {
            "Content-Type": "application/xml",
            "x-ms-blob-content-type": "application/dicom",
            "If-None-Match": "*",
        }
        url = f"{self._url(name)}?comp=blocklist"
        await self._blob("PUT", url, headers | _metadata(metadata), body, accept=(201, 409))

    async def read_blob(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [offset, offset + length) in chunks. A connection that breaks is resumed where it broke."""
        end = None if length is None else offset + length
        etag = ""
        failures = 0
        while end is None or offset < end:
            headers = {"x-ms-range": f"bytes={offset}-{'' if end is None else end - 1}"}
            if etag:
                headers["If-Match"] = etag
            response = await self._blob("GET", self._url(name), headers, accept=(200, 206, 404, 416), stream=True)
            try:
                if response.status_code == 404:
                    raise BlobNotFound(404, "BlobNotFound")
                if response.status_code == 416:
                    return
                etag = response.headers.get("etag", "")
                async for chunk in response.iter_raw():
                    offset += len(chunk)
                    self.counters.bytes_received += len(chunk)
                    yield chunk
                return
            except (AzureError, aiohttp.ClientError, TimeoutError):
                failures += 1
                if failures > READ_RESUMES:
                    raise StorageError(0, "Unreachable") from None
            finally:
                await response.close()

    async def delete_blob(self, name: str) -> None:
        await self._blob("DELETE", self._url(name), {}, accept=(202, 404))

    async def list_blobs(self, prefix: str) -> AsyncIterator[str]:
        marker = ""
        while True:
            query = urlencode({"restype": "container", "comp": "list", "prefix": prefix, "marker": marker})
            response = await self._blob("GET", f"{self._container}?{query}", {}, accept=(200,))
            root = ElementTree.fromstring(response.content)
            for name in root.iterfind("./Blobs/Blob/Name"):
                yield name.text or ""
            marker = root.findtext("NextMarker") or ""
            if not marker:
                return

    def _url(self, name: str) -> str:
        return f"{self._container}/{quote(name)}"

    async def _table(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, accept: tuple[int, ...]
    ) -> AsyncHttpResponse:
        common = {"x-ms-version": _TABLE_VERSION, "Accept": "application/json;odata=minimalmetadata"}
        return await self._send(
            self._table_client, method, f"{self._tables}/{path}", common | {**headers}, body, accept
        )

    async def _blob(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        accept: tuple[int, ...],
        stream: bool = False,
    ) -> AsyncHttpResponse:
        common = {"x-ms-version": _BLOB_VERSION}
        return await self._send(self._blob_client, method, url, common | {**headers}, body, accept, stream=stream)

    async def _send(
        self,
        client: AsyncPipelineClient[Any, Any],
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes,
        accept: tuple[int, ...],
        *,
        stream: bool = False,
    ) -> AsyncHttpResponse:
        if method in ("PUT", "POST"):
            headers["Content-Length"] = str(len(body))
        request = HttpRequest(method, url, headers=headers, content=body or None)
        try:
            response: AsyncHttpResponse = await client.send_request(
                request, stream=stream, connection_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS
            )
        except AzureError:
            raise StorageError(0, "Unreachable") from None
        if not stream:
            self.counters.bytes_received += len(response.content)
        if response.status_code not in accept:
            content = await response.read()
            await response.close()
            raise StorageError(response.status_code, _code(response, content))
        return response


def _managed_identity(account: StorageAccount) -> Any:
    from azure.identity.aio import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=account.client_id or None)


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"x-ms-meta-{name}": value for name, value in metadata.items()}


def _code(response: AsyncHttpResponse, content: bytes) -> str:
    known = response.headers.get("x-ms-error-code")
    if known:
        return str(known)
    match = re.search(rb'"code" *: *"([^"]+)"|<Code>([^<]+)</Code>', content)
    return (match.group(1) or match.group(2)).decode() if match else ""
