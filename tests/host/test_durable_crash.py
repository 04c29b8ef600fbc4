"""Whenever the process is killed, the orchestration completes later, and each result is in its history once."""

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from devhost.durable.model import EventType
from tests.host.durable_crash_app import WIDTH

ROOT = Path(__file__).parents[2]
KILLS = 6
SCHEDULED = (EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_INSTANCE_CREATED, EventType.TIMER_CREATED)
ANSWERED = (
    EventType.TASK_COMPLETED,
    EventType.TASK_FAILED,
    EventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED,
    EventType.SUB_ORCHESTRATION_INSTANCE_FAILED,
    EventType.TIMER_FIRED,
)


async def run_process(database: Path, lines: int | None, delay: float = 0) -> str:
    """Run the app to its end, or kill it some time after it has printed so many lines. Returns its last line."""
    command = [sys.executable, "-m", "tests.host.durable_crash_app", str(database)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    printed: list[str] = []
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                printed.append(line.decode())
                if len(printed) == lines:
                    await asyncio.sleep(delay)  # only to spread the moments, nothing waits for it
                    process.kill()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return printed[-1]


@pytest.mark.parametrize("seed", range(3))
async def test_killed_process_is_continued_with_each_result_recorded_once(tmp_path, seed):
    database, random = tmp_path / "durable.db", Random(seed)
    for _ in range(KILLS):
        await run_process(database, random.randint(1, 20), random.random() * 0.02)
    last = await run_process(database, None)

    assert json.loads(last) == ["Completed", [sum(range(WIDTH)), 2 * sum(range(5)), sum(range(5))]]
    with closing(sqlite3.connect(database)) as connection:
        histories: dict[str, list[dict]] = {}
        for execution_id, text in connection.execute("SELECT execution_id, event FROM history ORDER BY sequence"):
            histories.setdefault(execution_id, []).append(json.loads(text))
        left = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("tasks", "inbox")]
    assert left == [0, 0]
    assert len(histories) == 6
    for history in histories.values():
        scheduled = Counter(event["EventId"] for event in history if event["EventType"] in SCHEDULED)
        answered = Counter(
            event.get("TaskScheduledId", event.get("TimerId")) for event in history if event["EventType"] in ANSWERED
        )
        assert scheduled == answered == Counter(dict.fromkeys(scheduled, 1))
