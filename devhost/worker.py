"""Runs a function app with Microsoft's own worker library, in this process.

The library indexes the app and invokes its functions just as in Azure, so a wrong binding or annotation fails here too. What
the host would send over gRPC are plain objects with the same attributes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event
from azure_functions_runtime.http_v2 import http_coordinator
from fastapi.encoders import jsonable_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class IndexingError(Exception):
    """The app cannot be indexed; the message is the worker's."""


class FunctionFailed(Exception):
    """A function raised an exception: its type and message as text, and its traceback."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the app with its bindings as in function.json; `trigger` is the one that starts it."""

    id: str
    name: str
    trigger: Mapping[str, Any]
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def durable_clients(self) -> list[str]:
        """Names of the parameters that take a durable client."""
        return [str(binding["name"]) for binding in self.bindings if binding["type"] == "durableClient"]


class Worker:
    """One app in one process: the library keeps its registries in module globals.

    `client_binding` is the value of durable client bindings, to be set before the first call.
    """

    def __init__(self, functions: list[Function]) -> None:
        self.functions = functions
        self.client_binding = ""

    @classmethod
    async def load(cls, app: Path) -> Worker:
        """Indexes `function_app.py` of the folder `app`. Raises IndexingError."""
        sys.path.insert(0, str(app))
        os.chdir(app)
        # Requests are handed over in this process, so the library need not listen on a port of its own.
        handle_event.initialize_http_server = lambda host: f"http://{host}"
        folder = SimpleNamespace(function_app_directory=str(app), capabilities={})
        _check(await runtime.worker_init_request(_message("worker_init_request", folder)))
        metadata = await runtime.functions_metadata_request(_message("functions_metadata_request", SimpleNamespace()))
        if not metadata.function_metadata_results:
            raise IndexingError(f"There are no functions in {app / 'function_app.py'}.")
        functions = []
        for item in metadata.function_metadata_results:
            load = SimpleNamespace(function_id=item.function_id)
            _check(await runtime.function_load_request(_message("function_load_request", load)))
            bindings = tuple(json.loads(text) for text in item.raw_bindings)
            trigger = next(binding for binding in bindings if str(binding["type"]).endswith("Trigger"))
            functions.append(Function(item.function_id, item.name, trigger, bindings))
        return cls(functions)

    async def invoke(self, function: Function, value: str) -> str:
        """Calls a function that is not triggered by HTTP with a JSON text; returns its result as JSON text.

        Raises FunctionFailed.
        """
        data = _TypedData(json=value) if function.trigger["type"] == "timerTrigger" else _TypedData(string=value)
        returned = await self._invoke(function, uuid.uuid4().hex, data)
        return "null" if returned is None else str(returned.json)

    async def invoke_http(self, function: Function, request: Request, route: Mapping[str, str]) -> Response:
        """Calls a function with a request, whose body it may read while it runs, and the parameters of its route.

        Returns as soon as the function does: the body of a streamed response is not there yet. Raises FunctionFailed.
        """
        invocation = uuid.uuid4().hex
        http_coordinator.set_http_request(invocation, request)
        # The library takes nothing but the route from here, the request itself has the rest.
        http = SimpleNamespace(
            method=request.method, url=str(request.url), headers={}, query={}, params=route, body=_TypedData()
        )
        try:
            await self._invoke(function, invocation, _TypedData(http=http))
            answer = await http_coordinator.await_http_response_async(invocation)
        except ValueError as error:  # the coordinator takes None for no response
            raise FunctionFailed(f"{error}: the function returned None", "") from None
        finally:
            http_coordinator._context_references.pop(invocation, None)
        return answer if isinstance(answer, Response) else JSONResponse(jsonable_encoder(answer))

    async def _invoke(self, function: Function, invocation: str, value: _TypedData) -> Any:
        """What the function returned, if it is not triggered by HTTP."""
        inputs = [_ParameterBinding(name=function.trigger["name"], data=value)]
        client = _TypedData(string=self.client_binding)
        inputs += [_ParameterBinding(name=name, data=client) for name in function.durable_clients]
        request = SimpleNamespace(
            invocation_id=invocation,
            function_id=function.id,
            input_data=inputs,
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        try:
            response = await runtime.invocation_request(_message("invocation_request", request))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Raised by the function, nobody wants to cancel this task.
            raise FunctionFailed("CancelledError", "".join(traceback.format_exception(error))) from None
        if response.result.status != _StatusResult.Success:
            raise FunctionFailed(response.result.exception.message, response.result.exception.stack_trace)
        return response.return_value


# Stand-ins for the messages of the host's gRPC contract


class _TypedData(SimpleNamespace):
    def WhichOneof(self, _: str) -> str | None:
        return next(iter(self.__dict__), None)


class _ParameterBinding(SimpleNamespace):
    def WhichOneof(self, _: str) -> str:
        return "data"


class _StatusResult(SimpleNamespace):
    Failure, Success = 0, 1


class _BindingInfo(SimpleNamespace):
    undefined, out, inout = 0, 1, 2


class _Protos:
    StatusResult = _StatusResult
    BindingInfo = _BindingInfo
    TypedData = _TypedData

    def __getattr__(self, name: str) -> type[SimpleNamespace]:
        return SimpleNamespace


def _message(kind: str, content: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        request=SimpleNamespace(**{kind: content}), properties={"host": "127.0.0.1", "protos": _Protos()}
    )


def _check(response: Any) -> None:
    if response.result.status != _StatusResult.Success:
        exception = response.result.exception
        raise IndexingError(exception.stack_trace or exception.message)
