"""The rows of the SQLite file, and the statements that more than one transaction of the store is made of."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from devhost.durable.model import Event, EventType, Status, event, timestamp, utc_now

SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    instance_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, input TEXT,
    status TEXT NOT NULL, custom_status TEXT, output TEXT, created TEXT NOT NULL, updated TEXT NOT NULL,
    parent_instance_id TEXT, parent_execution_id TEXT, parent_event_id INTEGER,
    next_id INTEGER NOT NULL DEFAULT 0, positions INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS instances_by_creation ON instances (created);
CREATE TABLE IF NOT EXISTS history (sequence INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_by_execution ON history (execution_id, sequence);
CREATE TABLE IF NOT EXISTS tasks (
    sequence INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, event_id INTEGER NOT NULL, instance_id TEXT NOT NULL,
    kind TEXT NOT NULL, position INTEGER NOT NULL, fire_at TEXT, task TEXT NOT NULL, UNIQUE (execution_id, event_id));
CREATE INDEX IF NOT EXISTS timers ON tasks (fire_at) WHERE kind = 'timer';
CREATE TABLE IF NOT EXISTS inbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT, event TEXT NOT NULL,
    task TEXT);
CREATE INDEX IF NOT EXISTS inbox_by_instance ON inbox (instance_id, sequence);
"""


class TaskKey(NamedTuple):
    """The id of a task across all instances."""

    execution_id: str
    event_id: int


@dataclass(frozen=True, slots=True)
class Instance:
    """The row of an instance. `input`, `custom_status` and `output` are JSON texts, times are texts of `timestamp`."""

    instance_id: str
    execution_id: str
    name: str
    version: str
    input: str | None
    status: Status
    custom_status: str | None
    output: str | None
    created: str
    updated: str
    parent_instance_id: str | None
    parent_execution_id: str | None
    parent_event_id: int | None
    next_id: int  # EventId of the next task
    positions: int  # how many single actions the orchestrator function has asked for

    @property
    def parent(self) -> TaskKey | None:
        """The task of the parent that this sub-orchestration answers."""
        if self.parent_execution_id is None or self.parent_event_id is None:
            return None
        return TaskKey(self.parent_execution_id, self.parent_event_id)


COLUMNS = [field.name for field in fields(Instance)]
SELECT_INSTANCE = f"SELECT {', '.join(COLUMNS)} FROM instances"


class InstanceExists(Exception):
    """An instance of this id exists and has not finished."""

    def __init__(self, instance_id: str, status: Status) -> None:
        super().__init__(f"An orchestration instance with the id {instance_id} exists and is {status}.")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which instances to list or purge; None and empty mean any. Bounds of the creation time are inclusive."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""


class Rows:
    """An open database. Statements that write are called inside of `transaction`."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        self.database.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def get(self, instance_id: str) -> Instance | None:
        row = self.database.execute(f"{SELECT_INSTANCE} WHERE instance_id = ?", (instance_id,)).fetchone()
        return None if row is None else _instance(row)

    def unfinished(self, instance_id: str) -> Instance | None:
        instance = self.get(instance_id)
        return None if instance is None or instance.status.is_finished else instance

    def select(self, filter: Filter) -> list[Instance]:
        """Instances in the order of their creation."""
        conditions, values = ["substr(instance_id, 1, length(?)) = ?"], [filter.prefix, filter.prefix]
        if filter.created_from is not None:
            conditions.append("created >= ?")
            values.append(timestamp(filter.created_from))
        if filter.created_to is not None:
            conditions.append("created <= ?")
            values.append(timestamp(filter.created_to))
        if filter.statuses:
            conditions.append(f"status IN ({', '.join('?' * len(filter.statuses))})")
            values.extend(filter.statuses)
        query = f"{SELECT_INSTANCE} WHERE {' AND '.join(conditions)} ORDER BY created, rowid"
        return [_instance(row) for row in self.database.execute(query, values)]

    def history(self, execution_id: str) -> list[Event]:
        query = "SELECT event FROM history WHERE execution_id = ? ORDER BY sequence"
        return [json.loads(text) for (text,) in self.database.execute(query, (execution_id,))]

    def append_history(self, execution_id: str, events: list[Event]) -> None:
        statement = "INSERT INTO history (execution_id, event) VALUES (?, ?)"
        self.database.executemany(statement, [(execution_id, json.dumps(event)) for event in events])

    def deliver(self, instance_id: str, execution_id: str | None, event: Event, task: str | None = None) -> None:
        """Put an event in the inbox of an instance: for this execution, or for whichever comes to read it."""
        statement = "INSERT INTO inbox (instance_id, execution_id, event, task) VALUES (?, ?, ?, ?)"
        self.database.execute(statement, (instance_id, execution_id, json.dumps(event), task))

    def answer(self, key: TaskKey, event_type: EventType, **result: str | None) -> str | None:
        """Replace a task by its event; returns the instance that got it, None if there is no such task (any more)."""
        row = self.database.execute(
            "DELETE FROM tasks WHERE execution_id = ? AND event_id = ? RETURNING instance_id, task", key
        ).fetchone()
        if row is None:
            return None
        id_name = "TimerId" if event_type is EventType.TIMER_FIRED else "TaskScheduledId"
        answer = event(event_type, utc_now()) | {id_name: key.event_id} | result
        self.deliver(row[0], key.execution_id, answer, row[1])
        return str(row[0])

    def create(
        self,
        instance_id: str,
        name: str,
        version: str,
        input: str | None,
        parent_instance_id: str | None = None,
        parent: TaskKey | tuple[None, None] = (None, None),
    ) -> None:
        """A new instance, which replaces a finished one of the same id. Raises `InstanceExists`."""
        unfinished = self.unfinished(instance_id)
        if unfinished is not None:
            raise InstanceExists(instance_id, unfinished.status)
        self.delete(instance_id)
        now = timestamp(utc_now())
        self.database.execute(
            "INSERT INTO instances (instance_id, execution_id, name, version, status, created, updated, "
            "parent_instance_id, parent_execution_id, parent_event_id) VALUES (?, '', ?, ?, ?, ?, ?, ?, ?, ?)",
            (instance_id, name, version, Status.PENDING, now, now, parent_instance_id, *parent),
        )
        self.start_execution(instance_id, name, version, input)

    def start_execution(self, instance_id: str, name: str, version: str, input: str | None) -> None:
        execution_id = uuid4().hex
        self.database.execute(
            "UPDATE instances SET execution_id = ?, input = ?, next_id = 0, positions = 0 WHERE instance_id = ?",
            (execution_id, input, instance_id),
        )
        started = event(EventType.EXECUTION_STARTED, utc_now(), Name=name, Version=version, Input=input, Tags=None)
        self.deliver(instance_id, execution_id, started)

    def delete(self, instance_id: str) -> bool:
        """Remove every trace of an instance. False when there is none."""
        instance = self.get(instance_id)
        if instance is None:
            return False
        self.delete_execution(instance)
        for table in ("inbox", "instances"):
            self.database.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))
        return True

    def delete_execution(self, instance: Instance) -> None:
        """Remove an execution's history, its tasks and the events that are for it alone."""
        for table in ("history", "tasks", "inbox"):
            self.database.execute(f"DELETE FROM {table} WHERE execution_id = ?", (instance.execution_id,))


def _instance(row: Sequence[Any]) -> Instance:
    values = dict(zip(COLUMNS, row, strict=True))
    return Instance(**{**values, "status": Status(values["status"])})
