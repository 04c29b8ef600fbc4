"""What reaches Application Insights from a running host: traces through requests and activities, metrics, no patient data."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from devhost.azurite import Azurite
from tests import builders
from tests.support import privacy
from tests.support.dicomweb import ANY_FILE, Uids, finished, multipart, started, store
from tests.support.host import Host
from tests.support.ingestion import Ingestion, Record, running_ingestion


class Run:
    """One run of a host that reports to a stand-in: what was asked, and what arrived by the time that the host had ended."""

    def __init__(self) -> None:
        self.traces: dict[str, str] = {}
        self.request_id = ""
        self.file = b""
        self.log = ""
        self.ingestion: Ingestion

    def traceparent(self, name: str, flags: str = "00") -> str:
        self.traces[name] = secrets.token_hex(16)
        return f"00-{self.traces[name]}-00f067aa0ba902b7-{flags}"

    def spans(self, name: str) -> list[Record]:
        """The spans of an operation."""
        return [
            span for span in self.ingestion.of_type("RemoteDependencyData") if span["data"]["baseData"]["name"] == name
        ]

    def span(self, name: str) -> Record:
        """The span of an operation in the trace that was begun for it."""
        [found] = [span for span in self.spans(name) if span["tags"]["ai.operation.id"] == self.traces[name]]
        return found


@pytest.fixture(scope="module")
def run(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run()
    run.file = builders.instance(columns=1000, rows=300)
    uids = Uids.of(run.file)
    with running_ingestion() as ingestion:
        run.ingestion = ingestion
        settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string, "WEBSITE_SITE_NAME": "func-x"}
        host = Host(azurite.connection_string, tmp_path_factory.mktemp("telemetry"), **settings).start()
        body, content_type = multipart([run.file])
        stored = host.call("POST", "/v2/studies", body, Content_Type=content_type, traceparent=run.traceparent("store"))
        assert stored.status_code == 200
        run.request_id = stored.headers["x-ms-request-id"]
        assert store(host, run.file).status_code == 409
        path = f"/v2{uids.instance_path}"
        assert host.get(path, Accept=ANY_FILE, traceparent=run.traceparent("retrieve", "01")).content == run.file
        assert host.get("/v2/studies?PatientName=Doe%5EJane", traceparent="nonsense").status_code == 200
        assert host.get("/v3/studies").status_code == 400
        changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Sullivan^Replaced"}]}}
        privacy.remember_changes(changes)
        update = host.call(
            "POST",
            "/v2/studies/$bulkUpdate",
            json.dumps({"studyInstanceUids": [uids.study], "changeDataset": changes}),
            Content_Type="application/json",
            traceparent=run.traceparent("update-study"),
        )
        assert finished(host, started(update))["status"] == "succeeded"
        assert host.stop() == 0  # sends what is left
        run.log = Path(host.log).read_text()
        yield run


def test_spans_continue_the_callers_trace(run: Run) -> None:
    """AUD-10, W3C Trace Context: whether the caller, or the Functions host, records the trace or not (the flags)."""
    for name in ("store", "retrieve"):
        tags = run.span(name)["tags"]
        assert tags["ai.operation.parentId"] == "00f067aa0ba902b7"
        assert tags["ai.cloud.role"] == "func-x"
    assert run.span("store")["data"]["baseData"]["properties"]["dicom.request_id"] == run.request_id
    [search] = run.spans("query")
    assert "ai.operation.parentId" not in search["tags"]


def test_activities_belong_to_the_trace_of_the_request(run: Run) -> None:
    """Through the orchestration, which is not a request and waits in storage."""
    request = run.span("update-study")["data"]["baseData"]["id"]
    for name in ("begin_update", "update_study", "record_study", "end_update"):
        [activity] = run.spans(name)
        assert activity["tags"]["ai.operation.id"] == run.traces["update-study"]
        assert activity["tags"]["ai.operation.parentId"] == request


def test_nothing_counts_as_a_request(run: Run) -> None:
    """The alerts count the records of the Functions host: a second record of a request would make them wrong."""
    assert run.ingestion.of_type("RequestData") == []
    assert run.ingestion.points("http.server.request.duration") == []


def test_storage_is_counted_by_operation(run: Run) -> None:
    """To the last byte of an answer, although it is sent when the function is over."""
    retrieved = run.span("retrieve")["data"]["baseData"]["properties"]
    assert int(retrieved["dicom.storage.received"]) > len(run.file)
    stored = run.span("store")["data"]["baseData"]["properties"]
    assert int(stored["dicom.storage.sent"]) > len(run.file)
    assert int(stored["dicom.storage.transactions"]) > 3
    for metric in ("dicom.operation.duration", "dicom.storage.transactions", "dicom.storage.received"):
        points = run.ingestion.points(metric)
        operations = {(point["dicom.operation"], point.get("http.response.status_code")) for _, point in points}
        assert {("store", "200"), ("store", "409"), ("retrieve", "200"), ("update-study", "202")} <= operations
        assert {("other", "400"), ("update_study", None), ("upkeep", None), ("health", "200")} <= operations


def test_what_the_service_has_done_is_counted(run: Run) -> None:
    """AUD-9 and the lag of the feed: a refused instance is not a stored one."""
    [(stored, _)] = run.ingestion.points("dicom.stored.size")
    assert (stored["count"], stored["value"]) == (1, len(run.file))
    assert sum(point["count"] for point, _ in run.ingestion.points("dicom.changefeed.lag")) == 2
    [(updated, dimensions)] = run.ingestion.points("dicom.update.duration")
    assert (updated["count"], dimensions) == (1, {"dicom.update.status": "succeeded"})
    assert 0 < updated["value"] < 60
    assert run.ingestion.points("dicom.intents.open")


def test_telemetry_goes_nowhere_else_and_names_no_patient(run: Run) -> None:
    """Neither statistics of the exporter about itself nor patient data; and sending leaves no line in the log."""
    assert run.ingestion.paths == {"/v2.1/track"}
    sent = json.dumps(run.ingestion.records)
    assert privacy.leaks(sent) == []
    assert not re.search(r"^\w+ (azure\.core|azure\.monitor|opentelemetry)", run.log, re.MULTILINE)
    assert "Traceback" not in run.log
    audit = next(line for line in run.log.splitlines() if run.request_id in line)
    assert json.loads(audit.split(": ", 1)[1])["traceId"] == run.traces["store"]
