"""Functions run by Microsoft's worker library: what it refuses, and orchestrations through the durable client."""

import json
from typing import Any

import pytest

from tests.host.conftest import SampleHost, Start

APP = """
import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import JSONResponse, Request

app = df.DFApp()

@app.route("orchestrators/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: Request, client) -> JSONResponse:
    instance = await client.start_new(req.path_params["name"], None, await req.json())
    return JSONResponse(client.create_http_management_payload(instance))

@app.orchestration_trigger(context_name="context")
def double_twice(context):
    once = yield context.call_activity("double", context.get_input()["n"])
    twice = yield context.call_activity("DOUBLE_BLOCKING", once)
    nothing = yield context.call_activity("nothing", None)
    return [once, twice, nothing, context.get_input()]

@app.orchestration_trigger(context_name="context")
def fails(context):
    yield context.call_activity("fail", "Müller")

@app.orchestration_trigger(context_name="context")
def unknown(context):
    yield context.call_activity("not_there", None)

@app.activity_trigger(input_name="n")
async def double(n: int) -> int:
    return n * 2

@app.activity_trigger(input_name="n")
def double_blocking(n: int) -> str:
    return str(n * 2)

@app.activity_trigger(input_name="n")
async def nothing(n) -> None:
    return None

@app.activity_trigger(input_name="name")
async def fail(name: str):
    raise ValueError(f"no luck, {name}")
"""

HTTP_APP = """
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

app = func.FunctionApp()

@app.route({route!r})
async def good(req: Request) -> Response:
    return Response()
"""
CLASSIC_FUNCTION = """
@app.route("b")
async def classic(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse()
"""
TIMER = """
@app.timer_trigger(arg_name="timer", schedule="* * * * *")
async def often(timer: func.TimerRequest) -> None:
    pass
"""


@pytest.fixture(scope="module")
def host(start: Start) -> SampleHost:
    return start(APP).wait_until_up()


def run(host: SampleHost, name: str, input: Any) -> dict[str, Any]:
    """Starts an orchestration, and returns its status when it has ended."""
    urls = host.call("POST", f"/api/orchestrators/{name}", data=json.dumps(input)).json()
    assert urls["statusQueryGetUri"].startswith(f"{host.url}/runtime/webhooks/durabletask/instances/{urls['id']}")
    path = urls["statusQueryGetUri"].removeprefix(host.url)
    response = host.eventually(lambda: r if (r := host.call("GET", path)).status_code == 200 else None)
    status: dict[str, Any] = response.json()
    return status


def test_orchestration_with_activities_that_wait_or_block(host: SampleHost) -> None:
    status = run(host, "double_twice", {"n": 3})
    assert (status["runtimeStatus"], status["output"]) == ("Completed", [6, "12", None, {"n": 3}])
    assert json.loads(status["input"]) == {"n": 3}


def test_activity_that_raises_fails_its_orchestration_and_is_logged(host: SampleHost) -> None:
    status = run(host, "fails", None)
    assert status["runtimeStatus"] == "Failed"
    assert "Activity function 'fail' failed: ValueError: no luck, Müller" in status["output"]
    assert "Function fail failed: ValueError: no luck, Müller\nTraceback" in host.errors


def test_unknown_activity_fails_its_orchestration(host: SampleHost) -> None:
    status = run(host, "unknown", None)
    assert status["runtimeStatus"] == "Failed"
    assert "'not_there' doesn't exist" in status["output"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HTTP_APP.format(route="a") + CLASSIC_FUNCTION, "FunctionLoadError: cannot load the classic function"),
        (HTTP_APP.format(route="a") + "def broken(:\n", "SyntaxError"),
        ("import not_there_at_all\n", "Cannot find module"),
        ("x = 1\n", "Could not find top level function app instances in function_app.py"),
        (HTTP_APP.format(route="a/{b:even}"), "The constraint 'even' is not known to this host"),
        (HTTP_APP.format(route="a") + TIMER, "'* * * * *' does not have six fields"),
    ],
    ids=["classic function", "syntax error", "missing module", "no app", "unknown constraint", "wrong schedule"],
)
def test_app_that_cannot_be_loaded_stops_the_host(start: Start, source: str, said: str) -> None:
    host = start(source)
    assert host.process.wait(30) == 1
    assert said in host.errors
    assert "Listening" not in host.output
