"""Measures pieces of work on one server, or on two in turn: several rounds of each, so that noise meets both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.servers import Server, Spent, forget_peak, memory_mib

ROUNDS = 5

type Step = Callable[[], object]
"""One operation: a request, or what belongs together."""


@dataclass(frozen=True, slots=True)
class Work:
    """`steps(server, round)` prepares the operations of a round, each about `items` things; `clients` do them at once.

    `peer` says whether Orthanc can do it, too.
    """

    name: str
    steps: Callable[[Server, int], Sequence[Step]]
    items: int = 1
    clients: int = 1
    rounds: int = ROUNDS
    peer: bool = True


@dataclass(slots=True)
class Figures:
    """What one server has needed: `rates` in items a second, one of each round; `latencies` in milliseconds, one of each
    operation; `spent` and `items` of all rounds; `growth` of memory in MiB, the most of any round.
    """

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    items: int = 0
    growth: float = 0

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """How far the rates of the rounds are apart, as a share of their median: half of the way between the extremes."""
        return (max(self.rates) - min(self.rates)) / 2 / self.rate

    def latency(self, share: float) -> float:
        """The time that this share of the operations have not exceeded."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the report: the figures by the name of the server."""

    name: str
    figures: dict[str, Figures]

    def ratio(self, server: str, peer: str) -> float | None:
        """How many times faster `server` is than `peer`."""
        if server not in self.figures or peer not in self.figures:
            return None
        return self.figures[server].rate / self.figures[peer].rate


def measure(work: Work, servers: Sequence[Server]) -> Line:
    """Does the work on the servers in turn, round by round."""
    figures = {server.name: Figures() for server in servers}
    for number in range(work.rounds):
        for server in servers:
            _round(work, server, number, figures[server.name])
    return Line(work.name, figures)


def _round(work: Work, server: Server, number: int, figures: Figures) -> None:
    steps = work.steps(server, number)
    items = len(steps) * work.items
    forget_peak(server.pid)
    (memory, _), before = memory_mib(server.pid), server.spent()
    started = time.perf_counter()
    if work.clients == 1:
        figures.latencies += [_timed(step) for step in steps]
    else:
        with ThreadPoolExecutor(work.clients) as clients:
            figures.latencies += clients.map(_timed, steps)
    figures.rates.append(items / (time.perf_counter() - started))
    figures.spent += server.spent() - before
    figures.items += items
    figures.growth = max(figures.growth, memory_mib(server.pid)[1] - memory)


def _timed(step: Step) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1000
