"""`python -m bench`: what the service costs, line by line, through HTTP on the local host with Azurite in memory mode.

`--peer orthanc` measures beside Orthanc; `--quick` takes less than two minutes, `--full` also updates 50 studies in one
operation and searches 50,000; `--json` prints for machines; `--docs` writes docs/performance.md and its chart.
`python -m bench.wire`, `.dicom_json`, `.feed`, `.startup`, `.workers` and `.soak` measure parts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench import report
from bench.measure import Line, measure
from bench.servers import Orthanc, Server, Service, is_installed
from bench.works import FULL, QUICK, SECTIONS, Sizes, works


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--peer", choices=["orthanc"], help="Debian packages orthanc and orthanc-dicomweb")
    parser.add_argument("--quick", action="store_const", const=QUICK, default=Sizes(), dest="sizes")
    parser.add_argument("--full", action="store_const", const=FULL, dest="sizes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--section", choices=SECTIONS, default="")
    arguments = parser.parse_args()
    if arguments.peer and not is_installed():
        sys.exit("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
    lines = _measure(bool(arguments.peer), arguments.sizes, arguments.section, quiet=arguments.json)
    if arguments.json:
        print(report.json_text(lines))
    if arguments.docs:
        report.write_docs(lines)


def _measure(peer: bool, sizes: Sizes, section: str, *, quiet: bool) -> list[Line]:
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        servers: list[Server] = [Service(Path(folder))]
        if peer:
            servers.append(Orthanc(Path(folder)))
        try:
            if not quiet:
                print(report.HEAD)
            for work in works(servers, sizes, section):
                lines.append(measure(work, servers if work.peer else servers[:1]))
                if not quiet:
                    print(report.text(lines[-1]), flush=True)
        finally:
            for server in servers:
                server.stop()
    return lines


if __name__ == "__main__":
    main()
