"""What an orchestration can do, with the real SDK's orchestrator functions on the engine."""

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.durable_functions import RetryOptions

from devhost.durable import DurableEngine
from devhost.durable.engine import ACTIVITIES_AT_ONCE
from devhost.durable.model import Event, EventType, Status
from devhost.durable.rows import Instance, InstanceExists
from tests.host.durable_programs import App, finished, run

AT_ONCE = RetryOptions(1, 3)


@pytest.fixture
def app() -> App:
    """An app with three activities: echo, fail, and one that waits until it is released."""
    app = App()
    app.started, app.release = asyncio.Event(), asyncio.Event()

    @app.activity
    async def echo(value):
        return value

    @app.activity
    async def fail(value):
        raise ValueError(value)

    @app.activity
    async def wait(value):
        app.started.set()
        await app.release.wait()
        return value

    return app


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "durable.db"


def rows(database: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


async def start(engine: DurableEngine, function, input=None, instance_id: str | None = None) -> str:
    return await engine.create(function.__name__, json.dumps(json.dumps(input)), instance_id)


async def events(engine: DurableEngine, instance_id: str, event_type: EventType) -> list[Event]:
    instance = await engine.get(instance_id)
    return [event for event in await engine.history(instance) if event["EventType"] == event_type]


# Activities


@pytest.mark.parametrize("value", ["text \U0001fac0 \"'", "", None, 0, False, [1, {"a": None}], {"n": 1.5}])
async def test_values_come_back_as_they_were(app, database, value):
    @app.orchestrator
    def round_trip(context):
        result = yield context.call_activity("echo", context.get_input())
        return [result]

    assert await run(app, database, "round_trip", value) == [value]


async def test_error_of_an_activity_can_be_caught(app, database):
    @app.orchestrator
    def catcher(context):
        try:
            yield context.call_activity("fail", "the reason")
        except Exception as error:
            return str(error)

    assert "Activity function 'fail' failed: the reason" in await run(app, database, "catcher")


async def test_activities_run_at_once_but_not_too_many(app, database):
    running, most = 0, 0
    full = asyncio.Event()

    @app.activity
    async def crowd(value):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == ACTIVITIES_AT_ONCE:
            full.set()
        await full.wait()
        running -= 1
        return value

    @app.orchestrator
    def fan_out(context):
        results = yield context.task_all([context.call_activity("crowd", n) for n in range(ACTIVITIES_AT_ONCE + 5)])
        return sum(results)

    full_size = ACTIVITIES_AT_ONCE + 5
    assert await run(app, database, "fan_out") == sum(range(full_size))
    assert most == ACTIVITIES_AT_ONCE


# Retries


@pytest.mark.parametrize(("failures", "runs", "output"), [(0, 1, "done"), (2, 3, "done"), (3, 3, "gave up")])
async def test_retries_until_it_succeeds_or_has_no_attempts_left(app, database, failures, runs, output):
    @app.activity
    async def flaky(value):
        if app.calls["flaky", '"x"'] <= failures:
            raise ValueError("not yet")
        return value

    @app.orchestrator
    def retrying(context):
        try:
            yield context.call_activity_with_retry("flaky", AT_ONCE, "x")
        except Exception:
            return "gave up"
        return "done"

    assert await run(app, database, "retrying") == output
    assert app.calls["flaky", '"x"'] == runs


async def test_retry_waits_for_its_interval(app, database):
    times = []

    @app.activity
    async def flaky(value):
        times.append(datetime.now(UTC))
        if len(times) == 1:
            raise ValueError("not yet")

    @app.orchestrator
    def retrying(context):
        yield context.call_activity_with_retry("flaky", RetryOptions(60, 2), "x")

    await run(app, database, "retrying")
    assert times[1] - times[0] >= timedelta(milliseconds=60)


async def test_fan_out_with_retries_beside_each_other(app, database):
    @app.activity
    async def flaky(n):
        if app.calls["flaky", str(n)] <= n % 3:
            raise ValueError("not yet")
        return n

    @app.orchestrator
    def fan_out(context):
        return (yield context.task_all([context.call_activity_with_retry("flaky", AT_ONCE, n) for n in range(30)]))

    assert await run(app, database, "fan_out") == list(range(30))


async def test_sub_orchestration_is_retried_as_a_new_instance(app, database):
    @app.orchestrator
    def child(context):
        raise ValueError("always")

    @app.orchestrator
    def parent(context):
        try:
            yield context.call_sub_orchestrator_with_retry("child", AT_ONCE, None)
        except Exception as error:
            return str(error)

    assert "Orchestrator function 'child' failed: always" in await run(app, database, "parent")
    assert rows(database, "SELECT count(*) FROM instances WHERE name = 'child'") == [(3,)]


# Timers


async def test_timer_fires_when_it_is_due(app, database):
    @app.orchestrator
    def sleeper(context):
        due = context.current_utc_datetime + timedelta(milliseconds=50)
        yield context.create_timer(due)
        return context.current_utc_datetime >= due

    assert await run(app, database, "sleeper") is True


async def test_cancelled_timer_is_forgotten(app, database):
    @app.orchestrator
    def racer(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        yield context.task_any([timer, context.call_activity("echo", 1)])
        timer.cancel()
        yield context.call_activity("wait", 1)

    async with app.running(database) as engine:
        instance_id = await start(engine, racer)
        await app.started.wait()
        assert rows(database, "SELECT count(*) FROM tasks WHERE kind = 'timer'") == [(0,)]
        app.release.set()
        assert (await finished(engine, instance_id)).status is Status.COMPLETED


# Fan-out


async def test_any_gives_the_first_and_all_fails_with_the_first_error(app, database):
    @app.orchestrator
    def both(context):
        slow, fast = context.call_activity("wait", "slow"), context.call_activity("echo", "fast")
        winner = yield context.task_any([slow, fast])
        try:
            yield context.task_all([context.call_activity("echo", 1), context.call_activity("fail", "one")])
        except Exception as error:
            return [winner.result, str(error)]

    first, error = await run(app, database, "both")
    assert first == "fast"
    assert "one" in error


# External events


async def test_events_come_before_or_after_the_wait(app, database):
    @app.orchestrator
    def listener(context):
        yield context.call_activity("wait", 1)
        early = yield context.wait_for_external_event("early")
        context.set_custom_status("waiting")
        late = yield context.wait_for_external_event("late")
        return [early, late]

    async with app.running(database) as engine:
        instance_id = await start(engine, listener)
        await app.started.wait()
        await engine.raise_event(instance_id, "early", "1")
        app.release.set()
        await engine.raise_event(instance_id, "late", '{"n": 2}')
        assert (await finished(engine, instance_id)).output == '[1, {"n": 2}]'


async def test_event_for_a_finished_instance_is_lost(app, database):
    @app.orchestrator
    def nothing(context):
        return None

    async with app.running(database) as engine:
        instance_id = await start(engine, nothing)
        await finished(engine, instance_id)
        await engine.raise_event(instance_id, "late", "1")
        assert rows(database, "SELECT count(*) FROM inbox") == [(0,)]


# Sub-orchestrations


async def test_sub_orchestration_gets_input_parent_and_id(app, database):
    @app.orchestrator
    def child(context):
        result = yield context.call_activity("echo", context.get_input())
        return [result, context.instance_id, context.parent_instance_id]

    @app.orchestrator
    def parent(context):
        return (yield context.call_sub_orchestrator("child", {"n": 1}, "the-child"))

    async with app.running(database) as engine:
        instance = await finished(engine, await start(engine, parent, None, "the-parent"))
        assert json.loads(instance.output) == [{"n": 1}, "the-child", "the-parent"]


async def test_sub_orchestration_whose_id_is_in_use_fails(app, database):
    @app.orchestrator
    def child(context):
        yield context.wait_for_external_event("never")

    @app.orchestrator
    def parent(context):
        try:
            yield context.call_sub_orchestrator("child", None, "in-use")
        except Exception as error:
            return str(error)

    async with app.running(database) as engine:
        await start(engine, child, None, "in-use")
        assert "in-use exists" in (await finished(engine, await start(engine, parent))).output


async def test_terminated_sub_orchestration_fails_its_task(app, database):
    @app.orchestrator
    def child(context):
        yield context.call_activity("wait", 1)

    @app.orchestrator
    def parent(context):
        yield context.call_sub_orchestrator("child", None, "child-id")

    async with app.running(database) as engine:
        instance_id = await start(engine, parent)
        await app.started.wait()
        await engine.terminate("child-id", "enough")
        instance = await finished(engine, instance_id)
        assert instance.status is Status.FAILED
        assert "enough" in instance.output


# Ends


async def test_continue_as_new_starts_over_with_the_new_input(app, database):
    @app.orchestrator
    def counter(context):
        n = context.get_input()
        context.set_custom_status(n)
        yield context.call_activity("echo", n)
        if n < 5:
            context.continue_as_new(n + 1)
            return None
        return n

    async with app.running(database) as engine:
        instance = await finished(engine, await start(engine, counter, 1))
        assert (instance.output, instance.custom_status) == ("5", "5")
        assert len(await events(engine, instance.instance_id, EventType.TASK_COMPLETED)) == 1


async def test_sub_orchestration_that_continues_as_new_answers_its_parent_once(app, database):
    @app.orchestrator
    def child(context):
        if context.get_input() < 3:
            context.continue_as_new(context.get_input() + 1)
            return None
        return "end"
        yield

    @app.orchestrator
    def parent(context):
        return (yield context.call_sub_orchestrator("child", 1))

    assert await run(app, database, "parent") == "end"


async def test_result_for_an_execution_that_continued_as_new_is_dropped(app, database):
    @app.orchestrator
    def impatient(context):
        if context.get_input() == "second":
            return (yield context.call_activity("echo", "right"))
        yield context.task_any([context.call_activity("wait", "wrong"), context.wait_for_external_event("go")])
        context.continue_as_new("second")

    async with app.running(database) as engine:
        instance_id = await start(engine, impatient)
        await app.started.wait()
        await engine.raise_event(instance_id, "go", "1")
        instance = await finished(engine, instance_id)
        app.release.set()
        assert instance.output == '"right"'
        assert len(await events(engine, instance_id, EventType.TASK_COMPLETED)) == 1


class Interrupting(App):
    """Does something between an orchestrator function's first answer and its recording."""

    interrupt = None

    async def orchestrate(self, name, trigger):
        answer = await super().orchestrate(name, trigger)
        if self.turns.total() == 1:
            await self.interrupt()
        return answer


async def test_event_that_no_execution_has_read_goes_to_the_next(app, database):
    @app.orchestrator
    def twice(context):
        if context.get_input() == "second":
            return (yield context.wait_for_external_event("for-second"))
        context.continue_as_new("second")
        return None
        yield

    interrupting = Interrupting(app.orchestrators)
    async with interrupting.running(database) as engine:
        interrupting.interrupt = lambda: engine.raise_event("twice", "for-second", "7")
        assert (await finished(engine, await start(engine, twice, "first", "twice"))).output == "7"


async def test_turn_of_an_instance_that_was_terminated_meanwhile_is_dropped(app, database):
    @app.orchestrator
    def calling(context):
        yield context.call_activity("echo", 1)

    interrupting = Interrupting(app.orchestrators, app.activities)
    async with interrupting.running(database) as engine:
        interrupting.interrupt = lambda: engine.terminate("one", "enough")
        assert (await finished(engine, await start(engine, calling, None, "one"))).status is Status.TERMINATED
        await run_probe(engine, interrupting)
        assert (await engine.get("one")).status is Status.TERMINATED
    assert interrupting.calls["echo", "1"] == 0


async def test_turn_of_an_instance_that_was_replaced_meanwhile_is_dropped(app, database):
    @app.orchestrator
    def calling(context):
        return (yield context.call_activity("echo", context.get_input()))

    interrupting = Interrupting(app.orchestrators, app.activities)

    async def replace():
        await engine.purge("one")
        await start(engine, calling, "new", "one")

    async with interrupting.running(database) as engine:
        interrupting.interrupt = replace
        await start(engine, calling, "old", "one")
        await engine.wait("one")  # ends with the purge
        assert (await finished(engine, "one")).output == '"new"'
    assert interrupting.calls == {("echo", '"new"'): 1}


async def test_failing_orchestrator_tells_why(app, database):
    @app.orchestrator
    def broken(context):
        context.set_custom_status("about to fail")
        yield context.call_activity("echo", 1)
        raise ValueError("the reason")

    async with app.running(database) as engine:
        instance = await finished(engine, await start(engine, broken))
        assert instance.status is Status.FAILED
        assert json.loads(instance.output) == "Orchestrator function 'broken' failed: the reason"
        assert json.loads(instance.custom_status) == "about to fail"


async def test_function_that_cannot_be_run_fails_the_instance(app, database):
    assert await run(app, database, "absent") == "Orchestrator function 'absent' failed: There is no function absent."


async def test_entities_are_refused_by_name(app, database):
    from azure.durable_functions import EntityId

    @app.orchestrator
    def with_entity(context):
        yield context.call_entity(EntityId("counter", "one"), "get")

    assert "entities" in await run(app, database, "with_entity")


# Management


async def test_terminated_instance_drops_the_result_of_its_running_activity(app, database):
    @app.orchestrator
    def waiter(context):
        yield context.call_activity("wait", 1)

    async with app.running(database) as engine:
        instance_id = await start(engine, waiter)
        await app.started.wait()
        await engine.terminate(instance_id, "enough")
        app.release.set()
        probe = await run_probe(engine, app)
        assert probe.status is Status.COMPLETED
        instance = await engine.get(instance_id)
        assert (instance.status, instance.output) == (Status.TERMINATED, '"enough"')
        assert await events(engine, instance_id, EventType.TASK_COMPLETED) == []
        assert rows(database, "SELECT count(*) FROM inbox") == [(0,)]


async def test_purged_instance_leaves_nothing_even_when_its_activity_ends_later(app, database):
    @app.orchestrator
    def waiter(context):
        yield context.call_activity("wait", 1)

    async with app.running(database) as engine:
        instance_id = await start(engine, waiter)
        await app.started.wait()
        assert await engine.purge(instance_id)
        assert not await engine.purge(instance_id)
        app.release.set()
        probe = await run_probe(engine, app)
        await engine.purge(probe.instance_id)
    for table in ("instances", "history", "tasks", "inbox"):
        assert rows(database, f"SELECT count(*) FROM {table}") == [(0,)]


async def run_probe(engine: DurableEngine, app: App) -> Instance:
    """Run an orchestration that takes every activity slot at once: what ran before it has been recorded after it."""
    everyone = asyncio.Barrier(ACTIVITIES_AT_ONCE)

    @app.activity
    async def meet(_):
        await everyone.wait()

    @app.orchestrator
    def probe(context):
        yield context.task_all([context.call_activity("meet", n) for n in range(ACTIVITIES_AT_ONCE)])

    return await finished(engine, await start(engine, probe))


async def test_suspended_instance_takes_no_turn_until_it_is_resumed(app, database):
    @app.orchestrator
    def listener(context):
        yield context.wait_for_external_event("go")

    async with app.running(database) as engine:
        instance_id = await start(engine, listener)
        await engine.suspend(instance_id)
        await engine.raise_event(instance_id, "go", "1")
        await run_probe(engine, app)
        assert (await engine.get(instance_id)).status is Status.SUSPENDED
        await engine.resume(instance_id)
        assert (await finished(engine, instance_id)).status is Status.COMPLETED


async def test_an_id_can_be_used_again_only_after_its_instance_has_finished(app, database):
    @app.orchestrator
    def waiter(context):
        yield context.call_activity("wait", context.get_input())
        return context.get_input()

    async with app.running(database) as engine:
        await start(engine, waiter, "first", "one")
        with pytest.raises(InstanceExists):
            await start(engine, waiter, "second", "one")
        await app.started.wait()
        app.release.set()
        assert (await finished(engine, "one")).output == '"first"'
        await start(engine, waiter, "third", "one")
        assert (await finished(engine, "one")).output == '"third"'
        assert len(await events(engine, "one", EventType.EXECUTION_STARTED)) == 1


async def test_instance_suspended_during_a_turn_stays_suspended(app, database):
    @app.orchestrator
    def calling(context):
        yield context.call_activity("echo", 1)

    interrupting = Interrupting(app.orchestrators, app.activities)
    async with interrupting.running(database) as engine:
        interrupting.interrupt = lambda: engine.suspend("one")
        await start(engine, calling, None, "one")
        await run_probe(engine, interrupting)
        assert (await engine.get("one")).status is Status.SUSPENDED
        await engine.resume("one")
        assert (await finished(engine, "one")).status is Status.COMPLETED


async def test_failed_transaction_leaves_everything_as_it_was(app, database):
    @app.orchestrator
    def nothing(context):
        return "kept"

    async with app.running(database) as engine:
        await finished(engine, await start(engine, nothing, None, "one"))
        with pytest.raises(sqlite3.IntegrityError):
            await engine.create(None, None, "one")  # after the finished instance was removed
        assert (await engine.get("one")).output == '"kept"'


# Stop and start


async def test_stopped_engine_goes_on_when_it_is_started_again(app, database):
    @app.orchestrator
    def long(context):
        first = yield context.call_activity("echo", 1)
        second = yield context.call_activity("wait", 2)
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=20))
        third = yield context.call_sub_orchestrator("child", 3)
        return [first, second, third]

    @app.orchestrator
    def child(context):
        return (yield context.call_activity("wait", context.get_input()))

    async with app.running(database) as engine:
        instance_id = await start(engine, long)
        await app.started.wait()
    app.release.set()
    async with app.running(database) as engine:
        assert (await finished(engine, instance_id)).output == "[1, 2, 3]"
    assert app.calls["echo", "1"] == 1
    assert app.calls["wait", "2"] == 2


async def test_stop_leaves_no_thread_and_no_task(app, database):
    before = threading.enumerate(), asyncio.all_tasks()

    @app.orchestrator
    def waiter(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        yield context.task_all([context.call_activity("wait", 1), timer])

    async with app.running(database) as engine:
        await start(engine, waiter)
        await app.started.wait()
    assert (threading.enumerate(), asyncio.all_tasks()) == before
