"""Timer triggers: NCRONTAB expressions of six fields (second minute hour day month weekday), in UTC."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from devhost.worker import Function, FunctionFailed, Worker

_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = {
    name: number
    for names in (
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
        ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    )
    for number, name in enumerate(names, 1 if names[0] == "JAN" else 0)
}
_YEARS_AHEAD = 5

logger = logging.getLogger("devhost")


@dataclass(frozen=True, slots=True)
class Schedule:
    fields: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, expression: str) -> Schedule:
        """Raises ValueError for what is no NCRONTAB expression."""
        parts = expression.split()
        if len(parts) == 5:
            parts.insert(0, "0")
        if len(parts) != len(_RANGES):
            raise ValueError(f"'{expression}' does not have six fields.")
        return cls(tuple(_field(part, *bounds) for part, bounds in zip(parts, _RANGES, strict=True)))

    def after(self, moment: datetime) -> datetime:
        """The first time that fits after `moment`; raises ValueError when there is none within five years."""
        seconds, minutes, hours, days, months, weekdays = self.fields
        candidate = moment.replace(microsecond=0) + timedelta(seconds=1)
        end = moment + timedelta(days=366 * _YEARS_AHEAD)
        while candidate < end:
            if candidate.month not in months or candidate.day not in days or candidate.isoweekday() % 7 not in weekdays:
                candidate = candidate.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif candidate.hour not in hours:
                candidate = candidate.replace(minute=0, second=0) + timedelta(hours=1)
            elif candidate.minute not in minutes:
                candidate = candidate.replace(second=0) + timedelta(minutes=1)
            elif candidate.second not in seconds:
                candidate += timedelta(seconds=1)
            else:
                return candidate
        raise ValueError("The schedule never comes due.")


async def run_timers(worker: Worker, functions: Iterable[Function]) -> None:
    """Runs all timer functions until cancelled. A timer that is still running misses its next turn."""
    async with asyncio.TaskGroup() as group:
        for function in functions:
            if function.trigger["type"] == "timerTrigger":
                group.create_task(_run(worker, function, Schedule.parse(str(function.trigger["schedule"]))))


async def _run(worker: Worker, function: Function, schedule: Schedule) -> None:
    if function.trigger.get("runOnStartup"):
        await _invoke(worker, function)
    while True:
        now = datetime.now(UTC)
        await asyncio.sleep((schedule.after(now) - now).total_seconds())
        await _invoke(worker, function)


async def _invoke(worker: Worker, function: Function) -> None:
    try:
        await worker.invoke(function, json.dumps({"Schedule": {}, "ScheduleStatus": None, "IsPastDue": False}))
    except FunctionFailed as error:
        logger.error("%s failed: %s\n%s", function.name, error, error.trace)


def _field(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (_number(end) for end in span.split("-", 1))
        else:
            first = _number(span)
            last = high if step else first
        if not low <= first <= last <= high or (step and int(step) < 1):
            raise ValueError(f"'{text}' is not within {low} to {high}.")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str) -> int:
    return _NAMES[text.upper()] if text.upper() in _NAMES else int(text)
