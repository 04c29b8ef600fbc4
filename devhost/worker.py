"""Runs a function app with Microsoft's own worker library, in this process.

The library indexes the app and invokes its functions just as in Azure, so a wrong binding or annotation fails here too. What
the host would send over gRPC are plain objects with the same attributes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event
from azure_functions_runtime.http_v2 import http_coordinator

logger = logging.getLogger("devhost")


class IndexingError(Exception):
    """The app cannot be indexed; the message is the worker's."""


class FunctionFailed(Exception):
    """A function raised an exception: its message, and where it came from."""

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
        return [str(binding["name"]) for binding in self.bindings if binding["type"] == "durableClient"]


class _Message(SimpleNamespace):
    """A protobuf message: what is not set has no value."""

    def __getattr__(self, name: str) -> Any:
        return None


class _TypedData(SimpleNamespace):
    def WhichOneof(self, _: str) -> str | None:
        return next(iter(self.__dict__), None)


class _ParameterBinding(_Message):
    def WhichOneof(self, _: str) -> str:
        return "data"


class _StatusResult(_Message):
    Failure, Success = 0, 1


class _BindingInfo(_Message):
    undefined, out, inout = 0, 1, 2


class _Protos:
    """Stand-ins for the classes of the host's gRPC contract."""

    StatusResult = _StatusResult
    BindingInfo = _BindingInfo
    TypedData = _TypedData

    def __getattr__(self, name: str) -> type[_Message]:
        return _Message


class Worker:
    """One app in one process: the library keeps its registries in module globals."""

    def __init__(self, app: Path, functions: list[Function], client_binding: str = "") -> None:
        self.app = app
        self.functions = functions
        self.client_binding = client_binding

    @classmethod
    async def load(cls, app: Path) -> Worker:
        """Indexes `function_app.py` of the folder `app`. Raises IndexingError."""
        sys.path.insert(0, str(app))
        os.chdir(app)
        # Requests are handed over in this process, so the library need not listen on a port of its own.
        handle_event.initialize_http_server = lambda host: f"http://{host}"
        init = _Message(function_app_directory=str(app), capabilities={})
        response = await runtime.worker_init_request(_request("worker_init_request", init))
        _check(response)
        metadata = await runtime.functions_metadata_request(_request("functions_metadata_request", _Message()))
        if not metadata.function_metadata_results:
            raise IndexingError(f"No functions found in {app / 'function_app.py'}.")
        functions = []
        for item in metadata.function_metadata_results:
            bindings = tuple(json.loads(text) for text in item.raw_bindings)
            trigger = next(binding for binding in bindings if str(binding["type"]).lower().endswith("trigger"))
            functions.append(Function(item.function_id, item.name, trigger, bindings))
            load = _Message(function_id=item.function_id)
            _check(await runtime.function_load_request(_request("function_load_request", load)))
        return cls(app, functions)

    async def invoke(self, function: Function, value: str) -> str:
        """Calls a function that is not triggered by HTTP with a JSON text; returns its result as JSON text."""
        data = _TypedData(json=value) if function.trigger["type"] == "timerTrigger" else _TypedData(string=value)
        response = await runtime.invocation_request(self._invocation(function, uuid.uuid4().hex, data))
        _raise_for(response)
        return _json_text(response.return_value)

    async def start_http(self, function: Function, request: Any, route: Mapping[str, str]) -> HttpInvocation:
        """Calls a function with a FastAPI request. The response is there as soon as the function returns it."""
        invocation = uuid.uuid4().hex
        http_coordinator.set_http_request(invocation, request)
        data = _TypedData(
            http=_Message(
                method=request.method, url=str(request.url), headers={}, params=dict(route), query={}, body=_TypedData()
            )
        )
        task = asyncio.create_task(runtime.invocation_request(self._invocation(function, invocation, data)))
        return HttpInvocation(invocation, task)

    def _invocation(self, function: Function, invocation: str, value: _TypedData) -> Any:
        inputs = [_ParameterBinding(name=function.trigger["name"], data=value)]
        client = _TypedData(string=self.client_binding)
        inputs += [_ParameterBinding(name=name, data=client) for name in function.durable_clients]
        return _request(
            "invocation_request",
            _Message(
                invocation_id=invocation,
                function_id=function.id,
                input_data=inputs,
                trigger_metadata={},
                trace_context=_Message(trace_parent="", trace_state="", attributes={}),
                retry_context=_Message(retry_count=0, max_retry_count=0, exception=None),
            ),
        )


@dataclass(slots=True)
class HttpInvocation:
    id: str
    task: asyncio.Task[Any]

    async def response(self) -> Any:
        """What the function returned. Raises FunctionFailed."""
        answer = await http_coordinator.await_http_response_async(self.id)
        http_coordinator._context_references.pop(self.id, None)
        result = await self.task
        if isinstance(answer, Exception):
            _raise_for(result)
        return answer


def _request(kind: str, message: _Message) -> Any:
    return _Message(request=_Message(**{kind: message}), properties={"host": "127.0.0.1", "protos": _Protos()})


def _check(response: Any) -> None:
    if response.result.status != _StatusResult.Success:
        exception = response.result.exception
        raise IndexingError(f"{exception.message}\n{exception.stack_trace}".strip())


def _raise_for(response: Any) -> None:
    if response.result.status != _StatusResult.Success:
        exception = response.result.exception
        raise FunctionFailed(exception.message, exception.stack_trace or "")


def _json_text(value: Any) -> str:
    if value is None:
        return "null"
    kind = value.WhichOneof("data")
    if kind == "json":
        return str(value.json)
    return json.dumps(value.string) if kind == "string" else "null"
