"""Orchestrator functions for the tests, run by the real SDK without a worker."""

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.durable_functions import DurableOrchestrationContext, Orchestrator

from devhost.durable import DurableEngine, FunctionError
from devhost.durable.rows import Instance

type Function = Callable[[DurableOrchestrationContext], Generator[Any, Any, Any]]
type Activity = Callable[[Any], Awaitable[Any]]


def run_sdk(function: Function, trigger: str) -> tuple[str, DurableOrchestrationContext]:
    """One turn: the answer and the SDK's view of it. Raises `FunctionError` as a worker reports it."""
    context = DurableOrchestrationContext.from_json(trigger)
    with warnings.catch_warnings():
        # The SDK warns of legal things: events that come before the wait for them, results whose type it does not know.
        warnings.simplefilter("ignore")
        try:
            return Orchestrator(function).handle(context), context
        except Exception as error:
            raise FunctionError(str(error)) from error


@dataclass
class App:
    """The functions of an app; `calls` counts the runs of each activity by its input."""

    orchestrators: dict[str, Function] = field(default_factory=dict)
    activities: dict[str, Activity] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)

    def orchestrator[F: Callable[..., Any]](self, function: F) -> F:
        self.orchestrators[function.__name__] = function
        return function

    def activity[F: Callable[..., Any]](self, function: F) -> F:
        self.activities[function.__name__] = function
        return function

    async def orchestrate(self, name: str, trigger: str) -> str:
        self.turns[name] += 1
        if name not in self.orchestrators:
            raise FunctionError(f"There is no function {name}.")
        return run_sdk(self.orchestrators[name], trigger)[0]

    async def run_activity(self, name: str, input: str) -> str:
        self.calls[name, input] += 1
        try:
            return json.dumps(await self.activities[name](json.loads(input)))
        except ValueError as error:
            raise FunctionError(str(error)) from error

    @asynccontextmanager
    async def running(self, database: Path):
        engine = DurableEngine(database, self.orchestrate, self.run_activity)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()


async def run(app: App, database: Path, name: str, input: Any = None) -> Any:
    """Output of an orchestration that completes; the message of one that fails."""
    async with app.running(database) as engine:
        instance = await finished(engine, await engine.create(name, json.dumps(json.dumps(input))))
        assert instance.output is not None
        return json.loads(instance.output)


async def finished(engine: DurableEngine, instance_id: str) -> Instance:
    """The instance when it has finished; `TimeoutError` when it seems to hang."""
    async with asyncio.timeout(20):
        instance = await engine.wait(instance_id)
    assert instance is not None
    return instance
