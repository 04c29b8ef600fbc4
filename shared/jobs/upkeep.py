"""The timer that lets upkeep run: every minute, and when a host starts."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.services import fsck, operations
from shared.services import upkeep as service
from shared.services.service import settings, storage
from shared.telemetry import operation

blueprint = df.Blueprint()


@blueprint.function_name("upkeep")
@blueprint.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=True)
@blueprint.durable_client_input(client_name="client")
async def upkeep(timer: func.TimerRequest, client: Any) -> None:
    with operation("upkeep", {}):
        account = await storage()
        await service.upkeep(account, settings)
        await operations.tend(account, operations.orchestration_status(client), client.purge_instance_history)
        await fsck.check_sample(account)
