"""A process to be killed: runs the orchestration "crash" to its end and prints a line per activity run."""

import asyncio
import json
import random
import sys
from datetime import timedelta
from pathlib import Path

from azure.durable_functions import RetryOptions

from tests.host.durable_programs import App

WIDTH = 20
app = App()


@app.activity
async def flaky(n):
    print("activity", n, flush=True)
    await asyncio.sleep(random.random() * 0.01)
    if random.random() < 0.3:
        raise ValueError("not yet")
    return n


@app.orchestrator
def crash(context):
    """Sums of what three fan-outs brought back."""
    options = RetryOptions(5, 30)
    fan_out = yield context.task_all([context.call_activity_with_retry("flaky", options, n) for n in range(WIDTH)])
    children = yield context.task_all([context.call_sub_orchestrator("child", n) for n in range(5)])
    timer = context.create_timer(context.current_utc_datetime + timedelta(milliseconds=30))
    again = yield context.task_all([timer, *(context.call_activity_with_retry("flaky", options, n) for n in range(5))])
    return [sum(fan_out), sum(children), sum(again[1:])]


@app.orchestrator
def child(context):
    """Doubles its input, in two executions."""
    n = yield context.call_activity_with_retry("flaky", RetryOptions(5, 30), context.get_input())
    if n < 100:
        context.continue_as_new(n + 100)
        return None
    return (n - 100) * 2


async def main(database: Path) -> None:
    async with app.running(database) as engine:
        if await engine.get("crash") is None:
            await engine.create("crash", None, "crash")
        print("up", flush=True)
        instance = await engine.wait("crash")
        print(json.dumps([instance.status, json.loads(instance.output)]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
