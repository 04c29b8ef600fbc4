"""The orchestration of a bulk update: its studies one after the other, each an activity that can be repeated (UPD-50).

Running orchestrations are replayed against this code: one that schedules other activities needs another name.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from shared.jobs.retry import RETRY
from shared.services import bulk_update as service
from shared.services.bulk_update import StudyUpdate
from shared.services.service import storage
from shared.telemetry import operation

blueprint = df.Blueprint()


@blueprint.function_name("bulk_update")
@blueprint.orchestration_trigger(context_name="context")
def bulk_update(context: df.DurableOrchestrationContext) -> Generator[Any, Any]:
    """Input: operation, partition, studies, changes, and the trace that all of its activities belong to."""
    task: dict[str, Any] = context.get_input()
    studies = task["studies"]
    whole = {"operation": task["operation"], "trace": task["trace"]}
    if not (yield context.call_activity_with_retry("begin_update", RETRY, whole)):
        return
    for index, study in enumerate(studies):
        part = {**task, "studies": None, "index": index, "study": study}
        try:
            updated = yield context.call_activity_with_retry("update_study", RETRY, part)
        except Exception:
            updated = None
        outcome = {**whole, "total": len(studies), "done": index + 1, "study": study, "updated": updated}
        yield context.call_activity_with_retry("record_study", RETRY, outcome)
    yield context.call_activity_with_retry("end_update", RETRY, whole)


@blueprint.function_name("begin_update")
@blueprint.activity_trigger(input_name="whole")
async def begin_update(whole: dict) -> bool:  # type: ignore[type-arg]
    with operation("begin_update", whole["trace"]):
        return await service.begin(await storage(), whole["operation"])


@blueprint.function_name("update_study")
@blueprint.activity_trigger(input_name="part")
async def update_study(part: dict) -> int | None:  # type: ignore[type-arg]
    update = StudyUpdate(part["operation"], part["index"], part["partition"], part["study"], part["changes"])
    with operation("update_study", part["trace"]):
        return await service.update_study(await storage(), update)


@blueprint.function_name("record_study")
@blueprint.activity_trigger(input_name="outcome")
async def record_study(outcome: dict) -> None:  # type: ignore[type-arg]
    with operation("record_study", outcome["trace"]):
        await service.record(
            await storage(),
            outcome["operation"],
            outcome["total"],
            outcome["done"],
            outcome["study"],
            outcome["updated"],
        )


@blueprint.function_name("end_update")
@blueprint.activity_trigger(input_name="whole")
async def end_update(whole: dict) -> None:  # type: ignore[type-arg]
    with operation("end_update", whole["trace"]):
        await service.end(await storage(), whole["operation"])
