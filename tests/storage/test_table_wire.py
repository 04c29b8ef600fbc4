"""The wire's tables against the SDK's, on the same account: the same rows, the same errors, whoever wrote or reads."""

from __future__ import annotations

import uuid
from typing import Any, Literal

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EntityProperty, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from devhost.azurite import Azurite
from shared.storage.wire import Entity, Operation, StorageError, TransactionFailed, Value, Wire, literal

VALUES: list[Value] = [
    "",
    "text",
    "quotes ' and \", \\ and {braces}",
    "日本語 é ẞ \U0001f600",
    "lines\r\nand\ttabs and \u2028 separators",
    "HTTP/1.1 404 Not Found\r\nETag: none",
    "x" * 32768,
    True,
    False,
    0,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    1.5,
    2.0,
    -1e300,
    float("inf"),
    b"",
    b"\x00\xff\r\n--changeset",
    bytes(range(256)) * 256,
]
KEYS = [
    "plain",
    "a b",
    "it's",
    "''",
    "a~b|c",
    "日本語",
    "é",
    "e\u0301",
    "\U0001f600",
    "1=2",
    "a^b",
    "(x)",
    "a!$&*,;:@b",
    "a+b",
    "a.b-c_d",
    "[x]{y}<z>`",
    'a"b',
    " x",
    "..",
    "",
]


def operation(
    kind: Literal["insert", "update", "upsert", "delete"], row_key: str, etag: str = "", **properties: Value
) -> Operation:
    return Operation(kind, Entity("p", row_key, properties, etag))


def sdk_entity(entity: Entity) -> dict[str, Any]:
    """As the SDK wants to have it: 64-bit numbers are wrapped."""
    properties = {
        name: EntityProperty(value, "Edm.Int64") if type(value) is int else value
        for name, value in entity.properties.items()
    }
    return {"PartitionKey": entity.partition_key, "RowKey": entity.row_key, **properties}


def from_sdk(found: Any) -> Entity:
    properties = {name: value.value if isinstance(value, EntityProperty) else value for name, value in found.items()}
    return Entity(properties.pop("PartitionKey"), properties.pop("RowKey"), properties, found.metadata["etag"])


def types(entity: Entity) -> dict[str, type]:
    return {name: type(value) for name, value in entity.properties.items()}


ENTITY = Entity("p", "r", {f"v{number}": value for number, value in enumerate(VALUES)})


async def test_values_written_by_the_wire_are_read_by_both(wire: Wire, sdk_table: TableClient, table: str) -> None:
    [etag] = await wire.transact(table, [Operation("insert", ENTITY)])
    read = await wire.get_entity(table, "p", "r")
    assert read == Entity("p", "r", ENTITY.properties, etag)
    assert types(read) == types(ENTITY)
    assert from_sdk(await sdk_table.get_entity("p", "r")) == read


async def test_values_written_by_the_sdk_are_read_by_the_wire(wire: Wire, sdk_table: TableClient, table: str) -> None:
    await sdk_table.create_entity(sdk_entity(ENTITY))
    read = await wire.get_entity(table, "p", "r")
    assert read
    assert read == from_sdk(await sdk_table.get_entity("p", "r"))
    assert (read.properties, types(read)) == (ENTITY.properties, types(ENTITY))


@pytest.mark.parametrize("size", [2, 100])
async def test_values_in_a_transaction(wire: Wire, sdk_table: TableClient, table: str, size: int) -> None:
    entities = [Entity("p", f"{number:03}", {"value": VALUES[number % len(VALUES)]}) for number in range(size)]
    etags = await wire.transact(table, [Operation("insert", entity) for entity in entities])
    for entity, etag in zip(entities, etags, strict=True):
        entity.etag = etag
    assert [entity async for entity in wire.entities(table, "PartitionKey eq 'p'")] == entities
    assert [from_sdk(found) async for found in sdk_table.list_entities()] == entities


@pytest.mark.parametrize("key", KEYS)
async def test_keys(wire: Wire, sdk_table: TableClient, table: str, key: str) -> None:
    await wire.transact(table, [Operation("insert", Entity(key, key, {"n": 1}))])
    await wire.transact(
        table, [Operation("upsert", Entity(key, key, {"n": 2})), Operation("insert", Entity(key, key + "2", {}))]
    )
    found = await wire.get_entity(table, key, key)
    assert found == from_sdk(await sdk_table.get_entity(key, key))
    assert (found.partition_key, found.row_key, found.properties) == (key, key, {"n": 2})
    condition = f"PartitionKey eq {literal(key)} and RowKey eq {literal(key)}"
    assert (await wire.query(table, condition)).entities == [found]
    await wire.transact(table, [Operation("update", Entity(key, key, {"n": 3}, found.etag))])
    await wire.transact(table, [Operation("delete", Entity(key, row, {}, "*")) for row in (key, key + "2")])
    assert (await wire.query(table, "")).entities == []


async def test_keys_written_by_the_sdk(wire: Wire, sdk_table: TableClient, table: str) -> None:
    for key in KEYS:
        await sdk_table.create_entity({"PartitionKey": key, "RowKey": key})
    assert sorted(KEYS) == sorted([entity.row_key async for entity in wire.entities(table, "")])
    for key in KEYS:
        found = await wire.get_entity(table, key, key)
        assert found
        assert found.row_key == key


async def test_text_in_a_filter(wire: Wire, table: str) -> None:
    names = ["it's", "日本語", "a&b", "100%", "a+b", "#1", "a?b/c\\d"]
    await wire.transact(table, [operation("insert", str(number), name=name) for number, name in enumerate(names)])
    for name in names:
        [found] = (await wire.query(table, f"PartitionKey eq 'p' and name eq {literal(name)}")).entities
        assert found.properties == {"name": name}


async def test_ranges_and_numbers_in_a_filter(wire: Wire, table: str) -> None:
    await wire.transact(table, [operation("insert", f"{n:02}", n=n) for n in range(20)])
    page = await wire.query(table, "PartitionKey eq 'p' and RowKey ge '05' and RowKey lt '15' and n gt 9L")
    assert [entity.properties["n"] for entity in page.entities] == [10, 11, 12, 13, 14]


async def test_selected_properties(wire: Wire, table: str) -> None:
    [etag] = await wire.transact(table, [operation("insert", "r", a=1, b=2)])
    page = await wire.query(table, "", select=["a", "missing"])
    assert page.entities == [Entity("p", "r", {"a": 1}, etag)]


async def test_pages(wire: Wire, sdk_table: TableClient, table: str) -> None:
    for start in range(0, 250, 50):
        await wire.transact(table, [operation("insert", f"it's {n:03}") for n in range(start, start + 50)])
    rows = [f"it's {n:03}" for n in range(250)]
    sizes, found, continuation = [], [], None
    while True:
        page = await wire.query(table, "PartitionKey eq 'p'", top=100, continuation=continuation)
        sizes.append(len(page.entities))
        found += [entity.row_key for entity in page.entities]
        continuation = page.continuation
        if continuation is None:
            break
    assert (sizes, found) == ([100, 100, 50], rows)
    assert [entity.row_key async for entity in wire.entities(table, "", top=70)] == rows
    assert [found["RowKey"] async for found in sdk_table.list_entities(results_per_page=70)] == rows


async def test_more_than_a_thousand_rows(wire: Wire, table: str) -> None:
    for start in range(0, 1100, 100):
        await wire.transact(table, [operation("insert", f"{n:04}") for n in range(start, start + 100)])
    before = wire.counters.transactions
    assert len([entity async for entity in wire.entities(table, "")]) == 1100
    assert wire.counters.transactions - before == 2


async def test_what_is_missing(wire: Wire, sdk_table: TableClient, table: str) -> None:
    assert await wire.get_entity(table, "p", "r") is None
    with pytest.raises(HttpResponseError) as expected:
        await sdk_table.get_entity("p", "r")
    assert expected.value.status_code == 404
    missing = f"t{uuid.uuid4().hex}"
    for call in (wire.get_entity(missing, "p", "r"), wire.query(missing, "")):
        with pytest.raises(StorageError) as error:
            await call
        assert (error.value.status, error.value.code) == (404, "TableNotFound")


async def test_a_wrong_filter_is_an_error(wire: Wire, table: str) -> None:
    with pytest.raises(StorageError) as error:
        await wire.query(table, "PartitionKey is 'p'")
    assert error.value.status == 400


CONFLICTS = [
    (operation("insert", "there"), 409, "EntityAlreadyExists"),
    (
        operation("update", "there", "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""),
        412,
        "UpdateConditionNotSatisfied",
    ),
    (
        operation("delete", "there", "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""),
        412,
        "UpdateConditionNotSatisfied",
    ),
    (operation("update", "missing", "*"), 404, "ResourceNotFound"),
    (operation("delete", "missing", "*"), 404, "ResourceNotFound"),
    (operation("insert", "large", v="x" * 40000), 400, "PropertyValueTooLarge"),
]


async def sdk_failure(sdk_table: TableClient, operations: list[Operation]) -> tuple[int, int, str]:
    """Index, status and code with which the SDK fails at the same operations."""
    actions: list[Any] = []
    for each in operations:
        if each.kind == "insert":
            actions.append(("create", sdk_entity(each.entity)))
            continue
        condition = MatchConditions.Unconditionally if each.entity.etag == "*" else MatchConditions.IfNotModified
        options: dict[str, Any] = {"match_condition": condition}
        if each.entity.etag != "*":
            options["etag"] = each.entity.etag
        if each.kind == "update":
            options["mode"] = UpdateMode.REPLACE
        actions.append((each.kind, sdk_entity(each.entity), options))
    with pytest.raises(TableTransactionError) as error:
        await sdk_table.submit_transaction(actions)
    assert error.value.status_code
    return error.value.index, error.value.status_code, str(getattr(error.value, "error_code", ""))


@pytest.mark.parametrize(("failing", "status", "code"), CONFLICTS)
async def test_a_write_that_fails(
    wire: Wire, sdk_table: TableClient, table: str, failing: Operation, status: int, code: str
) -> None:
    await wire.transact(table, [operation("insert", "there", n=1)])
    with pytest.raises(TransactionFailed) as error:
        await wire.transact(table, [failing])
    assert (error.value.index, error.value.status, error.value.code) == (0, status, code)


@pytest.mark.parametrize("index", [0, 1, 57, 99])
@pytest.mark.parametrize(("failing", "status", "code"), CONFLICTS[:5])
async def test_a_transaction_that_fails_names_the_operation_and_changes_nothing(
    wire: Wire, sdk_table: TableClient, table: str, failing: Operation, status: int, code: str, index: int
) -> None:
    await wire.transact(table, [operation("insert", "there", n=1)])
    operations = [operation("insert", f"{n:03}") for n in range(99)]
    operations.insert(index, failing)
    with pytest.raises(TransactionFailed) as error:
        await wire.transact(table, operations)
    assert (error.value.index, error.value.status, error.value.code) == (index, status, code)
    assert await sdk_failure(sdk_table, operations) == (index, status, code)
    [there] = (await wire.query(table, "")).entities
    assert (there.row_key, there.properties) == ("there", {"n": 1})


async def test_every_kind_of_operation_in_one_transaction(wire: Wire, table: str) -> None:
    written = [operation("insert", row, n=1) for row in ("changed", "removed", "replaced")]
    etags = await wire.transact(table, written)
    new = await wire.transact(
        table,
        [
            operation("update", "changed", etags[0], m=2),
            operation("delete", "removed", etags[1]),
            operation("upsert", "replaced", m=2),
            operation("upsert", "upserted", m=2),
            operation("insert", "inserted", m=2),
        ],
    )
    found = [entity async for entity in wire.entities(table, "")]
    assert [entity.row_key for entity in found] == ["changed", "inserted", "replaced", "upserted"]
    assert all(entity.properties == {"m": 2} for entity in found)
    assert [entity.etag for entity in found] == [new[0], new[4], new[2], new[3]]
    assert new[1] == ""


async def test_an_etag_serves_once(wire: Wire, table: str) -> None:
    [first] = await wire.transact(table, [operation("insert", "r", n=1)])
    [second] = await wire.transact(table, [operation("update", "r", first, n=2)])
    with pytest.raises(TransactionFailed) as error:
        await wire.transact(table, [operation("update", "r", first, n=3)])
    assert error.value.status == 412
    await wire.transact(table, [operation("delete", "r", second)])
    assert await wire.get_entity(table, "p", "r") is None


async def test_too_large_a_transaction_is_refused(wire: Wire, table: str) -> None:
    rows = [operation("insert", f"{n}", v=bytes(60000)) for n in range(60)]
    with pytest.raises(StorageError) as error:
        await wire.transact(table, rows)
    assert error.value.status == 413


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [operation("insert", f"{n}") for n in range(101)],
        [operation("update", "r", "")],
        [operation("insert", "a"), operation("delete", "r", "")],
        [operation("insert", "r", n=2**63)],
        [operation("insert", "r", n=-(2**63) - 1)],
    ],
    ids=["none", "101", "update without ETag", "delete without ETag", "too large", "too small"],
)
async def test_what_cannot_be_meant_is_refused_before_it_is_sent(
    wire: Wire, table: str, operations: list[Operation]
) -> None:
    before = wire.counters.transactions
    with pytest.raises(ValueError, match=r"operations|ETag|64 bits"):
        await wire.transact(table, operations)
    assert wire.counters.transactions == before


async def test_tables_come_and_go(wire: Wire, azurite: Azurite) -> None:
    name = f"t{uuid.uuid4().hex}"
    async with TableServiceClient.from_connection_string(azurite.connection_string) as sdk:
        for _ in range(2):
            await wire.create_table(name)
        assert name in [table.name async for table in sdk.list_tables()]
        for _ in range(2):
            await wire.delete_table(name)
        assert name not in [table.name async for table in sdk.list_tables()]


async def test_a_table_without_a_proper_name_is_an_error(wire: Wire) -> None:
    with pytest.raises(StorageError) as error:
        await wire.create_table("1-2")
    assert error.value.status == 400
