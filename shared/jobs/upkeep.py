"""The timer that lets upkeep run: every minute, and when a host starts."""

import azure.durable_functions as df
import azure.functions as func

from shared.services import upkeep as service
from shared.services.service import settings, storage

blueprint = df.Blueprint()


@blueprint.function_name("upkeep")
@blueprint.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=True)
async def upkeep(timer: func.TimerRequest) -> None:
    await service.upkeep(await storage(), settings)
