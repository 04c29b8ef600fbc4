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
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NAMES = {name: str(number) for number, name in [*enumerate(_MONTHS, 1), *enumerate(_WEEKDAYS)]}
_YEARS_AHEAD = 9  # from one 29 February to the next there may be eight years

logger = logging.getLogger("devhost")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The seconds, minutes, hours, days, months and weekdays (0 = Sunday) that fit; all of them have to."""

    fields: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, expression: str) -> Schedule:
        """Raises ValueError for what is no NCRONTAB expression."""
        parts = expression.split()
        if len(parts) != len(_RANGES):
            raise ValueError(f"'{expression}' does not have six fields.")
        return cls(tuple(_field(part, *bounds) for part, bounds in zip(parts, _RANGES, strict=True)))

    def after(self, moment: datetime) -> datetime:
        """The first time that fits after `moment`; ValueError when there is none in the years ahead."""
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
        raise ValueError("It never comes due.")


@dataclass(frozen=True, slots=True)
class Timer:
    function: Function
    schedule: Schedule

    @classmethod
    def of(cls, functions: Iterable[Function]) -> list[Timer]:
        """The timers among the functions. Raises ValueError when a schedule is wrong."""
        return [cls._parse(function) for function in functions if function.trigger["type"] == "timerTrigger"]

    @classmethod
    def _parse(cls, function: Function) -> Timer:
        text = str(function.trigger["schedule"])
        try:
            schedule = Schedule.parse(text)
            schedule.after(datetime.now(UTC))
        except ValueError as error:
            raise ValueError(f"The schedule '{text}' of the function '{function.name}' is wrong: {error}") from None
        return cls(function, schedule)

    async def run(self, worker: Worker) -> None:
        """Calls the function whenever it is due, until cancelled. While it runs it misses its turns."""
        if self.function.trigger.get("runOnStartup"):
            await self._invoke(worker)
        due = datetime.now(UTC)
        while True:
            # A sleep may end a little early by the wall clock: never come to the same moment again.
            due = self.schedule.after(max(due, datetime.now(UTC)))
            await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
            await self._invoke(worker)

    async def _invoke(self, worker: Worker) -> None:
        trigger = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        try:
            await worker.invoke(self.function, json.dumps(trigger))
        except FunctionFailed as error:
            logger.error("Function %s failed: %s\n%s", self.function.name, error, error.trace)


def _field(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            bounds = (low, high)
        elif dash:
            bounds = (_number(first), _number(last))
        else:
            bounds = (_number(first), high if step else _number(first))
        if not low <= bounds[0] <= bounds[1] <= high or step in ("0", "00"):
            raise ValueError(f"'{text}' is not within {low} to {high}.")
        found.update(range(bounds[0], bounds[1] + 1, _number(step or "1")))
    return frozenset(found)


def _number(text: str) -> int:
    digits = _NAMES.get(text, text)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"'{text}' is no number.")
    return int(digits)
