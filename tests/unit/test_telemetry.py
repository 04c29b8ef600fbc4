"""Operations and what is recorded of them; and that nothing is, where nobody wants it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import telemetry
from shared.telemetry import Counters, Operation
from shared.web.measured import MeasuredBody
from tests.support import privacy
from tests.support.host import ROOT

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """A process has one provider for all of its life."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    return span


async def counted(counters: Counters, *, fails: bool = False) -> AsyncIterator[bytes]:
    for _ in range(3):
        await asyncio.create_task(asyncio.to_thread(counters.add, transactions=1, bytes_received=10))
        yield b"x"
    if fails:
        raise OSError("Doe^Jane")


async def test_a_body_belongs_to_its_operation_to_the_last_byte(spans: InMemorySpanExporter) -> None:
    """Also what tasks and threads do for it; another operation that runs at the same time has its own figures."""
    counters = Counters()
    operation, other = Operation("retrieve", PARENT), Operation("store", {})
    with other.running():
        async with aclosing(MeasuredBody(counted(counters), operation, 200)) as body:
            assert [chunk async for chunk in body] == [b"x"] * 3
        counters.add(transactions=1)
    span = only(spans)
    assert (span.name, span.status.is_ok) == ("retrieve", True)
    assert span.context is not None
    assert trace.format_trace_id(span.context.trace_id) in PARENT["traceparent"]
    attributes = span.attributes or {}
    assert attributes["http.response.status_code"] == 200
    assert (attributes["dicom.storage.transactions"], attributes["dicom.storage.received"]) == (3, 30)
    assert (counters.transactions, counters.bytes_received) == (4, 30)


@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_body_that_nobody_reads_to_its_end_is_closed(spans: InMemorySpanExporter, chunks: int) -> None:
    async with aclosing(MeasuredBody(counted(Counters()), Operation("retrieve", {}), 200)) as body:
        for _ in range(chunks):
            await anext(body)
    assert (only(spans).attributes or {})["dicom.storage.transactions"] == chunks


async def test_a_body_that_breaks_off_is_a_failure(spans: InMemorySpanExporter) -> None:
    """Its status has been sent as 200; what was raised stays inside, it may quote patient data."""
    async with aclosing(MeasuredBody(counted(Counters(), fails=True), Operation("retrieve", {}), 200)) as body:
        with pytest.raises(OSError, match="Jane"):
            [chunk async for chunk in body]
    assert (only(spans).status.is_ok, only(spans).events) == (False, ())


def test_an_operation_that_raises_is_a_failure(spans: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError), telemetry.operation("upkeep", {}):
        raise KeyError("Doe^Jane")
    assert (only(spans).status.is_ok, only(spans).events) == (False, ())
    assert privacy.leaks(only(spans).to_json()) == []


def test_the_trace_context_is_handed_on(spans: InMemorySpanExporter) -> None:
    """W3C Trace Context: the same trace, the operation as the parent; what is no context is none."""
    with telemetry.operation("update-study", PARENT):
        handed = telemetry.carrier()
        assert telemetry.trace_id() in PARENT["traceparent"]
    with telemetry.operation("update_study", handed):
        pass
    outer, inner = spans.get_finished_spans()
    assert outer.context is not None
    assert inner.parent is not None
    assert (inner.parent.trace_id, inner.parent.span_id) == (outer.context.trace_id, outer.context.span_id)
    with telemetry.operation("upkeep", {"traceparent": "00-zz-1-01"}):
        assert telemetry.trace_id() not in PARENT["traceparent"]
    assert telemetry.trace_id() == ""


def test_without_a_connection_string_the_sdk_is_not_imported() -> None:
    """And the trace context is handed on all the same: Durable Functions and the audit trail use it."""
    program = (
        "import sys, function_app\n"
        "from shared import telemetry\n"
        f"with telemetry.operation('store', {PARENT!r}):\n"
        f"    assert telemetry.carrier() == {PARENT!r}\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'azure.monitor'))])"
    )
    environment = {name: value for name, value in os.environ.items() if name != telemetry.CONNECTION_STRING}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")
