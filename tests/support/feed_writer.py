"""A process that appends changes to the feed: `python -m tests.support.feed_writer RUN APPENDS`, five appends at a time.

Each change has its own version, counted from 1. Prints the number of storage requests. Used by tests and by the benchmark.
"""

from __future__ import annotations

import asyncio
import os
import sys

from shared.storage.account import StorageAccount
from shared.storage.change_feed import CREATE, Change
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage

AT_ONCE = 5


async def main(run: str, appends: int) -> None:
    storage = await Storage.open(StorageAccount.from_environment(os.environ))
    before = storage.wire.counters.transactions

    async def write(first: int) -> None:
        for number in range(first, appends + 1, AT_ONCE):
            await storage.change_feed.append(
                f"{run}-{number:06d}", [Change(DEFAULT, run, "1.2", f"1.2.{number}", CREATE, number)]
            )

    await asyncio.gather(*(write(first) for first in range(1, AT_ONCE + 1)))
    print(storage.wire.counters.transactions - before)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
