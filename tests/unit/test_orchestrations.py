"""What orchestrations do with activities that fail; tests/host has the engine that runs them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from shared.jobs import bulk_update, reindex


class Context:
    """What an orchestration is run with. Its activities answer what is given, or fail with it; what they got is noted."""

    def __init__(self, task: dict[str, Any], **answers: Any) -> None:
        self.task, self.answers = task, answers
        self.options: dict[str, Any] = {}
        self.inputs: list[tuple[str, Any]] = []

    def get_input(self) -> dict[str, Any]:
        return self.task

    def call_activity_with_retry(self, name: str, options: Any, given: Any) -> Any:
        self.options[name] = options.to_json()
        self.inputs.append((name, given))
        answer = self.answers[name]
        return answer(given) if callable(answer) else answer

    def run(self, builder: Any) -> None:
        steps = builder._function.get_user_function().orchestrator_function(self)
        with suppress(StopIteration):
            answer = next(steps)
            while True:
                answer = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)


UPDATE = {"operation": "1", "partition": "p", "studies": ["1.2", "1.3"], "changes": {}, "trace": {}}
DONE = {"begin_update": True, "update_study": 1, "record_study": None, "end_update": None}


@pytest.mark.parametrize(
    ("builder", "context"),
    [
        (bulk_update.bulk_update, Context(UPDATE, **DONE)),
        (reindex.reindex, Context(UPDATE, begin_reindex=1, reindex_batch=(None, 1), end_reindex=None)),
    ],
    ids=["bulk_update", "reindex"],
)
def test_activities_are_tried_four_times_with_growing_intervals(builder: Any, context: Context) -> None:
    """UPD-85, OPS-23: after 1, 3 and 9 minutes (tests/host/test_durable_replay.py has what the host makes of that)."""
    context.run(builder)
    expected = {"firstRetryIntervalInMilliseconds": 60_000, "maxNumberOfAttempts": 4, "backoffCoefficient": 3}
    assert context.options == dict.fromkeys(context.answers, expected)


def test_study_that_cannot_be_updated_does_not_keep_the_others_from_it() -> None:
    """UPD-50, UPD-87: after all attempts it counts as failed."""

    def update(part: dict[str, Any]) -> Any:
        return RuntimeError("after all attempts") if part["study"] == "1.2" else 7

    context = Context(UPDATE, **DONE | {"update_study": update})
    context.run(bulk_update.bulk_update)
    outcomes = [(given["study"], given["updated"], given["done"]) for name, given in context.inputs if "record" in name]
    assert outcomes == [("1.2", None, 1), ("1.3", 7, 2)]
    assert context.inputs[-1][0] == "end_update"


def test_update_that_has_lost_its_lock_does_nothing() -> None:
    """UPD-17: its orchestration may have been started too late."""
    context = Context(UPDATE, **DONE | {"begin_update": False})
    context.run(bulk_update.bulk_update)
    assert list(context.options) == ["begin_update"]
