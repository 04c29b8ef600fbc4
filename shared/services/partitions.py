"""Data partitions (PART-1 to PART-17, D-95, D-96)."""

from __future__ import annotations

import re

from shared.errors import BadRequest
from shared.storage.partitions import Partition
from shared.storage.storage import Storage

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


async def use(storage: Storage, name: str) -> str:
    """The name of a partition that exists; raises BadRequest otherwise (PART-5, PART-6)."""
    check(name)
    if not await storage.partitions.exists(name):
        raise BadRequest(f"Specified PartitionName '{name}' does not exist.")
    return name


async def create(storage: Storage, name: str) -> str:
    """The name of a partition, created if it is new: for store requests (PART-6)."""
    check(name)
    await storage.partitions.ensure(name)
    return name


async def every(storage: Storage) -> list[Partition]:
    """All partitions (PART-10)."""
    return await storage.partitions.all()


def check(name: str) -> str:
    """The name, if it can be one of a partition; raises BadRequest otherwise (PART-5)."""
    if not _NAME.fullmatch(name):
        raise BadRequest("The specified PartitionName is invalid.")
    return name
