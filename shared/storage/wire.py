"""The lean client of Table and Blob Storage for the request path.

It does just what the services need, on azure-core's pipeline with a retry and a signing policy, for a fraction of the SDKs'
CPU time (`python -m bench.wire`). Requests are retried after 408, 429 and 5xx, and when their answer got lost. A table write
that is sent again may then meet its own traces (409, 412, 404): callers look at what is there before they believe an error.
"""

from __future__ import annotations

from typing import Any

from shared.telemetry import Counters

from .account import StorageAccount
from .blob_wire import BLOB_HEADERS, BlobNotFound, BlobWire, StoredBlob
from .pipeline import Pipeline, StorageError, open_session
from .signing import BlobSharedKey, TableSharedKey, bearer_token, identity
from .table_codec import Entity, Operation, Value, literal
from .table_wire import TABLE_HEADERS, Continuation, Page, TableWire, TransactionFailed

__all__ = [
    "BlobNotFound",
    "Continuation",
    "Counters",
    "Entity",
    "Operation",
    "Page",
    "StorageError",
    "StoredBlob",
    "TransactionFailed",
    "Value",
    "Wire",
    "literal",
]


class Wire(TableWire, BlobWire):
    """One account over one event loop."""

    def __init__(self, account: StorageAccount) -> None:
        self.counters = Counters()
        self._session = open_session()
        self._credential = None if account.key else identity(account)
        token = bearer_token(self._credential) if self._credential else None

        def pipeline(endpoint: str, sign: Any, headers: dict[str, str]) -> Pipeline:
            return Pipeline(endpoint, sign, headers, self._session, self.counters)

        TableWire.__init__(self, pipeline(account.table_endpoint, token or TableSharedKey(account), TABLE_HEADERS))
        BlobWire.__init__(self, pipeline(account.blob_endpoint, token or BlobSharedKey(account), BLOB_HEADERS))

    @classmethod
    def open(cls, account: StorageAccount) -> Wire:
        """Opens no connection yet. To be called on the event loop that will use it."""
        return cls(account)

    async def close(self) -> None:
        await self._session.close()
        if self._credential:
            await self._credential.close()
