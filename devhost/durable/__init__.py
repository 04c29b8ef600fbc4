"""A Durable Functions extension on SQLite, for a local Azure Functions host.

It speaks the JSON protocol of azure-functions-durable 1.x (replay schema V3): the orchestrator function gets its
history as text and answers with all actions since its beginning. `DurableEngine` is the door; it knows neither the
functions nor the host around it.
"""

from devhost.durable.api import client_binding
from devhost.durable.engine import DurableEngine, FunctionError

__all__ = ["DurableEngine", "FunctionError", "client_binding"]
