"""`python -m devhost`: a local Azure Functions host for one app."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvicorn

from devhost.azurite import Azurite
from devhost.durable import DurableEngine, FunctionError
from devhost.http import Front
from devhost.routing import Router
from devhost.timers import run_timers
from devhost.worker import FunctionFailed, IndexingError, Worker

SHUTDOWN_SECONDS = 5


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name, value in _local_settings(arguments.app).items():
        os.environ.setdefault(name, str(value))
    azurite = None
    if not os.environ.get("AzureWebJobsStorage") and not os.environ.get("AzureWebJobsStorage__accountName"):
        azurite = Azurite.start(arguments.azurite, arguments.data / "azurite")
        os.environ["AzureWebJobsStorage"] = azurite.connection_string
        print(f"Azurite   ports {azurite.ports}, data in {arguments.data / 'azurite'}", flush=True)
    try:
        asyncio.run(_serve(arguments))
    except IndexingError as error:
        print(f"The app cannot be indexed:\n{error}", file=sys.stderr)
        return 1
    finally:
        if azurite:
            azurite.stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devhost", description=__doc__)
    parser.add_argument("--app", type=lambda text: Path(text).resolve(), default=Path.cwd())
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), default=Path.cwd() / ".data")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--allow-remote", action="store_true", help="bind an address that is not loopback")
    parser.add_argument(
        "--azurite",
        type=lambda text: Path(text).resolve(),
        default=Path(__file__).parent.parent / "node_modules/azurite/dist/src/azurite.js",
    )
    arguments = parser.parse_args()
    if not arguments.allow_remote and not _is_loopback(arguments.host):
        parser.error(f"{arguments.host} can be reached from outside, and nobody is asked who he is; see --allow-remote")
    return arguments


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _local_settings(app: Path) -> dict[str, Any]:
    file = app / "local.settings.json"
    if not file.exists():
        return {}
    values: dict[str, Any] = json.loads(file.read_text()).get("Values", {})
    return values


def _route_prefix(app: Path) -> str:
    file = app / "host.json"
    host = json.loads(file.read_text()) if file.exists() else {}
    return str(host.get("extensions", {}).get("http", {}).get("routePrefix", "api"))


async def _serve(arguments: argparse.Namespace) -> None:
    arguments.data.mkdir(parents=True, exist_ok=True)
    worker = await Worker.load(arguments.app)
    _quieten()
    by_name = {function.name: function for function in worker.functions}

    async def invoke(name: str, value: str) -> str:
        try:
            return await worker.invoke(by_name[name], value)
        except KeyError:
            raise FunctionError(f"The function '{name}' doesn't exist.") from None
        except FunctionFailed as error:
            raise FunctionError(str(error)) from None

    engine = DurableEngine(arguments.data / "durable.sqlite", invoke, invoke)
    base_url = f"http://{arguments.host}:{arguments.port}"
    worker.client_binding = engine.client_binding(base_url)
    front = Front(worker, Router(worker.functions, _route_prefix(arguments.app)), engine.app)
    server = uvicorn.Server(
        uvicorn.Config(
            front,
            host=arguments.host,
            port=arguments.port,
            http="httptools",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    with _stopping(server):
        await engine.start()
        timers = asyncio.create_task(run_timers(worker, worker.functions))
        serving = asyncio.create_task(server._serve())
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        if server.started:
            print(f"Functions {len(worker.functions)} from {arguments.app}", flush=True)
            print(f"Listening {base_url}", flush=True)
        await serving
        timers.cancel()
        await asyncio.gather(timers, return_exceptions=True)
        await engine.stop()


def _quieten() -> None:
    """The worker library logs every invocation."""
    for name in ("azure", "azurefunctions"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def _stopping(server: uvicorn.Server) -> Any:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


if __name__ == "__main__":
    sys.exit(main())
