"""`python -m bench.soak [STORES]`: whether the service keeps its size while it stores very many instances (100,000).

Eight clients store studies of 1,000 small instances, a hundred a request; STORES are a multiple of 10,000.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pydicom.uid import generate_uid

from bench.servers import Service, memory_mib
from bench.works import CLIENTS, store_small

STORES = 100_000
STEPS = 10
INSTANCES = 1000


def main() -> None:
    stores = int(sys.argv[1]) if len(sys.argv) > 1 else STORES
    print(f"{'stored':>10}{'MiB':>8}{'peak':>8}{'a second':>10}")
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        service = Service(Path(folder))
        try:
            for step in range(1, STEPS + 1):
                studies = [generate_uid() for _ in range(stores // STEPS // INSTANCES)]
                started = time.perf_counter()
                with ThreadPoolExecutor(CLIENTS) as clients:
                    list(clients.map(partial(store_small, service, INSTANCES), studies))
                rate = len(studies) * INSTANCES / (time.perf_counter() - started)
                now, peak = memory_mib(service.pid)
                print(f"{step * stores // STEPS:10,}{now:8.0f}{peak:8.0f}{rate:10.0f}", flush=True)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
