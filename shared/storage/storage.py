"""All of the storage account, as the services use it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.storage import change_feed, instances, intents, lookup_tables, lookups, operations, partitions, query_tags
from shared.storage.account import StorageAccount
from shared.storage.wire import Wire

TABLES = (
    instances.TABLE,
    change_feed.TABLE,
    intents.TABLE,
    operations.TABLE,
    partitions.TABLE,
    query_tags.TABLE,
    *lookups.TABLES,
)


@dataclass(frozen=True, slots=True)
class Storage:
    wire: Wire
    instances: instances.Instances
    lookups: lookup_tables.Lookups
    change_feed: change_feed.ChangeFeed
    intents: intents.Intents
    operations: operations.Operations
    partitions: partitions.Partitions
    query_tags: query_tags.QueryTags

    @classmethod
    async def open(cls, account: StorageAccount) -> Storage:
        """Connects, and creates the tables and the container that are missing. Belongs to the running event loop."""
        wire = Wire.open(account)
        storage = cls(
            wire=wire,
            instances=instances.Instances(wire),
            lookups=lookup_tables.Lookups(wire),
            change_feed=change_feed.ChangeFeed(wire),
            intents=intents.Intents(wire),
            operations=operations.Operations(wire),
            partitions=partitions.Partitions(wire),
            query_tags=query_tags.QueryTags(wire),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(wire.create_container())
            for table in TABLES:
                group.create_task(wire.create_table(table))
        await storage.partitions.set_up()
        return storage

    async def close(self) -> None:
        await self.wire.close()
