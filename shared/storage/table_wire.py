"""Table Storage, as far as the services use it: tables, point reads, queries, entity group transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import orjson

from .batch import BatchFailure, batch, batch_result
from .pipeline import RETRIED_STATUSES, Pipeline, StorageError, error_code, only
from .table_codec import Entity, Operation, decode, entity_path, request_of

TABLE_HEADERS = {"x-ms-version": "2019-02-02", "Accept": "application/json;odata=minimalmetadata"}
MOST_OPERATIONS = 100
BATCH_PAUSES = (0.2, 0.4, 0.8, 1.6)
"""Seconds before a transaction is sent again that the service has answered with an error inside of a 202."""

_NEXT_PARTITION = "x-ms-continuation-NextPartitionKey"
_NEXT_ROW = "x-ms-continuation-NextRowKey"

type Continuation = tuple[str, str]


class TransactionFailed(StorageError):
    """The operation with this index could not be applied, so none was.

    409 EntityAlreadyExists, 412 UpdateConditionNotSatisfied, 404 ResourceNotFound, or 400 and 413 for what is no entity.
    """

    def __init__(self, index: int, status: int, code: str) -> None:
        super().__init__(status, code)
        self.index = index

    @property
    def is_race(self) -> bool:
        """Whether another writer, or an earlier try whose answer got lost, has changed what the operation was about."""
        return self.status in (404, 409, 412)


@dataclass(slots=True)
class Page:
    """Entities in the order of their keys, and where the next page begins, if there is one."""

    entities: list[Entity]
    continuation: Continuation | None


class TableWire:
    """The Table service of an account."""

    def __init__(self, tables: Pipeline) -> None:
        self._tables = tables

    async def create_table(self, table: str) -> None:
        """An existing table is fine."""
        headers = {"Content-Type": "application/json", "Prefer": "return-no-content"}
        body = orjson.dumps({"TableName": table})
        response = await self._tables.send("POST", "Tables", headers, body, accept=(204, 409))
        only(response, 409, "TableAlreadyExists")

    async def delete_table(self, table: str) -> None:
        """A missing table is fine."""
        await self._tables.send("DELETE", f"Tables('{table}')", {}, accept=(204, 404))

    async def get_entity(self, table: str, partition_key: str, row_key: str) -> Entity | None:
        """The entity, or None if there is none. Raises StorageError when there is no such table."""
        response = await self._tables.send("GET", entity_path(table, partition_key, row_key), {}, accept=(200, 404))
        if response.status_code == 404:
            only(response, 404, "ResourceNotFound")
            return None
        return decode(orjson.loads(response.content))

    async def query(
        self,
        table: str,
        filter: str,
        *,
        select: Sequence[str] = (),
        top: int | None = None,
        continuation: Continuation | None = None,
    ) -> Page:
        """One request for at most `top` (1 to 1,000) entities.

        A page may hold fewer than there are, or none, and still have a continuation. The keys are always selected.
        """
        parameters = {"$filter": filter, "$top": str(top or "")}
        if select:
            parameters["$select"] = ",".join({"PartitionKey": 0, "RowKey": 0, **dict.fromkeys(select)})
        if continuation:
            parameters["NextPartitionKey"], parameters["NextRowKey"] = continuation
        query = urlencode({name: value for name, value in parameters.items() if value}, quote_via=quote)
        response = await self._tables.send("GET", f"{table}()?{query}" if query else f"{table}()", {}, accept=(200,))
        partition_key = response.headers.get(_NEXT_PARTITION)
        following = (partition_key, response.headers.get(_NEXT_ROW) or "") if partition_key else None
        return Page([decode(row) for row in orjson.loads(response.content)["value"]], following)

    async def entities(
        self, table: str, filter: str, *, select: Sequence[str] = (), top: int | None = None
    ) -> AsyncIterator[Entity]:
        """All entities, page by page; `top` bounds each page."""
        continuation: Continuation | None = None
        while True:
            page = await self.query(table, filter, select=select, top=top, continuation=continuation)
            for entity in page.entities:
                yield entity
            continuation = page.continuation
            if continuation is None:
                return

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        """Applies 1 to 100 operations on different entities of one partition, or none of them (an entity group transaction).

        Returns the new ETags, "" for deleted entities. Raises TransactionFailed when an operation cannot be applied, and
        ValueError, before anything is sent, for too many operations or an update or delete without an ETag.
        """
        if not 1 <= len(operations) <= MOST_OPERATIONS:
            raise ValueError(f"A transaction has 1 to {MOST_OPERATIONS} operations, not {len(operations)}.")
        if len(operations) == 1:
            return [await self._write(table, operations[0])]
        content_type, body = batch(self._tables.endpoint, table, operations)
        result = await self._batch(content_type, body)
        for pause in BATCH_PAUSES:
            if isinstance(result, list) or result.status not in RETRIED_STATUSES:
                break
            await asyncio.sleep(pause)
            result = await self._batch(content_type, body)
        if isinstance(result, list):
            return result
        raise TransactionFailed(result.index, result.status, result.code)

    async def _batch(self, content_type: str, body: bytes) -> list[str] | BatchFailure:
        response = await self._tables.send("POST", "$batch", {"Content-Type": content_type}, body, accept=(202,))
        return batch_result(response.content)

    async def _write(self, table: str, operation: Operation) -> str:
        method, path, headers, body = request_of(table, operation)
        response = await self._tables.send(method, path, headers, body, accept=(204, 400, 404, 409, 412, 413))
        if response.status_code != 204:
            raise TransactionFailed(0, response.status_code, error_code(response))
        return response.headers.get("ETag") or ""
