"""What the service tells of itself: OpenTelemetry traces and metrics, sent to Application Insights where that is configured.

Without it nothing is recorded: the SDK is not imported, and the API, which Durable Functions imports anyway, only hands the
trace context on (W3C, `traceparent`). Nothing here may hold patient data: names of operations, numbers, UIDs at most.

The Functions host has its own record of each request and of each run of a function, on which the alerts are built
(infra/modules/alerts.bicep). So spans here are internal ones, which never count as requests, and `http.server.request.duration`
is left to the host: a second one would be added to its own.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry import context, metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

CONNECTION_STRING: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"

_DEFAULTS: Final = {
    # The host does not say that its requests are sampled, and callers say what they like. Cheaper: traceidratio, with a
    # share from 0 to 1 in OTEL_TRACES_SAMPLER_ARG.
    "OTEL_TRACES_SAMPLER": "always_on",
    # What the exporter would send about itself, and fetch to be told how to behave.
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
_TALKATIVE: Final = ("azure.core", "azure.identity", "azure.monitor")
"""They log every request that the exporter sends, which the host would send as well."""

logger = logging.getLogger(__name__)

_tracer = trace.get_tracer("dicom")
_meter = metrics.get_meter("dicom")
_propagator = TraceContextTextMapPropagator()

_duration = _meter.create_histogram(
    "dicom.operation.duration", "s", "To the last byte of an answer, or the end of an activity."
)
_transactions = _meter.create_histogram("dicom.storage.transactions", "{transaction}", "Of an operation.")
_sent = _meter.create_histogram("dicom.storage.sent", "By", "To storage, by an operation.")
_received = _meter.create_histogram("dicom.storage.received", "By", "From storage, by an operation.")

stored_size: Final = _meter.create_histogram("dicom.stored.size", "By", "Of each file that was stored (AUD-9).")
update_duration: Final = _meter.create_histogram("dicom.update.duration", "s", "Of bulk updates, from the request on.")
feed_lag: Final = _meter.create_histogram("dicom.changefeed.lag", "s", "From a commit to its entries in the feed.")
intents_open: Final = _meter.create_gauge("dicom.intents.open", "{intent}", "Work in flight, as upkeep finds it.")


def configure(environment: MutableMapping[str, str]) -> None:
    """Begins to record and to send, if the environment of this process says where to; to be called once.

    The exporter finds the identity whose tokens it needs in APPLICATIONINSIGHTS_AUTHENTICATION_STRING itself. Raises
    ValueError when the connection string is wrong.
    """
    if not environment.get(CONNECTION_STRING):
        return
    for name, value in _DEFAULTS.items():
        environment.setdefault(name, value)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)

    # A tenth of a second of CPU time, which nobody else shall spend.
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource({"service.name": environment.get("WEBSITE_SITE_NAME") or "dicom"})
    options = {"connection_string": environment[CONNECTION_STRING], "disable_offline_storage": True}
    spans, points = AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options)
    for exporter in (spans, points):  # before the providers, which send what is left when Python ends
        atexit.register(exporter.client.close)
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(points)], resource))


@dataclass(slots=True)
class Counters:
    """Requests sent to storage, every try of them, and the bytes of their bodies and of their answers' bodies."""

    transactions: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def add(self, *, transactions: int = 0, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        """Counts, here and for the running operation."""
        for counters in (self, _spent.get()):
            if counters:
                counters.transactions += transactions
                counters.bytes_sent += bytes_sent
                counters.bytes_received += bytes_received


_spent = ContextVar[Counters | None]("spent", default=None)
"""What the running operation has sent to storage and received; None outside of operations."""


class Operation:
    """A request or another run of a function, from its start until `end`.

    `name` is a fixed word: metrics have one series for each. `carrier` has the trace context of whoever asked for it;
    `attributes` are those of its span alone.
    """

    def __init__(self, name: str, carrier: Mapping[str, str], attributes: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._counters = Counters()
        self._started = time.perf_counter()
        caller = _propagator.extract(carrier, context.Context())
        self._span = _tracer.start_span(name, caller, attributes=attributes)
        self._context = trace.set_span_in_context(self._span, caller)

    @contextmanager
    def running(self) -> Iterator[None]:
        """What is done inside belongs to the operation: requests to storage, and the trace context that is handed on."""
        spent, attached = _spent.set(self._counters), context.attach(self._context)
        try:
            yield
        finally:
            context.detach(attached)
            _spent.reset(spent)

    def end(self, *, failed: bool, status: int | None = None) -> None:
        """Records the operation; `status` is that of an HTTP answer."""
        described: dict[str, str | int] = {"dicom.operation": self.name}
        if status is not None:
            described["http.response.status_code"] = status
        counters, seconds = self._counters, time.perf_counter() - self._started
        logger.debug(
            "%s: %.1f ms, %d requests to storage, %d bytes sent, %d received",
            self.name,
            seconds * 1000,
            counters.transactions,
            counters.bytes_sent,
            counters.bytes_received,
        )
        _duration.record(seconds, described)
        _transactions.record(counters.transactions, described)
        _sent.record(counters.bytes_sent, described)
        _received.record(counters.bytes_received, described)
        self._span.update_name(self.name)
        self._span.set_attributes(described)
        self._span.set_attribute("dicom.storage.transactions", counters.transactions)
        self._span.set_attribute("dicom.storage.sent", counters.bytes_sent)
        self._span.set_attribute("dicom.storage.received", counters.bytes_received)
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


@contextmanager
def operation(name: str, carrier: Mapping[str, str]) -> Iterator[None]:
    """Runs its block as an operation."""
    running = Operation(name, carrier)
    failed = True
    try:
        with running.running():
            yield
        failed = False
    finally:
        running.end(failed=failed)


def carrier() -> dict[str, str]:
    """The trace context of the running operation, to be handed on; empty where nobody traces."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers


def trace_id() -> str:
    """The trace that the running operation belongs to, "" if to none."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else ""
