"""The dispatcher: runs orchestrator turns and activities, fires timers, and goes on where a killed process stopped.

All of its state is in the store; what it holds in memory (queues, who is awake) is rebuilt from there by `start`. An
activity that was running when the process died runs again: at least one run, exactly one recorded result.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from devhost.durable.api import HttpApi
from devhost.durable.model import Event, EventType, utc_now
from devhost.durable.replay import decide, failed_state
from devhost.durable.rows import Filter, Instance, TaskKey
from devhost.durable.store import Effects, Store

ACTIVITIES_AT_ONCE = 10
TURNS_AT_ONCE = 10

logger = logging.getLogger(__name__)


class FunctionError(Exception):
    """A function raised an exception; the message is that of the exception."""


class DurableEngine:
    """Durable orchestrations in the database file `database`, which no other process may use at the same time.

    `orchestrate(name, trigger)` runs an orchestrator function and returns its answer as JSON text;
    `run_activity(name, input)` runs an activity function and returns its result as JSON text. Both raise
    `FunctionError` when the function raised.
    """

    def __init__(
        self,
        database: Path,
        orchestrate: Callable[[str, str], Awaitable[str]],
        run_activity: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self.app = HttpApi(self)
        self._orchestrate = orchestrate
        self._run_activity = run_activity
        self._store = Store(database)
        self._activities: asyncio.Queue[TaskKey] = asyncio.Queue()
        self._turns: asyncio.Queue[str] = asyncio.Queue()
        self._awake: dict[str, bool] = {}  # queued or running instances; True: got an event since its turn began
        self._timers_changed = asyncio.Event()
        self._finished = asyncio.Event()  # replaced by a new one whenever it is set
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the database and take up unfinished work."""
        self._thread = ThreadPoolExecutor(1, "durable-store")
        self._apply(await self._call(self._store.open))
        workers: list[Coroutine[Any, Any, None]] = [self._fire_timers()]
        workers += [self._serve(self._activities, self._do_activity) for _ in range(ACTIVITIES_AT_ONCE)]
        workers += [self._serve(self._turns, self._do_turns) for _ in range(TURNS_AT_ONCE)]
        self._workers = [asyncio.create_task(worker) for worker in workers]
        for task in self._workers:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Cancel what runs and close the database. The next start begins the cancelled functions anew."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._call(self._store.close)
        self._thread.shutdown()

    # What the HTTP API offers

    async def create(self, name: str, input: str | None, instance_id: str | None = None, version: str = "") -> str:
        """Start an orchestration with `input` as JSON text; returns its instance id.

        Raises `InstanceExists` if an instance of that id has not finished; a finished one is replaced.
        """
        instance_id = instance_id or uuid4().hex
        self._apply(await self._call(self._store.create, instance_id, name, version, input))
        return instance_id

    async def get(self, instance_id: str) -> Instance | None:
        return await self._call(self._store.get, instance_id)

    async def history(self, instance: Instance) -> list[Event]:
        return await self._call(self._store.history, instance.execution_id)

    async def select(self, filter: Filter) -> list[Instance]:
        return await self._call(self._store.select, filter)

    async def wait(self, instance_id: str) -> Instance | None:
        """The instance when it has finished, or None when there is none."""
        while True:
            finished = self._finished
            instance = await self.get(instance_id)
            if instance is None or instance.status.is_finished:
                return instance
            await finished.wait()

    async def raise_event(self, instance_id: str, name: str, input: str) -> None:
        """Send an external event with `input` as JSON text. Lost if the instance has finished."""
        self._apply(await self._call(self._store.raise_event, instance_id, name, input))

    async def terminate(self, instance_id: str, reason: str) -> None:
        self._apply(await self._call(self._store.terminate, instance_id, reason))

    async def suspend(self, instance_id: str) -> None:
        self._apply(await self._call(self._store.suspend, instance_id))

    async def resume(self, instance_id: str) -> None:
        self._apply(await self._call(self._store.resume, instance_id))

    async def purge(self, instance_id: str) -> bool:
        """Forget an instance, finished or not; its running functions end without effect. False when there is none."""
        purged = await self._call(self._store.purge, instance_id)
        self._apply(Effects(finished=True))
        return purged

    async def purge_finished(self, filter: Filter) -> int:
        """Forget the finished instances among those of the filter; returns how many."""
        return await self._call(self._store.purge_finished, filter)

    # Dispatch

    async def _call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the store in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(function, *args, **kwargs))

    def _apply(self, effects: Effects) -> None:
        for key in effects.activities:
            self._activities.put_nowait(key)
        for instance_id in effects.awake:
            if instance_id not in self._awake:
                self._turns.put_nowait(instance_id)
            self._awake[instance_id] = True
        if effects.timers_changed:
            self._timers_changed.set()
        if effects.finished:
            self._finished.set()
            self._finished = asyncio.Event()

    async def _serve[T](self, queue: asyncio.Queue[T], work: Callable[[T], Awaitable[None]]) -> None:
        while True:
            item = await queue.get()
            try:
                await work(item)
            except Exception:
                # Not the function's exception but the host's: the work stays in the store until the next start.
                logger.exception("Durable work failed: %s", item)

    async def _do_activity(self, key: TaskKey) -> None:
        task = await self._call(self._store.task, key)
        if task is None:
            return
        name = task.action["functionName"]
        try:
            result = await self._run_activity(name, task.action["input"])
        except FunctionError as error:
            reason = f"Activity function '{name}' failed: {error}"
            answer = partial(self._store.answer, key, EventType.TASK_FAILED, Reason=reason, Details=str(error))
        else:
            answer = partial(self._store.answer, key, EventType.TASK_COMPLETED, Result=result)
        self._apply(await self._call(answer))

    async def _do_turns(self, instance_id: str) -> None:
        """Take turns until no event is left. One worker at a time has an instance."""
        try:
            while self._awake[instance_id]:
                self._awake[instance_id] = False
                await self._do_turn(instance_id)
        finally:
            del self._awake[instance_id]

    async def _do_turn(self, instance_id: str) -> None:
        turn = await self._call(self._store.begin_turn, instance_id)
        if turn is None:
            return
        try:
            state = json.loads(await self._orchestrate(turn.name, turn.trigger()))
        except FunctionError as error:
            state = failed_state(str(error))
        self._apply(await self._call(self._store.commit_turn, turn, decide(turn, state)))

    async def _fire_timers(self) -> None:
        while True:
            self._timers_changed.clear()
            now = utc_now()
            effects, next_due = await self._call(self._store.fire_timers, now)
            self._apply(effects)
            delay = None if next_due is None else max(0.0, (next_due - now).total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._timers_changed.wait()


def _report(worker: asyncio.Task[None]) -> None:
    """No worker ends before it is cancelled; if one does, say so."""
    if not worker.cancelled():
        logger.error("A durable worker ended.", exc_info=worker.exception())
