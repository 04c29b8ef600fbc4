"""What a storage operation costs this process: the SDKs against `shared.storage.wire`, on the same emulator.

`python -m bench.wire` prints milliseconds of CPU and of time for each operation, one after another over one connection.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient

from devhost.azurite import Azurite
from shared.storage.account import CONTAINER, StorageAccount
from shared.storage.wire import Entity, Operation, Wire

ROUNDS = 3
TABLE = "bench"
ROW: dict[str, str | int | float | bool | bytes] = {
    "text": "x" * 64,
    "number": 1,
    "flag": True,
    "binary": bytes(100),
    "name": "Citizen^Jan",
}
BLOB = bytes(500_000)

type Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds per operation."""

    cpu: float
    time: float


@dataclass(frozen=True, slots=True)
class Comparison:
    name: str
    repeats: int
    sdk: Step
    wire: Step


async def measure(step: Step, repeats: int) -> Cost:
    """The best of some rounds: noise only ever adds."""
    costs = []
    for _ in range(ROUNDS):
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            await step()
        scale = 1000 / repeats
        costs.append(Cost((time.process_time() - cpu) * scale, (time.perf_counter() - start) * scale))
    return Cost(min(cost.cpu for cost in costs), min(cost.time for cost in costs))


def comparisons(wire: Wire, table: TableClient, container: ContainerClient) -> list[Comparison]:
    number = count()

    def sdk_row(partition: str, row: str) -> dict[str, Any]:
        properties = {k: EntityProperty(v, "Edm.Int64") if type(v) is int else v for k, v in ROW.items()}
        return {"PartitionKey": partition, "RowKey": row, **properties}

    async def sdk_query() -> object:
        pages = table.query_entities("PartitionKey eq 'query'").by_page()
        return [entity async for entity in await anext(pages)]

    async def sdk_transaction() -> object:
        partition = f"sdk{next(number)}"
        return await table.submit_transaction([("create", sdk_row(partition, f"{n}")) for n in range(100)])

    async def wire_transaction() -> object:
        partition = f"wire{next(number)}"
        return await wire.transact(TABLE, [Operation("insert", Entity(partition, f"{n}", ROW)) for n in range(100)])

    async def sdk_get_blob() -> object:
        return await (await container.download_blob("blob")).readall()

    async def wire_get_blob() -> object:
        return b"".join([chunk async for chunk in wire.read_blob("blob")])

    return [
        Comparison(
            "point get",
            200,
            lambda: table.get_entity("query", "007"),
            lambda: wire.get_entity(TABLE, "query", "007"),
        ),
        Comparison(
            "insert",
            100,
            lambda: table.create_entity(sdk_row(f"i{next(number)}", "r")),
            lambda: wire.transact(TABLE, [Operation("insert", Entity(f"i{next(number)}", "r", ROW))]),
        ),
        Comparison("query of 100", 30, sdk_query, lambda: wire.query(TABLE, "PartitionKey eq 'query'")),
        Comparison("transaction of 100", 5, sdk_transaction, wire_transaction),
        Comparison(
            "blob put 500 KB",
            40,
            lambda: container.upload_blob(f"sdk{next(number)}", BLOB),
            lambda: wire.put_blob(f"wire{next(number)}", BLOB, {"study": "1.2.3"}),
        ),
        Comparison("blob get 500 KB", 40, sdk_get_blob, wire_get_blob),
    ]


async def run(connection_string: str) -> None:
    wire = Wire.open(StorageAccount.from_environment({"AzureWebJobsStorage": connection_string}))
    await wire.create_container()
    await wire.create_table(TABLE)
    await wire.transact(TABLE, [Operation("insert", Entity("query", f"{n:03}", ROW)) for n in range(100)])
    await wire.put_blob("blob", BLOB, {})
    async with (
        TableClient.from_connection_string(connection_string, TABLE) as table,
        ContainerClient.from_connection_string(connection_string, CONTAINER) as container,
    ):
        print(f"{'':20}{'SDK':>16}{'wire':>16}{'ratio':>14}")
        print(f"{'ms per operation':20}{'CPU':>8}{'time':>8}{'CPU':>8}{'time':>8}{'CPU':>7}{'time':>7}")
        for each in comparisons(wire, table, container):
            await measure(each.sdk, 3)
            await measure(each.wire, 3)
            sdk, lean = await measure(each.sdk, each.repeats), await measure(each.wire, each.repeats)
            print(
                f"{each.name:20}{sdk.cpu:8.2f}{sdk.time:8.2f}{lean.cpu:8.2f}{lean.time:8.2f}"
                f"{sdk.cpu / lean.cpu:7.1f}{sdk.time / lean.time:7.1f}"
            )
    await wire.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        azurite = Azurite.start(Path(folder))
        try:
            asyncio.run(run(azurite.connection_string))
        finally:
            azurite.stop()


if __name__ == "__main__":
    main()
