"""The orchestration protocol: which history a turn is given, and what follows from its answer.

In every turn the SDK runs the orchestrator function again from its beginning, feeds it the results found in the
history, and answers with *all* actions up to the point where it waits. It numbers its tasks itself and looks results up
by those numbers (EventIds), but does not send them. The host therefore has to come to the same numbers:

- The tasks of an action take ids in the order in which they stand in it, when the action is yielded. Waits for external
  events take none.
- A failed attempt of a task with retry options takes one id for the delay, and the end of the delay one more for the
  next attempt. The last attempt, too, is followed by a delay (of no length), whose end takes no id.

A turn can be given many results, and which of them led to a new action cannot be told from the answer (a compound task
leaves out children that were yielded before). It need not be: a result that takes an id for a retry never completes a
task, so it never leads to a new action. Given first, such results take their ids first; all others take none, and the
ids of the new actions follow in the order of the actions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from devhost.durable.model import Action, ActionType, Event, EventType, Status, Task, event

type State = dict[str, Any]
"""Answer of an orchestrator function: isDone, actions, output, error, customStatus."""

FAILED_STATE_LABEL = "\n\n$OutOfProcData$:"
COMPOUND = (ActionType.WHEN_ANY, ActionType.WHEN_ALL)
FAILURES = (EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_INSTANCE_FAILED)
HOST_ONLY = (EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_INSTANCE_CREATED, EventType.TIMER_CREATED)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event in an instance's inbox, and the task that it answers."""

    sequence: int
    event: Event
    task: Task | None

    @property
    def takes_id(self) -> bool:
        """Whether the SDK gives an id to a retry when it sees this event."""
        if self.task is None or "retryOptions" not in self.task.action:
            return False
        if self.event["EventType"] == EventType.TIMER_FIRED:
            return not self.task.is_last_attempt
        return self.event["EventType"] in FAILURES


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of an orchestrator function. `arrivals` stand in the order of `in_order`."""

    instance_id: str
    execution_id: str
    parent_instance_id: str | None
    name: str
    input: str | None  # JSON text
    history: list[Event]
    arrivals: list[Arrival]
    next_id: int
    positions: int  # how many single actions the turns before have asked for
    now: datetime

    @property
    def new_events(self) -> list[Event]:
        return [event(EventType.ORCHESTRATOR_STARTED, self.now), *(arrival.event for arrival in self.arrivals)]

    def trigger(self) -> str:
        """Value of the orchestrationTrigger binding."""
        past = [{**event, "IsPlayed": True} for event in self.history if event["EventType"] not in HOST_ONLY]
        return json.dumps(
            {
                "history": past + self.new_events,
                "input": _trigger_input(self.input),
                "instanceId": self.instance_id,
                "isReplaying": bool(past),
                "parentInstanceId": self.parent_instance_id,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
                "longRunningTimerIntervalDuration": "3.00:00:00",
                "maximumShortTimerDuration": "6.00:00:00",
                "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
            }
        )


@dataclass(frozen=True, slots=True)
class End:
    """How an execution ended: `result` is the output, or the input of the next execution, as JSON text."""

    status: Status
    result: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a turn."""

    scheduled: list[Task]
    cancelled: list[int]  # positions of timers
    next_id: int
    positions: int
    custom_status: str  # JSON text
    end: End | None


def in_order(arrivals: list[Arrival]) -> list[Arrival]:
    """The order in which a turn is given its events; see the module's text."""
    return sorted(
        arrivals,
        key=lambda a: (a.event["EventType"] != EventType.EXECUTION_STARTED, not a.takes_id, a.sequence),
    )


def failed_state(message: str) -> State:
    """State of an orchestrator function that raised an exception with this message.

    The SDK appends the state to the message. Without one the function could not be run at all.
    """
    _, label, text = message.rpartition(FAILED_STATE_LABEL)
    if not label:
        return {"isDone": False, "actions": [[]], "error": message or "unknown error"}
    state: State = json.JSONDecoder().raw_decode(text)[0]
    return state


def decide(turn: Turn, state: State) -> Decision:
    """Give ids to what the orchestrator function asked for in this turn.

    An execution that has ended asks for nothing more: tasks that it never waited for are dropped.
    """
    actions = list(_single(state["actions"][0]))
    ids = count(turn.next_id)
    scheduled = [
        arrival.task.next_attempt(next(ids), turn.now)
        for arrival in turn.arrivals
        if arrival.takes_id and arrival.task is not None
    ]
    end = _end(turn, state, actions)
    if end is None:
        for position, action in enumerate(actions[turn.positions :], turn.positions):
            if action["actionType"] != ActionType.WAIT_FOR_EXTERNAL_EVENT:
                scheduled.append(Task(next(ids), action, position, fire_at=_fire_at(action)))
    return Decision(
        scheduled=scheduled if end is None else [],
        cancelled=[position for position, action in enumerate(actions) if action.get("isCanceled")],
        next_id=next(ids),
        positions=len(actions),
        custom_status=json.dumps(state.get("customStatus")),
        end=end,
    )


def _end(turn: Turn, state: State, actions: list[Action]) -> End | None:
    error = state.get("error")
    if not error and len(actions) < turn.positions:
        error = f"Non-deterministic orchestrator: {turn.positions} actions in earlier turns, {len(actions)} now."
    for action in actions[turn.positions :]:
        if not error and action["actionType"] not in ActionType:
            error = f"Actions of type {action['actionType']} (entities, durable HTTP) are not supported by this host."
    if error:
        return End(Status.FAILED, json.dumps(f"Orchestrator function '{turn.name}' failed: {error}"))
    if not state["isDone"]:
        return None
    if actions and actions[-1]["actionType"] == ActionType.CONTINUE_AS_NEW:
        return End(Status.CONTINUED_AS_NEW, json.dumps(actions[-1]["input"]))
    return End(Status.COMPLETED, json.dumps(state.get("output")))


def _single(actions: list[Action]) -> Iterator[Action]:
    """The actions without their grouping into compound ones."""
    for action in actions:
        if action["actionType"] in COMPOUND:
            yield from _single(action["compoundActions"])
        else:
            yield action


def _fire_at(action: Action) -> datetime | None:
    return datetime.fromisoformat(action["fireAt"]) if action["actionType"] == ActionType.CREATE_TIMER else None


def _trigger_input(text: str | None) -> str | None:
    """SDKs send their input as JSON text inside of a JSON string; other HTTP clients send it as it is."""
    value = None if text is None else json.loads(text)
    return value if isinstance(value, str) else text
