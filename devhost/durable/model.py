"""The words of the protocol: history events, actions, tasks, statuses."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

type Event = dict[str, Any]
type Action = dict[str, Any]


class EventType(IntEnum):
    """Kinds of history events, as numbered by the Durable Task Framework."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_INSTANCE_CREATED = 7
    SUB_ORCHESTRATION_INSTANCE_COMPLETED = 8
    SUB_ORCHESTRATION_INSTANCE_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    EVENT_RAISED = 15


class ActionType(IntEnum):
    """Kinds of actions that are understood. Entities (7, 9, 10) and durable HTTP (8) are not."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    WHEN_ANY = 11
    WHEN_ALL = 12


class Status(StrEnum):
    """Runtime status of an instance."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"

    @property
    def is_finished(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.TERMINATED)


class TaskKind(StrEnum):
    """What the host has to do about a task."""

    ACTIVITY = "activity"
    ORCHESTRATION = "orchestration"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Task:
    """What is answered by exactly one event: an activity, a sub-orchestration, a timer, or the delay before a retry."""

    event_id: int
    action: Action
    position: int  # among all single actions since the beginning of the execution; a retry keeps that of its action
    attempt: int = 1
    fire_at: datetime | None = None  # of a timer or a delay

    @classmethod
    def from_json(cls, text: str) -> "Task":
        fields = json.loads(text)
        if fields["fire_at"] is not None:
            fields["fire_at"] = datetime.fromisoformat(fields["fire_at"])
        return cls(**fields)

    def to_json(self) -> str:
        fire_at = None if self.fire_at is None else timestamp(self.fire_at)
        return json.dumps({**asdict(self), "fire_at": fire_at})

    @property
    def kind(self) -> TaskKind:
        if self.fire_at is not None:
            return TaskKind.TIMER
        if self.action["actionType"] in (ActionType.CALL_ACTIVITY, ActionType.CALL_ACTIVITY_WITH_RETRY):
            return TaskKind.ACTIVITY
        return TaskKind.ORCHESTRATION

    @property
    def is_last_attempt(self) -> bool:
        return bool(self.attempt >= self.action["retryOptions"]["maxNumberOfAttempts"])

    def child_id(self, execution_id: str) -> str:
        """Instance id of the sub-orchestration: the one asked for, or one that no other task has."""
        return str(self.action.get("instanceId") or f"{execution_id}:{self.event_id}")

    def next_attempt(self, event_id: int, now: datetime) -> "Task":
        """The delay that follows a failed attempt, or the attempt that follows a delay."""
        if self.fire_at is not None:
            return replace(self, event_id=event_id, attempt=self.attempt + 1, fire_at=None)
        options = self.action["retryOptions"]
        delay = options["firstRetryIntervalInMilliseconds"] * options.get("backoffCoefficient", 1) ** (self.attempt - 1)
        return replace(
            self, event_id=event_id, fire_at=now + timedelta(milliseconds=0 if self.is_last_attempt else delay)
        )


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(time: datetime) -> str:
    """Text of a UTC time, of fixed length, so that the order of texts is that of times. The SDK needs the Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(event_type: EventType, now: datetime, event_id: int = -1, **fields: Any) -> Event:
    """A history event; -1 is the EventId of those that schedule nothing."""
    return {"EventType": event_type, "EventId": event_id, "IsPlayed": False, "Timestamp": timestamp(now), **fields}


def scheduled_event(task: Task, execution_id: str, now: datetime) -> Event:
    """The event that notes that a task was scheduled. Only people read it."""
    if task.fire_at is not None:
        return event(EventType.TIMER_CREATED, now, task.event_id, FireAt=timestamp(task.fire_at))
    name, text = task.action["functionName"], task.action.get("input")
    if task.kind is TaskKind.ACTIVITY:
        return event(EventType.TASK_SCHEDULED, now, task.event_id, Name=name, Input=text)
    created, child = EventType.SUB_ORCHESTRATION_INSTANCE_CREATED, task.child_id(execution_id)
    return event(created, now, task.event_id, Name=name, Input=text, InstanceId=child)
