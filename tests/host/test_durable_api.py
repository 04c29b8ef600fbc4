"""The HTTP API, through the SDK's own client and, for what the SDK cannot ask, through aiohttp."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
import uvicorn
from azure.durable_functions import DurableOrchestrationClient, EntityId, OrchestrationRuntimeStatus
from azure.durable_functions.models.utils import http_utils
from yarl import URL

from devhost.durable import client_binding
from tests.host.durable_programs import App, finished


@asynccontextmanager
async def served(asgi) -> AsyncIterator[str]:
    """Serve an application on a free port of this machine; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(asgi, lifespan="off", log_level="warning", ws="none"))
        started = asyncio.Event()
        startup = server.startup

        async def signalled_startup(sockets=None):
            await startup(sockets=sockets)
            started.set()

        server.startup = signalled_startup
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A running engine behind HTTP with a client of the SDK, and the functions of an app."""
    app = App()

    @app.activity
    async def double(n):
        return n * 2

    @app.orchestrator
    def doubling(context):
        context.set_custom_status({"stage": "doubling"})
        return (yield context.call_activity("double", context.get_input()["n"]))

    @app.orchestrator
    def listening(context):
        return (yield context.wait_for_external_event("go"))

    app.stuck = asyncio.Event()

    @app.activity
    async def hold(_):
        app.stuck.set()
        await asyncio.Event().wait()

    @app.orchestrator
    def stuck(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        yield context.task_all([context.call_activity("hold", 1), timer])

    @app.orchestrator
    def failing(context):
        raise ValueError("the reason")

    async with (
        app.running(tmp_path / "durable.db") as engine,
        served(engine.app) as url,
        aiohttp.ClientSession() as http,
    ):
        client = DurableOrchestrationClient(client_binding(url))
        yield SimpleNamespace(app=app, engine=engine, url=url, client=client, http=http)
        await http_utils._client_session.close()


async def test_started_orchestration_has_input_output_and_times(host):
    instance_id = await host.client.start_new("doubling", None, {"n": 21})
    await finished(host.engine, instance_id)
    status = await host.client.get_status(instance_id, show_input=True)
    assert (status.name, status.instance_id, status.output) == ("doubling", instance_id, 42)
    assert status.runtime_status is OrchestrationRuntimeStatus.Completed
    assert status.custom_status == {"stage": "doubling"}
    assert json.loads(status.input_) == {"n": 21}  # as in Azure: JSON text, for the SDK encodes it twice
    assert status.created_time <= status.last_updated_time
    assert datetime.now(UTC) - status.created_time < timedelta(minutes=1)


async def test_input_that_is_encoded_once_is_understood_too(host):
    async with host.http.post(
        f"{host.url}/runtime/webhooks/durabletask/orchestrators/doubling", json={"n": 4}
    ) as answer:
        assert answer.status == 202
        assert answer.headers["Retry-After"] == "10"
        urls = await answer.json()
        assert answer.headers["Location"] == urls["statusQueryGetUri"]
    await finished(host.engine, urls["id"])
    async with host.http.get(urls["statusQueryGetUri"]) as answer:
        status = await answer.json()
        assert answer.status == 200
        assert (status["input"], status["output"]) == ({"n": 4}, 8)


async def test_id_of_an_unfinished_instance_is_refused(host):
    await host.client.start_new("listening", "mine")
    with pytest.raises(Exception, match="mine exists"):
        await host.client.start_new("listening", "mine")
    async with host.http.post(f"{host.url}/durabletask/orchestrators/listening/mine") as answer:
        assert answer.status == 409
    await host.client.terminate("mine", "make room")
    assert await host.client.start_new("doubling", "mine", {"n": 1}) == "mine"


@pytest.mark.parametrize("segment", ["@entity", "a%2Fb", "a%23b", "a%0Ab", "x" * 101])
async def test_invalid_instance_ids_are_bad_requests(host, segment):
    url = URL(f"{host.url}/durabletask/orchestrators/listening/{segment}", encoded=True)
    async with host.http.post(url) as answer:
        assert answer.status == 400
        assert "ExceptionMessage" in await answer.json()  # where the SDK looks for it


async def test_input_that_is_not_json_is_a_bad_request(host):
    async with host.http.post(f"{host.url}/durabletask/orchestrators/listening", data=b"{") as answer:
        assert answer.status == 400


async def test_unfinished_instance_answers_202_with_a_location(host):
    instance_id = await host.client.start_new("listening", None)
    url = f"{host.url}/durabletask/instances/{instance_id}"
    async with host.http.get(url) as answer:
        assert answer.status == 202
        assert answer.headers["Retry-After"] == "5"
        assert answer.headers["Location"].startswith(url)
        assert (await answer.json())["runtimeStatus"] in ("Pending", "Running")


async def test_raised_event_arrives_as_the_sdk_sends_it(host):
    instance_id = await host.client.start_new("listening", None)
    await host.client.raise_event(instance_id, "go", {"n": 1})
    # Encoded twice by SDK 1.x: the orchestrator function gets text.
    assert json.loads((await finished(host.engine, instance_id)).output) == '{"n": 1}'
    with pytest.raises(Exception, match="is gone"):
        await host.client.raise_event(instance_id, "go")
    with pytest.raises(Exception, match="No instance"):
        await host.client.raise_event("absent", "go")


async def test_event_must_be_json(host):
    instance_id = await host.client.start_new("listening", None)
    url = f"{host.url}/durabletask/instances/{instance_id}/raiseEvent/go"
    for body, content_type in [(b"1", "text/plain"), (b"{", "application/json")]:
        async with host.http.post(url, data=body, headers={"Content-Type": content_type}) as answer:
            assert answer.status == 400


async def test_terminated_instance_keeps_the_reason(host):
    instance_id = await host.client.start_new("listening", None)
    await host.client.terminate(instance_id, "no longer needed & more")
    status = await host.client.get_status(instance_id)
    assert status.runtime_status is OrchestrationRuntimeStatus.Terminated
    assert status.output == "no longer needed & more"
    await host.client.terminate(instance_id, "again")  # 410, which the SDK takes for done
    with pytest.raises(Exception, match="No instance"):
        await host.client.terminate("absent", "")


async def test_suspend_and_resume(host):
    instance_id = await host.client.start_new("listening", None)
    await host.client.suspend(instance_id, "wait")
    await host.client.raise_event(instance_id, "go", 1)
    assert (await host.client.get_status(instance_id)).runtime_status is OrchestrationRuntimeStatus.Suspended
    await host.client.resume(instance_id, "go on")
    assert (await finished(host.engine, instance_id)).status == "Completed"


async def test_failed_instance_answers_200_or_500_as_asked(host):
    instance_id = await host.client.start_new("failing", None)
    await finished(host.engine, instance_id)
    url = f"{host.url}/durabletask/instances/{instance_id}"
    for query, status in [("", 200), ("?returnInternalServerErrorOnFailure=true", 500)]:
        async with host.http.get(url + query) as answer:
            assert answer.status == status
            assert (await answer.json())["output"] == "Orchestrator function 'failing' failed: the reason"


async def test_history_is_shown_with_or_without_results(host):
    instance_id = await host.client.start_new("doubling", None, {"n": 21})
    await finished(host.engine, instance_id)
    assert not hasattr(await host.client.get_status(instance_id), "historyEvents")
    url = f"{host.url}/durabletask/instances/{instance_id}?showHistory=true&showInput=false"
    async with host.http.get(url) as answer:
        brief = await answer.json()
    assert brief["input"] is None
    assert [event["EventType"] for event in brief["historyEvents"]] == [
        "ExecutionStarted",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert not any({"Input", "Result"} & event.keys() for event in brief["historyEvents"])
    full = await host.client.get_status(instance_id, show_history=True, show_history_output=True, show_input=True)
    started, task, completed = full.historyEvents
    assert started["FunctionName"] == "doubling"
    assert (task["FunctionName"], task["Input"], task["Result"]) == ("double", "21", 42)
    assert task["ScheduledTime"] <= task["Timestamp"]
    assert (completed["OrchestrationStatus"], completed["Result"]) == ("Completed", 42)


async def test_history_shows_what_has_been_scheduled_and_not_ended(host):
    instance_id = await host.client.start_new("stuck", None)
    await host.app.stuck.wait()
    history = (await host.client.get_status(instance_id, show_history=True, show_input=True)).historyEvents
    assert [event["EventType"] for event in history] == ["ExecutionStarted", "TaskScheduled", "TimerCreated"]
    assert (history[1]["Name"], history[1]["Input"]) == ("hold", "1")
    await host.client.terminate(instance_id, "enough")
    history = (await host.client.get_status(instance_id, show_history=True)).historyEvents
    assert history[-1]["OrchestrationStatus"] == "Terminated"


async def test_unknown_instance_and_route_are_not_found(host):
    assert not await host.client.get_status("absent")
    for method, path in [("GET", "x"), ("PUT", "instances"), ("POST", "instances/a/b"), ("GET", "orchestrators/f")]:
        async with host.http.request(method, f"{host.url}/durabletask/{path}") as answer:
            assert answer.status == 404


async def test_instances_are_found_by_prefix_status_and_time(host):
    before = datetime.now(UTC)
    for instance_id in ("a-1", "a-2", "A-3", "b_1"):
        await host.client.start_new("listening", instance_id)
    await host.client.terminate("a-1", "")
    client = host.client

    def ids(statuses):
        return [status.instance_id for status in statuses]

    assert ids(await client.get_status_all()) == ["a-1", "a-2", "A-3", "b_1"]
    assert ids(await client.get_status_by(instance_id_prefix="a-")) == ["a-1", "a-2"]
    assert ids(await client.get_status_by(runtime_status=[OrchestrationRuntimeStatus.Terminated])) == ["a-1"]
    assert ids(await client.get_status_by(created_time_to=before)) == []
    assert ids(await client.get_status_by(created_time_from=before, created_time_to=datetime.now(UTC)))[-1] == "b_1"


async def test_purge_by_id_and_by_filter(host):
    client = host.client
    for instance_id in ("one", "two", "three"):
        await client.start_new("listening", instance_id)
    for instance_id in ("one", "two"):
        await client.terminate(instance_id, "")
    assert (await client.purge_instance_history("one")).instances_deleted == 1
    assert (await client.purge_instance_history("one")).instances_deleted == 0
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert (await client.purge_instance_history_by(yesterday)).instances_deleted == 1
    assert (await client.purge_instance_history_by(yesterday)).instances_deleted == 0
    assert [status.instance_id for status in await client.get_status_all()] == ["three"]
    async with host.http.delete(f"{host.url}/durabletask/instances/") as answer:
        assert answer.status == 400


async def test_restart_takes_the_same_input_and_a_new_or_the_same_id(host):
    await host.client.start_new("doubling", "first", {"n": 3})
    await finished(host.engine, "first")
    other = await host.client.restart("first")
    assert other != "first"
    assert await host.client.restart("first", restart_with_new_instance_id=False) == "first"
    for instance_id in ("first", other):
        assert (await finished(host.engine, instance_id)).output == "6"
    with pytest.raises(Exception, match="No instance"):
        await host.client.restart("absent")


async def test_rewind_and_entities_are_not_implemented(host):
    await host.client.start_new("listening", "one")
    async with host.http.post(f"{host.url}/durabletask/instances/one/rewind?reason=x") as answer:
        assert answer.status == 501
    with pytest.raises(Exception, match="501"):
        await host.client.read_entity_state(EntityId("counter", "one"))


async def test_start_can_wait_for_the_end(host):
    url = f"{host.url}/runtime/webhooks/durabletask/orchestrators"
    async with host.http.post(f"{url}/doubling?timeout=60&pollingInterval=1", json={"n": 5}) as answer:
        assert (answer.status, (await answer.json())["output"]) == (200, 10)
    async with host.http.post(f"{url}/listening?timeout=0.01&pollingInterval=1") as answer:
        assert (answer.status, "statusQueryGetUri" in await answer.json()) == (202, True)


async def test_client_waits_for_completion(host):
    instance_id = await host.client.start_new("doubling", None, {"n": 21})
    await finished(host.engine, instance_id)
    request = SimpleNamespace(url=f"{host.url}/some/function")
    response = await host.client.wait_for_completion_or_create_check_status_response(request, instance_id)
    assert (response.status_code, response.get_body()) == (200, b"42")


async def test_management_urls_work(host):
    instance_id = await host.client.start_new("listening", "an id")
    urls = host.client.create_http_management_payload(instance_id)
    assert urls["id"] == "an id"
    send = urls["sendEventPostUri"].replace("{eventName}", "go")
    for method, url, status in [
        ("GET", urls["statusQueryGetUri"], 202),
        ("POST", urls["suspendPostUri"], 202),
        ("POST", urls["resumePostUri"], 202),
        ("POST", urls["rewindPostUri"], 501),
        ("POST", urls["terminatePostUri"], 202),
        ("POST", send, 410),
        ("POST", urls["restartPostUri"], 202),
        ("DELETE", urls["purgeHistoryDeleteUri"], 200),
    ]:
        async with host.http.request(method, url) as answer:
            assert (url, answer.status) == (url, status)
