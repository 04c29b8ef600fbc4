"""Lines of a benchmark as text, as JSON, as a page of the documentation, and as its chart."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.chart import bars
from bench.measure import Figures, Line
from bench.servers import Orthanc, Service, is_installed, version_of_orthanc

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = ("a second", "+-%", "p50 ms", "p95 ms", "CPU ms", "MiB +", "requests", "KB sent", "KB got", "faster")
_FORMATS = (",.1f", ".0%", ",.1f", ",.1f", ",.1f", ",.0f", ",.2f", ",.1f", ",.1f", ".2f")
HEAD = f"{'each figure is about one item':42}{'':9}" + "".join(f"{name:>10}" for name in COLUMNS)


def text(line: Line) -> str:
    """A row for each server."""
    rows = []
    for name, figures in line.figures.items():
        title = "" if rows else line.name
        rows.append(f"{title:42}{name:>9}" + "".join(f"{cell:>10}" for cell in _cells(line, name, figures)))
    return "\n".join(rows)


def json_text(lines: Iterable[Line]) -> str:
    """All figures, in the units of the columns; `+-%` as a share. What does not apply is null."""
    rows = [
        {"name": line.name, "server": name} | dict(zip(COLUMNS, _values(line, name, figures), strict=True))
        for line in lines
        for name, figures in line.figures.items()
    ]
    return json.dumps({"machine": _machine(), "lines": rows}, indent=1)


def _values(line: Line, server: str, figures: Figures) -> list[float | None]:
    spent, items, own = figures.spent, figures.items, server == Service.name
    return [
        figures.rate,
        figures.spread,
        figures.latency(0.5),
        figures.latency(0.95),
        spent.cpu_seconds * 1000 / items,
        figures.growth,
        spent.requests / items if own else None,
        spent.bytes_sent / items / 1024 if own else None,
        spent.bytes_received / items / 1024 if own else None,
        line.ratio(server, Orthanc.name) if own else None,
    ]


def _cells(line: Line, server: str, figures: Figures) -> list[str]:
    values = zip(_FORMATS, _values(line, server, figures), strict=True)
    return ["" if value is None else f"{value:{form}}".rstrip("%") for form, value in values]


def write_docs(lines: Sequence[Line]) -> None:
    """docs/performance.md and docs/performance.svg."""
    DOCS.mkdir(exist_ok=True)
    (DOCS / "performance.svg").write_text(bars([(line.name, ratio) for line in lines if (ratio := _ratio(line))]))
    rows = [
        "| " + " | ".join([line.name, name, *_cells(line, name, figures)]) + " |"
        for line in lines
        for name, figures in line.figures.items()
    ]
    table = "\n".join(["| work | server | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * len(COLUMNS), *rows])
    (DOCS / "performance.md").write_text(PAGE.format(machine=_machine(), date=datetime.now(UTC).date(), table=table))


def _ratio(line: Line) -> float | None:
    return line.ratio(Service.name, Orthanc.name)


def _machine() -> str:
    cpu = next(
        (row.split(":")[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in row),
        platform.processor(),
    )
    cores = len(list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*")))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    peer = f", Orthanc {version_of_orthanc()}" if is_installed() else ""
    return f"{cores} cores of {cpu}, {memory} GiB, Python {platform.python_version()}{peer}"


PAGE = """# Performance

One run of `python3 dev.py bench --peer orthanc --docs` on {date}: {machine}.

The service runs on the local host of this project (`devhost/`: Microsoft's worker library behind an HTTP front), its storage
is Azurite in memory mode, an emulator in JavaScript on the same machine. Orthanc keeps its files on the local disk and its
index in SQLite. So the service pays for an HTTP request to the emulator wherever Orthanc opens a file; how many those are
is in the table, and what they take in Azure depends on Azure. The lines "Azurite alone" say what the emulator takes for itself,
and so do those of searches with "no hit": it looks through the whole of a table for every query, where Azure goes to the key.

Both are measured in turn, several rounds each. Per item (an instance stored, a request answered): the median rate with half of
the way between the slowest and the fastest round; the median latency of a request and its 95th percentile; the
processor time of the server (of the service without the emulator); the growth of its memory at the peak; requests to
storage and KiB of their bodies and answers; and how many times faster the service is than Orthanc.

![How many times faster than Orthanc](performance.svg)

{table}
"""
