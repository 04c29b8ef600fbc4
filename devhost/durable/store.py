"""Durable state in one SQLite file: what happens to it, one transaction each.

The methods must all be called in one thread. With a write-ahead log and synchronous=NORMAL a killed process loses
nothing that was committed.

A task's row is the right to record its result: whoever deletes it inserts the event, in the same transaction, so each
result is recorded once. Rows belong to an *execution*; when that ends (finished, terminated, purged, continued as new)
they go, and results that come later find nothing to delete.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from devhost.durable.model import Event, EventType, Status, Task, TaskKind, event, scheduled_event, timestamp, utc_now
from devhost.durable.replay import Arrival, Decision, End, Turn, in_order
from devhost.durable.rows import Filter, Instance, InstanceExists, Rows, TaskKey


@dataclass(slots=True)
class Effects:
    """What there is to do after a transaction."""

    activities: list[TaskKey] = field(default_factory=list)
    awake: list[str] = field(default_factory=list)  # instances that have got an event
    timers_changed: bool = False
    finished: bool = False


class Store:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Effects:
        """Open or create the file; returns all that a stopped or killed process has left to do."""
        self._rows = Rows(self._path)
        query = "SELECT execution_id, event_id FROM tasks WHERE kind = 'activity' ORDER BY sequence"
        activities = [TaskKey(*row) for row in self._rows.database.execute(query)]
        awake = [row[0] for row in self._rows.database.execute("SELECT DISTINCT instance_id FROM inbox")]
        return Effects(activities, awake, timers_changed=True)

    def close(self) -> None:
        self._rows.database.close()

    # Instances

    def get(self, instance_id: str) -> Instance | None:
        return self._rows.get(instance_id)

    def select(self, filter: Filter) -> list[Instance]:
        """Instances in the order of their creation."""
        return self._rows.select(filter)

    def history(self, execution_id: str) -> list[Event]:
        return self._rows.history(execution_id)

    def create(self, instance_id: str, name: str, version: str, input: str | None) -> Effects:
        """A new instance, which replaces a finished one of the same id. Raises `InstanceExists`."""
        with self._rows.transaction():
            self._rows.create(instance_id, name, version, input)
        return Effects(awake=[instance_id])

    def raise_event(self, instance_id: str, name: str, input: str) -> Effects:
        """Put an external event in the inbox. It is for whichever execution comes to read it."""
        with self._rows.transaction():
            if self._rows.unfinished(instance_id) is None:
                return Effects()
            self._rows.deliver(instance_id, None, event(EventType.EVENT_RAISED, utc_now(), Name=name, Input=input))
        return Effects(awake=[instance_id])

    def terminate(self, instance_id: str, reason: str) -> Effects:
        with self._rows.transaction():
            instance = self._rows.unfinished(instance_id)
            if instance is None:
                return Effects()
            return self._finish(instance, End(Status.TERMINATED, json.dumps(reason)), utc_now())

    def suspend(self, instance_id: str) -> Effects:
        """Let the instance take no turns; its events wait."""
        with self._rows.transaction():
            if self._rows.unfinished(instance_id) is not None:
                self._set_status(instance_id, Status.SUSPENDED)
        return Effects()

    def resume(self, instance_id: str) -> Effects:
        with self._rows.transaction():
            instance = self._rows.unfinished(instance_id)
            if instance is not None and instance.status is Status.SUSPENDED:
                self._set_status(instance_id, Status.RUNNING)
        return Effects(awake=[instance_id])

    def purge(self, instance_id: str) -> bool:
        """Forget an instance, finished or not. False when there is none."""
        with self._rows.transaction():
            return self._rows.delete(instance_id)

    def purge_finished(self, filter: Filter) -> int:
        """Forget the finished instances among those of the filter; returns how many."""
        with self._rows.transaction():
            finished = [instance for instance in self._rows.select(filter) if instance.status.is_finished]
            for instance in finished:
                self._rows.delete(instance.instance_id)
        return len(finished)

    # Tasks

    def task(self, key: TaskKey) -> Task | None:
        """A task that has not been answered, or None."""
        query = "SELECT task FROM tasks WHERE execution_id = ? AND event_id = ?"
        row = self._rows.database.execute(query, key).fetchone()
        return None if row is None else Task.from_json(row[0])

    def answer(self, key: TaskKey, event_type: EventType, **result: str | None) -> Effects:
        """Record the result of a task. Nothing happens when it has one, or when its execution has ended."""
        with self._rows.transaction():
            instance_id = self._rows.answer(key, event_type, **result)
        return _awake(instance_id)

    def fire_timers(self, now: datetime) -> tuple[Effects, datetime | None]:
        """Answer the timers that are due; returns also when the next one will be."""
        query = (
            "SELECT execution_id, event_id, fire_at FROM tasks WHERE kind = 'timer' AND fire_at <= ? ORDER BY fire_at"
        )
        with self._rows.transaction():
            due = self._rows.database.execute(query, (timestamp(now),)).fetchall()
            awake = [self._rows.answer(TaskKey(*key), EventType.TIMER_FIRED, FireAt=fire_at) for *key, fire_at in due]
            next_due = self._rows.database.execute("SELECT min(fire_at) FROM tasks WHERE kind = 'timer'").fetchone()[0]
        return _awake(*awake), None if next_due is None else datetime.fromisoformat(next_due)

    # Turns

    def begin_turn(self, instance_id: str) -> Turn | None:
        """The next turn of an instance, or None when it has nothing to do. Changes nothing."""
        with self._rows.transaction():
            instance = self._rows.unfinished(instance_id)
            if instance is None or instance.status is Status.SUSPENDED:
                return None
            query = "SELECT sequence, event, task FROM inbox WHERE instance_id = ? ORDER BY sequence"
            arrivals = [
                Arrival(sequence, json.loads(text), task and Task.from_json(task))
                for sequence, text, task in self._rows.database.execute(query, (instance_id,))
            ]
            if not arrivals:
                return None
            return Turn(
                instance_id=instance_id,
                execution_id=instance.execution_id,
                parent_instance_id=instance.parent_instance_id,
                name=instance.name,
                input=instance.input,
                history=self._rows.history(instance.execution_id),
                arrivals=in_order(arrivals),
                next_id=instance.next_id,
                positions=instance.positions,
                now=utc_now(),
            )

    def commit_turn(self, turn: Turn, decision: Decision) -> Effects:
        """Make the turn's events history and schedule its tasks. Dropped if the execution has ended since."""
        with self._rows.transaction():
            instance = self._rows.unfinished(turn.instance_id)
            if instance is None or instance.execution_id != turn.execution_id:
                return Effects()
            read = [(arrival.sequence,) for arrival in turn.arrivals]
            self._rows.database.executemany("DELETE FROM inbox WHERE sequence = ?", read)
            self._rows.append_history(turn.execution_id, turn.new_events)
            self._rows.database.execute(
                "UPDATE instances SET custom_status = ?, next_id = ?, positions = ? WHERE instance_id = ?",
                (decision.custom_status, decision.next_id, decision.positions, turn.instance_id),
            )
            suspended = instance.status is Status.SUSPENDED  # since the turn began
            self._set_status(turn.instance_id, Status.SUSPENDED if suspended else Status.RUNNING)
            if decision.end is None:
                return self._schedule(instance, decision, turn.now)
            if decision.end.status is Status.CONTINUED_AS_NEW:
                self._rows.delete_execution(instance)
                self._rows.start_execution(turn.instance_id, instance.name, instance.version, decision.end.result)
                return _awake(turn.instance_id)
            return self._finish(instance, decision.end, turn.now)

    def _schedule(self, instance: Instance, decision: Decision, now: datetime) -> Effects:
        execution_id, effects = instance.execution_id, Effects()
        events = [scheduled_event(task, execution_id, now) for task in decision.scheduled]
        self._rows.append_history(execution_id, events)
        for task in decision.scheduled:
            key = TaskKey(execution_id, task.event_id)
            fire_at = None if task.fire_at is None else timestamp(task.fire_at)
            self._rows.database.execute(
                "INSERT INTO tasks (execution_id, event_id, instance_id, kind, position, fire_at, task) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, instance.instance_id, task.kind, task.position, fire_at, task.to_json()),
            )
            if task.kind is TaskKind.ACTIVITY:
                effects.activities.append(key)
            elif task.kind is TaskKind.TIMER:
                effects.timers_changed = True
            else:
                effects.awake.append(self._create_child(instance, key, task))
        cancelled = [(execution_id, position) for position in decision.cancelled]
        self._rows.database.executemany("DELETE FROM tasks WHERE execution_id = ? AND position = ?", cancelled)
        return effects

    def _create_child(self, parent: Instance, key: TaskKey, task: Task) -> str:
        """Start a sub-orchestration; if that cannot be done, its task fails. Returns the instance that got an event."""
        child, name = task.child_id(parent.execution_id), task.action["functionName"]
        version, text = task.action.get("version") or "", json.dumps(task.action.get("input"))
        try:
            self._rows.create(child, name, version, text, parent.instance_id, key)
        except InstanceExists as error:
            self._rows.answer(key, EventType.SUB_ORCHESTRATION_INSTANCE_FAILED, Reason=str(error), Details="")
            return parent.instance_id
        return child

    def _finish(self, instance: Instance, end: End, now: datetime) -> Effects:
        """End the execution for good and answer the parent's task."""
        completed = event(EventType.EXECUTION_COMPLETED, now, OrchestrationStatus=end.status, Result=end.result)
        self._rows.append_history(instance.execution_id, [completed])
        self._set_status(instance.instance_id, end.status)
        statement = "UPDATE instances SET output = ? WHERE instance_id = ?"
        self._rows.database.execute(statement, (end.result, instance.instance_id))
        self._rows.database.execute("DELETE FROM tasks WHERE execution_id = ?", (instance.execution_id,))
        self._rows.database.execute("DELETE FROM inbox WHERE instance_id = ?", (instance.instance_id,))
        effects = Effects(finished=True)
        if instance.parent is not None:
            event_type, result = EventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED, {"Result": end.result}
            if end.status is not Status.COMPLETED:
                event_type = EventType.SUB_ORCHESTRATION_INSTANCE_FAILED
                result = {"Reason": json.loads(end.result), "Details": ""}
            effects.awake = _awake(self._rows.answer(instance.parent, event_type, **result)).awake
        return effects

    def _set_status(self, instance_id: str, status: Status) -> None:
        statement = "UPDATE instances SET status = ?, updated = ? WHERE instance_id = ?"
        self._rows.database.execute(statement, (status, timestamp(utc_now()), instance_id))


def _awake(*instance_ids: str | None) -> Effects:
    return Effects(awake=[instance_id for instance_id in instance_ids if instance_id is not None])
