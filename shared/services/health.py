"""What `GET /health/check` reports (HC-1 to HC-8)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.storage.storage import Storage
from shared.storage.wire import StorageError

HEALTHY, DEGRADED, UNHEALTHY = "Healthy", "Degraded", "Unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: str
    description: str


async def checks(storage: Storage) -> list[Check]:
    """Reads from Table Storage and from Blob Storage (HC-4), and what the last sample of studies has shown."""
    return [await _tables(storage), await _blobs(storage)]


async def _tables(storage: Storage) -> Check:
    try:
        violations = await storage.operations.sampled_violations()
    except StorageError as error:
        return Check("DataStoreHealthCheck", UNHEALTHY, f"The index answered {error.status}.")
    if violations:
        return Check("DataStoreHealthCheck", DEGRADED, f"{violations} violations in the last sample: run dev.py fsck.")
    return Check("DataStoreHealthCheck", HEALTHY, "Successfully connected.")


async def _blobs(storage: Storage) -> Check:
    try:
        async for _ in storage.wire.list_blobs("health"):
            break
    except StorageError as error:
        return Check("DcmHealthCheck", UNHEALTHY, f"The file store answered {error.status}.")
    return Check("DcmHealthCheck", HEALTHY, "Successfully connected.")
