"""`python -m bench.soak [STORES]`: whether the service keeps its size while it stores very many instances (100,000)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import archive
from bench.servers import Service, memory_mib

STORES = 100_000
STEPS = 10


def main() -> None:
    stores = int(sys.argv[1]) if len(sys.argv) > 1 else STORES
    print(f"{'stored':>10}{'MiB':>8}{'peak':>8}")
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        service = Service(Path(folder))
        try:
            for end in range(stores // STEPS, stores + 1, stores // STEPS):
                archive.store(service, end - stores // STEPS, end)
                now, peak = memory_mib(service.pid)
                print(f"{end:10,}{now:8.0f}{peak:8.0f}", flush=True)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
