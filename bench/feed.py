"""How fast several processes append to the change feed, and what a change costs: 5,000 changes, one an append."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from devhost.azurite import Azurite

PROCESSES = 8
CHANGES = 5000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        azurite = Azurite.start(Path(folder))
        try:
            started = time.perf_counter()
            command = [sys.executable, "-m", "tests.support.feed_writer"]
            environment = {**os.environ, "AzureWebJobsStorage": azurite.connection_string}
            writers = [
                subprocess.Popen(
                    [*command, uuid.uuid4().hex, str(CHANGES // PROCESSES)],
                    env=environment,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(PROCESSES)
            ]
            requests = sum(int(writer.communicate()[0]) for writer in writers)
            seconds = time.perf_counter() - started
        finally:
            azurite.stop()
    print(
        f"change feed, {PROCESSES} processes: {CHANGES / seconds:.0f} changes a second, starts included; "
        f"{requests / CHANGES:.2f} requests a change"
    )


if __name__ == "__main__":
    main()
