"""`python -m bench.startup`: the processor time until the worker library has loaded and indexed the function app."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

ROUNDS = 5
_LOAD = "import asyncio, pathlib; from devhost.worker import Worker; asyncio.run(Worker.load(pathlib.Path.cwd()))"
_LIBRARY = "import azure_functions_runtime, azure.functions, azure.durable_functions, fastapi, starlette.requests"


def main() -> None:
    for what, code in (("the app", _LOAD), ("of that the libraries of the platform", _LIBRARY)):
        seconds = [_cpu_seconds(code) for _ in range(ROUNDS)]
        print(f"start-up, {what:40}{statistics.median(seconds):6.2f} s of CPU")


def _cpu_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "DICOM_AUTHENTICATION": "off"}
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
