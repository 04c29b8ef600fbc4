"""The orchestration of a re-index: a batch of studies at a time, each time with a history of its own (EQT-81).

Running orchestrations are replayed against this code: one that schedules other activities needs another name.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from shared.jobs.retry import RETRY
from shared.services import reindex as service
from shared.services.service import storage
from shared.telemetry import operation

blueprint = df.Blueprint()


@blueprint.function_name("reindex")
@blueprint.orchestration_trigger(context_name="context")
def reindex(context: df.DurableOrchestrationContext) -> Generator[Any, Any]:
    """Input: operation, and the trace that its activities belong to; from the second execution on also after, done, total."""
    task: dict[str, Any] = context.get_input()
    if "total" not in task:
        total = yield context.call_activity_with_retry("begin_reindex", RETRY, task)
        if total is None:
            return
        task = {**task, "after": None, "done": 0, "total": total}
    after, done = yield context.call_activity_with_retry("reindex_batch", RETRY, task)
    if after is None:
        yield context.call_activity_with_retry("end_reindex", RETRY, task)
        return
    context.continue_as_new({**task, "after": after, "done": done})


@blueprint.function_name("begin_reindex")
@blueprint.activity_trigger(input_name="task")
async def begin_reindex(task: dict) -> int | None:  # type: ignore[type-arg]
    with operation("begin_reindex", task["trace"]):
        return await service.begin(await storage(), task["operation"])


@blueprint.function_name("reindex_batch")
@blueprint.activity_trigger(input_name="task")
async def reindex_batch(task: dict) -> list:  # type: ignore[type-arg]
    after = tuple(task["after"]) if task["after"] else None
    with operation("reindex_batch", task["trace"]):
        following, done = await service.batch(await storage(), task["operation"], after, task["done"], task["total"])
    return [following and list(following), done]


@blueprint.function_name("end_reindex")
@blueprint.activity_trigger(input_name="task")
async def end_reindex(task: dict) -> None:  # type: ignore[type-arg]
    with operation("end_reindex", task["trace"]):
        await service.end(await storage(), task["operation"])
