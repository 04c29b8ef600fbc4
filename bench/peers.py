"""This service beside Orthanc, in one run on one machine: the same requests to both, in turn, several rounds.

Per line: the median time of a request and its spread (the quartiles), the processor time of the server without its
storage emulator, the growth of its memory, and how many times faster the service is. Orthanc keeps its files on the local
file system; the service speaks to Azurite, an emulator in JavaScript, which takes most of its time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
from pydicom.uid import generate_uid

from bench.servers import Orthanc, Server, Service, cpu_seconds, forget_peak, is_installed, memory_mib
from tests import builders
from tests.support.dicomweb import ANY_FILES, Uids, multipart

ROUNDS = 5
STUDY_FILES = 100
MANY_FILES = 1000
LARGE_FRAMES = 1200
CLIENTS = 8

JSON = "application/dicom+json"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@dataclass(slots=True)
class Line:
    """What one kind of work has taken, by server."""

    times: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    growth: dict[str, float] = field(default_factory=dict)


class Comparison:
    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers

    def measure(
        self, what: str, action: Callable[[Server, int], object], *, items: int = 1, rounds: int = ROUNDS
    ) -> None:
        """Runs `action(server, round)` with the servers in turn, and prints a line with figures per item."""
        line = Line()
        for number in range(rounds):
            for server in self._servers:
                forget_peak(server.pid)
                before, (memory, _) = cpu_seconds(server.pid), memory_mib(server.pid)
                started = time.perf_counter()
                action(server, number)
                line.times.setdefault(server.name, []).append((time.perf_counter() - started) * 1000 / items)
                line.cpu.setdefault(server.name, []).append((cpu_seconds(server.pid) - before) * 1000 / items)
                grown = memory_mib(server.pid)[1] - memory
                line.growth[server.name] = max(line.growth.get(server.name, 0), grown)
        _print(what, line)


def _print(what: str, line: Line) -> None:
    medians = {name: statistics.median(times) for name, times in line.times.items()}
    for name, times in line.times.items():
        low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (times[0],) * 3
        ratio = f"{medians[Orthanc.name] / medians[name]:8.2f} x" if name == Service.name else ""
        cpu = statistics.median(line.cpu[name])
        print(
            f"{what:44}{name:>9}{medians[name]:10.2f}{low:10.2f}{high:10.2f}{cpu:10.2f}{line.growth[name]:9.0f}{ratio}",
            flush=True,
        )
        what = ""


def store(server: Server, files: Sequence[bytes]) -> None:
    body, content_type = multipart(files)
    headers = {"Content-Type": content_type, "Accept": JSON}
    response = requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=900)
    assert response.status_code == 200, response.text


def get(server: Server, path: str, accept: str) -> int:
    """The length of what comes back."""
    response = requests.get(server.dicomweb + path, headers={"Accept": accept}, stream=True, timeout=900)
    assert response.status_code == 200, response.text
    return sum(map(len, response.iter_content(1 << 18)))


def instances(study: str, count: int, series: str | None = None, first: int = 1) -> list[bytes]:
    """Files of half a MiB, of one series; `first` is the InstanceNumber of the first."""
    series = series or generate_uid()
    numbers = range(first, first + count)
    return [builders.instance(study, series, rows=512, columns=1024, InstanceNumber=number) for number in numbers]


def main() -> None:
    if not is_installed():
        raise SystemExit("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
    print(f"{'milliseconds':44}{'':9}{'median':>10}{'quartiles':>20}{'CPU':>10}{'MiB +':>9}{'faster':>10}")
    with tempfile.TemporaryDirectory(prefix="dicom-bench-") as folder:
        servers: list[Server] = [Service(Path(folder)), Orthanc(Path(folder))]
        try:
            compare(Comparison(servers), servers)
        finally:
            for server in servers:
                server.stop()


def compare(comparison: Comparison, servers: Sequence[Server]) -> None:
    compare_store(comparison)
    study = generate_uid()
    files = instances(study, STUDY_FILES)
    many = generate_uid()
    for server in servers:
        for start in range(0, STUDY_FILES, 10):
            store(server, files[start : start + 10])
    series = generate_uid()
    for start in range(1, MANY_FILES + 1, 10):
        batch = instances(many, 10, series, start)
        for server in servers:
            store(server, batch)
    compare_retrieve(comparison, Uids.of(files[0]), many)
    compare_large(comparison)
    compare_search(comparison, study)
    compare_update(comparison, study, many)


def compare_store(comparison: Comparison) -> None:
    def one_by_one(server: Server, _: int) -> None:
        for file in instances(generate_uid(), 10):
            store(server, [file])

    def in_tens(server: Server, _: int) -> None:
        batches = [instances(generate_uid(), 10) for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda files: store(server, files), batches))

    comparison.measure("store 512 KB, one a request", one_by_one, items=10)
    comparison.measure("store 512 KB, 8 clients, 10 a request", in_tens, items=10 * CLIENTS)


def compare_retrieve(comparison: Comparison, first: Uids, many: str) -> None:
    comparison.measure("retrieve an instance of 512 KB", lambda server, _: get(server, first.instance_path, ANY_FILES))
    comparison.measure("retrieve a study of 100 x 512 KB", lambda server, _: get(server, first.study_path, ANY_FILES))
    path = f"{first.instance_path}/frames/1"
    comparison.measure("frame of 512 KB", lambda server, _: get(server, path, FRAMES))
    comparison.measure(
        "metadata of 1,000 instances, first time",
        lambda server, _: get(server, f"/studies/{many}/metadata", JSON),
        rounds=1,
    )
    comparison.measure(
        "metadata of 1,000 instances, again", lambda server, _: get(server, f"/studies/{many}/metadata", JSON)
    )


def compare_large(comparison: Comparison) -> None:
    """An object of 300 MiB: 1,200 frames of 256 KiB."""
    files = [builders.instance(rows=512, columns=512, frames=LARGE_FRAMES) for _ in range(2)]
    comparison.measure("store 300 MiB", lambda server, number: store(server, [files[number]]), rounds=2)
    paths = [Uids.of(file).instance_path for file in files]
    comparison.measure(
        "frame of 300 MiB, cold", lambda server, number: get(server, f"{paths[number]}/frames/900", FRAMES), rounds=2
    )
    comparison.measure("frame of 300 MiB, again", lambda server, _: get(server, f"{paths[0]}/frames/1000", FRAMES))
    comparison.measure("retrieve 300 MiB", lambda server, _: get(server, paths[0], ANY_FILES), rounds=2)


def compare_search(comparison: Comparison, study: str) -> None:
    comparison.measure(
        "search studies by PatientID", lambda server, _: get(server, "/studies?PatientID=4711&limit=100", JSON)
    )
    comparison.measure(
        "search studies by name", lambda server, _: get(server, "/studies?PatientName=Doe*&limit=100", JSON)
    )
    path = f"/studies/{study}/instances?limit=100"
    comparison.measure("search instances of a study", lambda server, _: get(server, path, JSON))


def compare_update(comparison: Comparison, study: str, many: str) -> None:
    comparison.measure(
        "change the name in 100 x 512 KB", lambda server, number: server.change_name(study, f"New^{number}"), rounds=2
    )
    comparison.measure(
        "change the name in 1,000 x 512 KB",
        lambda server, number: server.change_name(many, f"New^{number}"),
        rounds=1,
    )


if __name__ == "__main__":
    main()
