"""Saves the tables of an account into a file, and restores them into an empty account: docs/operations.md says when and how.

`python backup.py save FILE` and `python backup.py restore FILE`, with the account in the AzureWebJobsStorage settings. The file
is compressed JSON, a line for each table and each row. The files of instances are not in it: they are copied as blobs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.storage import instances
from shared.storage.account import StorageAccount
from shared.storage.lookups import table_of
from shared.storage.storage import TABLES, Storage
from shared.storage.wire import Entity, Operation

MOST_OPERATIONS = 100
BYTES_PER_TRANSACTION = 2_000_000
"""Of lines: less than the 4 MiB that Table Storage takes."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="backup.py", description=__doc__)
    parser.add_argument("command", choices=("save", "restore"))
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    return asyncio.run(run(arguments.command, arguments.file, StorageAccount.from_environment(os.environ)))


async def run(command: str, file: Path, account: StorageAccount) -> int:
    storage = await Storage.open(account)
    try:
        if command == "save":
            print(f"{await save(storage, file)} rows saved.")
        elif [row async for row in storage.wire.entities(instances.TABLE, "", top=1)]:
            print("The account is not empty.", file=sys.stderr)
            return 1
        else:
            print(f"{await restore(storage, file)} rows restored.")
    finally:
        await storage.close()
    return 0


async def save(storage: Storage, file: Path) -> int:
    """Writes all rows, those of extended query tags included, and returns their number."""
    extended = [table_of(tag.attribute) for tag in (await storage.query_tags.read()).tags]
    count = 0
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        for table in (*TABLES, *extended):
            lines.write(json.dumps(table) + "\n")
            async for entity in storage.wire.entities(table, ""):
                properties = {name: _json(value) for name, value in entity.properties.items()}
                lines.write(json.dumps([entity.partition_key, entity.row_key, properties], ensure_ascii=False) + "\n")
                count += 1
    return count


async def restore(storage: Storage, file: Path) -> int:
    """Writes the rows of the file over those that are there, and returns their number."""
    count = 0
    for table, operations in _transactions(file):
        if not operations:
            await storage.wire.create_table(table)
            continue
        await storage.wire.transact(table, operations)
        count += len(operations)
    return count


def _transactions(file: Path) -> Iterator[tuple[str, list[Operation]]]:
    """The rows of one partition at a time, as many as a transaction takes; none where a table begins."""
    table, size = "", 0
    batch: list[Operation] = []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            parsed = json.loads(line)
            begins = isinstance(parsed, str)
            another = begins or (batch and batch[0].entity.partition_key != parsed[0])
            if batch and (another or len(batch) == MOST_OPERATIONS or size + len(line) > BYTES_PER_TRANSACTION):
                yield table, batch
                batch, size = [], 0
            if begins:
                table = parsed
                yield table, []
                continue
            properties = {name: _value(value) for name, value in parsed[2].items()}
            batch.append(Operation("upsert", Entity(parsed[0], parsed[1], properties)))
            size += len(line)
    if batch:
        yield table, batch


def _json(value: Any) -> Any:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _value(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


if __name__ == "__main__":
    sys.exit(main())
