"""`python -m bench.workers`: answers a second of the cheapest route, and what a second worker process adds to them.

The cheapest is a request that is refused before anything is asked of storage (406). A study that is not there takes two
requests to storage; the emulator is one process, however many workers there are.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from devhost.azurite import Azurite
from tests.support.host import Host

ROUNDS = 3
REQUESTS = 4000
CLIENTS = 8
ROUTES = {
    "406, without storage": ("/v2/studies/1.2.3/metadata", "text/plain"),
    "404, a study that is not there": ("/v2/studies/1.2.3/metadata", "application/dicom+json"),
}


def main() -> None:
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        azurite = Azurite.start(Path(folder) / "azurite", in_memory=True)
        for _ in range(ROUNDS):
            for workers in (1, 2):
                host = Host(azurite.connection_string, Path(folder), log_level="WARNING", workers=workers).start()
                for name, (path, accept) in ROUTES.items():
                    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()
                    asyncio.run(_answers(host.port, request, REQUESTS // 8))
                    started = time.perf_counter()
                    asyncio.run(_answers(host.port, request, REQUESTS))
                    rates.setdefault((name, workers), []).append(REQUESTS / (time.perf_counter() - started))
                host.stop()
        azurite.stop()
    for (name, workers), found in sorted(rates.items()):
        print(f"{name}, --workers {workers}: {statistics.median(found):,.0f} a second")


async def _answers(port: int, request: bytes, count: int) -> None:
    """Sends a request so many times over a few connections, each when the answer to the one before has come."""

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // CLIENTS):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


if __name__ == "__main__":
    main()
