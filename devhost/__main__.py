"""A local Azure Functions host for one app: `python -m devhost --app DIR --port 7071 --data DIR`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import uvicorn

from devhost.azurite import DEFAULT_PORTS, Azurite, AzuriteError, lock_folder
from devhost.durable import DurableEngine, FunctionError, client_binding
from devhost.http import Front
from devhost.routing import Router
from devhost.timers import Timer
from devhost.worker import Function, FunctionFailed, IndexingError, Worker
from devhost.workers import Workers, when_host_is_gone

STORAGE = "AzureWebJobsStorage"
AUTHENTICATION = "DICOM_AUTHENTICATION"  # a setting of the app that this host was made for; others do not have it
SHUTDOWN_SECONDS = 5  # for requests that are running
KEEP_ALIVE_SECONDS = 75

logger = logging.getLogger("devhost")


class StartError(Exception):
    """The host cannot start, for a reason that the message tells."""


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=arguments.log_level, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it the same way, also while it starts
    azurite = None
    try:
        lock = lock_folder(arguments.data)
        listener = _listener(arguments)
        _read_settings(arguments.app)
        if not _is_loopback(arguments.host) and os.environ.get(AUTHENTICATION) == "off":
            raise StartError(f"{arguments.host} can be reached by others, but {AUTHENTICATION} is off.")
        if not arguments.no_azurite and not any(name.startswith(STORAGE) for name in os.environ):
            azurite = Azurite.start(arguments.data / "azurite", lock)
            os.environ[STORAGE] = azurite.connection_string
            note = "" if azurite.ports == DEFAULT_PORTS else ", as the default ones are taken"
            print(f"Azurite    ports {', '.join(map(str, azurite.ports))} (blob, queue, table){note}", flush=True)
        asyncio.run(_serve(arguments, listener))
    except IndexingError as error:
        print(f"The worker cannot index the app:\n{error}", file=sys.stderr)
        return 1
    except (StartError, AzuriteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        if azurite:
            azurite.stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devhost", description=__doc__)
    parser.add_argument("--app", type=Path, default=Path(), help="folder of function_app.py (default: this one)")
    parser.add_argument("--data", type=Path, default=Path(".data"), help="folder of all that is kept (default: .data)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=7071, help="0: any free one")
    parser.add_argument("--allow-remote", action="store_true", help="listen at an address that others can reach")
    parser.add_argument("--no-azurite", action="store_true", help=f"start no Azurite, even without {STORAGE}")
    parser.add_argument(
        "--task-hub",
        metavar="URL",
        help="another host of the app, whose orchestrations and activities this one leaves to it",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that answer requests")
    parser.add_argument(
        "--listener", metavar="FD", type=int, help=argparse.SUPPRESS
    )  # of the host whose worker this is
    parser.add_argument("--log-level", default="WARNING", choices=("WARNING", "INFO", "DEBUG"), help="what is logged")
    arguments = parser.parse_args()
    if not arguments.allow_remote and not _is_loopback(arguments.host):
        parser.error(f"{arguments.host} can be reached by others, whom nobody asks for a key; see --allow-remote")
    arguments.app, arguments.data = arguments.app.resolve(), arguments.data.resolve()
    return arguments


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(arguments: argparse.Namespace) -> socket.socket:
    """The socket at which to listen. Raises StartError."""
    if arguments.listener is not None:
        return socket.socket(fileno=arguments.listener)
    return _bound(arguments.host, arguments.port)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not listen yet. Raises StartError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise StartError(f"Port {port} of {host} cannot be used: {error.strerror}.") from None
    return listener


def _url(listener: socket.socket) -> str:
    """Where this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _read_settings(app: Path) -> None:
    """The environment has precedence over the Values of local.settings.json."""
    for name, value in _json(app / "local.settings.json").get("Values", {}).items():
        if (name, value) != (STORAGE, "UseDevelopmentStorage=true"):  # means the Azurite that this host brings
            os.environ.setdefault(name, str(value))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8-sig")) if file.exists() else {}
    except ValueError as error:
        raise StartError(f"{file} is no JSON file: {error}") from None


async def _serve(arguments: argparse.Namespace, listener: socket.socket) -> None:
    """Runs the app until SIGINT or SIGTERM."""
    app, data, task_hub = arguments.app, arguments.data, arguments.task_hub
    worker = await Worker.load(app)
    logging.getLogger("azure").setLevel(logging.WARNING)  # the worker library tells of every invocation
    prefix = _json(app / "host.json").get("extensions", {}).get("http", {}).get("routePrefix", "api")
    router, timers = Router(worker.functions, prefix), [] if task_hub else Timer.of(worker.functions)
    call = _caller(worker)
    engine = None if task_hub else DurableEngine(data / "durable.sqlite", call, call)
    sockets = [listener] if arguments.workers == 1 else [listener, _bound("127.0.0.1", 0)]
    own = _url(sockets[-1])  # what comes here comes to this process
    worker.client_binding = client_binding(task_hub or own)
    config = uvicorn.Config(
        Front(worker, router, engine.app if engine else None),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    # The server handles the signals while it runs, then hands them on: to nobody, as they have been obeyed.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    if engine:
        await engine.start()
    if arguments.listener is not None:
        when_host_is_gone(lambda: setattr(server, "should_exit", True))
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    kinds = Counter(str(function.trigger["type"]).removesuffix("Trigger") for function in worker.functions)
    print(f"Functions  {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}, from {app}")
    print(f"Data       {data}")
    print(f"Listening  {_url(listener)}", flush=True)
    running = [asyncio.create_task(timer.run(worker)) for timer in timers]
    workers = Workers(arguments.workers - 1, listener, own, app, data, arguments.log_level)
    await serving
    workers.stop()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    if engine:
        await engine.stop()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # no app can close its sessions, a worker just ends


def _caller(worker: Worker) -> Any:
    """Calls orchestrators and activities by name, for the durable engine."""
    by_name: dict[str, Function] = {function.name.upper(): function for function in worker.functions}

    async def call(name: str, value: str) -> str:
        function = by_name.get(name.upper())
        if function is None:
            raise FunctionError(f"The function '{name}' doesn't exist.")
        try:
            return await worker.invoke(function, value)
        except FunctionFailed as error:
            if function.trigger["type"] == "activityTrigger":
                logger.error("Function %s failed: %s\n%s", name, error, error.trace)
            else:  # the state of the orchestration follows the message
                logger.error("Function %s failed: %s", name, str(error).split("\n\n$OutOfProcData$")[0])
            raise FunctionError(str(error)) from None

    return call


if __name__ == "__main__":
    sys.exit(main())
