"""NCRONTAB schedules, and timers that run on a host."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.timers import Schedule
from tests.host.conftest import Start

APP = """
import asyncio, time
import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request

app = func.FunctionApp()
runs = []
started = time.time()

@app.route("runs")
async def get_runs(req: Request) -> JSONResponse:
    return JSONResponse([[name, begin - started, end - started] for name, begin, end in runs])

@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def slow(timer: func.TimerRequest) -> None:
    begin = time.time()
    await asyncio.sleep(1.2)
    runs.append(("slow", begin, time.time()))

@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def failing(timer: func.TimerRequest) -> None:
    runs.append(("failing", time.time(), time.time()))
    raise ValueError("no luck")

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def yearly(timer: func.TimerRequest) -> None:
    assert not timer.past_due
    runs.append(("yearly", time.time(), time.time()))

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def not_yet(timer: func.TimerRequest) -> None:
    runs.append(("not_yet", time.time(), time.time()))
"""


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("0 * * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"),
        ("*/15 * * * * *", "2026-01-01 00:00:14.999", "2026-01-01 00:00:15"),
        ("*/15 * * * * *", "2026-01-01 00:00:45", "2026-01-01 00:01:00"),
        ("0 5/20 * * * *", "2026-01-01 00:26:00", "2026-01-01 00:45:00"),
        ("0 30 9-17 * * *", "2026-01-01 17:30:00", "2026-01-02 09:30:00"),
        ("0 30 9 * * MON-FRI", "2026-01-02 09:30:00", "2026-01-05 09:30:00"),
        ("0 0 0 * Feb,nov 0", "2026-03-01 00:00:00", "2026-11-01 00:00:00"),
        ("0 0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00"),
        ("0 0 0 13 * 5", "2026-01-01 00:00:00", "2026-02-13 00:00:00"),
        ("59 59 23 31 12 *", "2026-12-31 23:59:59", "2027-12-31 23:59:59"),
        ("0 0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00"),
    ],
)
def test_next_time(expression: str, after: str, due: str) -> None:
    assert Schedule.parse(expression).after(moment(after)) == moment(due)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "*/x * * * * *",
        "5-3 * * * * *",
        "-1 * * * * *",
        "1, * * * * *",
        "x * * * * *",
        "² * * * * *",
        "* * * * MAY-FEB *",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Schedule.parse(expression)


def test_schedule_that_never_comes_due_is_refused() -> None:
    with pytest.raises(ValueError, match="never"):
        Schedule.parse("0 0 0 31 2 *").after(moment("2026-01-01 00:00:00"))


numbers = st.sets(st.integers(0, 59), min_size=1, max_size=4)


@given(numbers, numbers, st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_next_time_is_the_first_one_that_fits(seconds: set[int], minutes: set[int], after: datetime) -> None:
    schedule = Schedule.parse(f"{','.join(map(str, seconds))} {','.join(map(str, minutes))} * * * *")
    candidate = after.replace(microsecond=0) + timedelta(seconds=1)
    while candidate.second not in seconds or candidate.minute not in minutes:
        candidate += timedelta(seconds=1)
    assert schedule.after(after) == candidate


def test_timers_on_a_host(start: Start) -> None:
    host = start(APP).wait_until_up()
    host.eventually(lambda: len([run for run in host.get("/api/runs") if run[0] == "slow"]) >= 2)
    runs = host.get("/api/runs")
    names = [name for name, _, _ in runs]
    assert names[0] == "yearly"
    assert names.count("yearly") == 1
    assert "not_yet" not in names
    # A timer that fails goes on, once a second.
    failing = [begin for name, begin, _ in runs if name == "failing"]
    assert len(failing) >= 3
    assert all(0.5 < later - earlier < 1.9 for earlier, later in pairwise(failing))
    assert "Function failing failed: ValueError: no luck" in host.errors
    # One that takes longer than its interval does not overlap itself, and misses a turn.
    slow = [(begin, end) for name, begin, end in runs if name == "slow"]
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(slow))
    # It still starts on the second.
    assert slow[1][0] - slow[0][0] == pytest.approx(2, abs=0.4)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
