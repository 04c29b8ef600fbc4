"""The host's EventIds are those of the SDK, whatever an orchestration does and in whatever order its results come."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from azure.durable_functions import RetryOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devhost.durable.engine import FunctionError
from devhost.durable.model import Event, EventType, Status, Task, TaskKind, event
from devhost.durable.replay import Arrival, End, Turn, decide, failed_state, in_order
from tests.host.durable_programs import Function, run_sdk

ANSWERS = {
    TaskKind.ACTIVITY: (EventType.TASK_COMPLETED, EventType.TASK_FAILED),
    TaskKind.ORCHESTRATION: (
        EventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED,
        EventType.SUB_ORCHESTRATION_INSTANCE_FAILED,
    ),
}


@dataclass
class World:
    """Everything outside of one orchestrator function, in memory: answers its tasks at random, in batches at random."""

    function: Function
    random: Random
    history: list[Event] = field(default_factory=list)
    pending: dict[int, Task] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)
    next_id: int = 0
    positions: int = 0
    turns: int = 0
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def run(self) -> End:
        started = event(EventType.EXECUTION_STARTED, self.now, Name="f", Version="", Input=None, Tags=None)
        batch = [Arrival(0, started, None)]
        while True:
            end, waits = self.turn(in_order(batch))
            if end is not None:
                return end
            batch = self.answers(waits)

    def turn(self, arrivals: list[Arrival]) -> tuple[End | None, set[str]]:
        self.now += timedelta(seconds=1)
        self.turns += 1
        turn = Turn("id", "execution", None, "f", None, self.history, arrivals, self.next_id, self.positions, self.now)
        try:
            text, context = run_sdk(self.function, turn.trigger())
        except FunctionError as error:
            return decide(turn, failed_state(str(error))).end, set()
        decision = decide(turn, json.loads(text))
        self.history += turn.new_events
        self.pending |= {task.event_id: task for task in decision.scheduled}
        self.next_id, self.positions = decision.next_id, decision.positions
        if decision.end is None:
            assert {key for key in context.open_tasks if isinstance(key, int)} == self.pending.keys()
        return decision.end, {key for key in context.open_tasks if isinstance(key, str)} - self.raised

    def answers(self, waits: set[str]) -> list[Arrival]:
        tasks = [*self.pending.values()]
        chosen: list[Task | str] = self.random.sample(
            [*tasks, *sorted(waits)], self.random.randint(1, min(4, len(tasks) + len(waits)))
        )
        return [
            Arrival(sequence, self.answer(item), item if isinstance(item, Task) else None)
            for sequence, item in enumerate(chosen)
        ]

    def answer(self, item: Task | str) -> Event:
        if isinstance(item, str):
            self.raised.add(item)
            return event(EventType.EVENT_RAISED, self.now, Name=item, Input=json.dumps(item))
        del self.pending[item.event_id]
        if item.fire_at is not None:
            self.now = max(self.now, item.fire_at)
            return event(EventType.TIMER_FIRED, self.now) | {"TimerId": item.event_id}
        completed, failed = ANSWERS[item.kind]
        fields = {"TaskScheduledId": item.event_id}
        if self.random.random() < 0.3:
            return event(failed, self.now) | fields | {"Reason": "no", "Details": ""}
        return event(completed, self.now) | fields | {"Result": json.dumps(item.action["functionName"])}


type Step = tuple[str, list[tuple[str, int]], bool]

kinds = st.sampled_from(["activity", "retry", "timer", "event", "child", "child_retry"])
atoms = st.tuples(kinds, st.integers(1, 3))
steps = st.tuples(st.sampled_from(["one", "all", "any"]), st.lists(atoms, min_size=1, max_size=5), st.booleans())


def interpreter(program: list[Step]) -> Function:
    """An orchestrator function that does the steps, and finds out when a result comes to the wrong task."""

    def function(context):
        serial, left_over = 0, []
        for how, parts, reuse in program:
            tasks = []
            for kind, attempts in parts:
                serial += 1
                tasks.append((f"{kind}{serial}", _task(context, kind, f"{kind}{serial}", attempts)))
            if how == "any" and reuse:
                tasks += left_over  # children that were yielded before are not in the new action
            try:
                if how == "any":
                    winner = yield context.task_any([task for _, task in tasks])
                    name = next(name for name, task in tasks if task is winner)
                    left_over = [(name, task) for name, task in tasks if not task.is_completed]
                    _check(name, winner.result)
                elif how == "all":
                    for (name, _), result in zip(
                        tasks, (yield context.task_all([task for _, task in tasks])), strict=True
                    ):
                        _check(name, result)
                else:
                    for name, task in tasks:
                        _check(name, (yield task))
            except AssertionError:
                raise
            except Exception as error:
                assert str(error) == "no \n "  # noqa: PT017 - raised into the orchestrator function by the SDK
        return serial

    return function


def _task(context: Any, kind: str, name: str, attempts: int) -> Any:
    options = RetryOptions(1000, attempts)
    match kind:
        case "activity":
            return context.call_activity(name, 1)
        case "retry":
            return context.call_activity_with_retry(name, options, 1)
        case "timer":
            return context.create_timer(context.current_utc_datetime + timedelta(days=attempts * 4))
        case "event":
            return context.wait_for_external_event(name)
        case "child":
            return context.call_sub_orchestrator(name, 1)
        case _:
            return context.call_sub_orchestrator_with_retry(name, options, 1)


def _check(name: str, result: Any) -> None:
    assert isinstance(result, Exception) or name.startswith("timer") or result == name


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=5), st.integers(0, 2**32))
def test_pending_ids_are_those_of_the_sdk_in_every_turn(program, seed):
    world = World(interpreter(program), Random(seed))
    end = world.run()
    assert end == End(Status.COMPLETED, json.dumps(sum(len(parts) for _, parts, _ in program)))


def turn_of(arrivals: list[Arrival], positions: int = 0) -> Turn:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Turn("id", "execution", None, "f", None, [], arrivals, 7, positions, now)


def test_delay_before_a_retry_grows_by_the_coefficient():
    options = {"firstRetryIntervalInMilliseconds": 100, "maxNumberOfAttempts": 4, "backoffCoefficient": 3}
    task = Task(0, {"actionType": 1, "functionName": "a", "input": "1", "retryOptions": options}, 0)
    turn, delays = turn_of([]), []
    for event_id in range(1, 8, 2):
        delay = task.next_attempt(event_id, turn.now)
        delays.append((delay.fire_at - turn.now).total_seconds())
        task = delay.next_attempt(event_id + 1, turn.now)
    assert delays == pytest.approx([0.1, 0.3, 0.9, 0])  # the SDK waits for a delay after the last attempt, too


def test_fewer_actions_than_before_fail_the_execution():
    end = decide(turn_of([], positions=2), {"isDone": False, "actions": [[]]}).end
    assert end is not None
    assert end.status is Status.FAILED
    assert "Non-deterministic" in end.result


def test_state_is_taken_from_the_end_of_the_message():
    message = 'a message\n\n$OutOfProcData$:{"isDone": false, "actions": [[]], "error": "the reason"}\nStack: ...'
    assert failed_state(message)["error"] == "the reason"
    assert failed_state("import failed")["error"] == "import failed"


def test_task_survives_its_json():
    fire_at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    for task in (Task(1, {"actionType": 0}, 2), Task(1, {"actionType": 5}, 2, 3, fire_at)):
        assert Task.from_json(task.to_json()) == task
