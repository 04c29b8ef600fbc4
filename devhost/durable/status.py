"""How the extension shows an instance: the status payload and its history events."""

import json
from typing import Any

from devhost.durable.model import Event, EventType
from devhost.durable.rows import Instance

SCHEDULING = {
    EventType.TASK_COMPLETED: EventType.TASK_SCHEDULED,
    EventType.TASK_FAILED: EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED: EventType.SUB_ORCHESTRATION_INSTANCE_CREATED,
    EventType.SUB_ORCHESTRATION_INSTANCE_FAILED: EventType.SUB_ORCHESTRATION_INSTANCE_CREATED,
}
INTERNAL_FIELDS = ("EventId", "IsPlayed", "TaskScheduledId", "TimerId", "Version", "Tags")


def status_payload(
    instance: Instance, show_input: bool, history: list[Event] | None = None, show_output: bool = False
) -> dict[str, Any]:
    """Body of a status answer. `history` is added if given, with results if `show_output`."""
    payload = {
        "name": instance.name,
        "instanceId": instance.instance_id,
        "runtimeStatus": instance.status,
        "input": _value(instance.input) if show_input else None,
        "customStatus": _value(instance.custom_status),
        "output": _value(instance.output),
        "createdTime": _whole_seconds(instance.created),
        "lastUpdatedTime": _whole_seconds(instance.updated),
    }
    if history is not None:
        payload["historyEvents"] = _history_events(history, show_input, show_output)
    return payload


def _history_events(history: list[Event], show_input: bool, show_output: bool) -> list[Event]:
    """The history for readers: a task that has ended is one event, with its name and when it was scheduled."""
    sources = {(event["EventType"], event["EventId"]): event for event in history}
    shown: list[Event] = []
    for event in history:
        fields = {name: value for name, value in event.items() if name not in INTERNAL_FIELDS}
        event_type = EventType(event["EventType"])
        fields["EventType"] = "".join(word.capitalize() for word in event_type.name.split("_"))
        if event_type in SCHEDULING:
            source = sources[SCHEDULING[event_type], event["TaskScheduledId"]]
            fields |= {"ScheduledTime": source["Timestamp"], "FunctionName": source["Name"], "Input": source["Input"]}
        elif event_type is EventType.EXECUTION_STARTED:
            fields["FunctionName"] = fields.pop("Name")
        if "Result" in fields:
            fields["Result"] = _value(fields["Result"])
        hidden = {"Input": not show_input, "Result": not show_output}
        shown.append({name: value for name, value in fields.items() if not hidden.get(name)})
    ended = {(SCHEDULING[e["EventType"]], e["TaskScheduledId"]) for e in history if e["EventType"] in SCHEDULING}
    return [
        fields
        for event, fields in zip(history, shown, strict=True)
        if event["EventType"] != EventType.ORCHESTRATOR_STARTED and (event["EventType"], event["EventId"]) not in ended
    ]


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _whole_seconds(time: str) -> str:
    return time[: len("2000-01-01T00:00:00")] + "Z"
