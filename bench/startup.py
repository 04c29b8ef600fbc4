"""`python -m bench.startup`: the processor time until the worker library has loaded and indexed the function app.

With bytecode, as the package that is deployed has it (infra/README.md), and once without.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 5
_LOAD = "import asyncio, pathlib; from devhost.worker import Worker; asyncio.run(Worker.load(pathlib.Path.cwd()))"
_LIBRARY = "import azure_functions_runtime, azure.functions, azure.durable_functions, fastapi, starlette.requests"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"start-up, nothing compiled yet: {_cpu_seconds(_LOAD, folder):.2f} s of CPU")
        for what, code in (("", _LOAD), (", of that the libraries of the platform", _LIBRARY)):
            seconds = [_cpu_seconds(code, folder) for _ in range(ROUNDS)]
            print(f"start-up{what}: {statistics.median(seconds):.2f} s of CPU")


def _cpu_seconds(code: str, bytecode: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "DICOM_AUTHENTICATION": "off"}
    environment |= {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
