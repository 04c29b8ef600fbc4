"""Where telemetry arrives: a stand-in for the ingestion of Application Insights, on this machine."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.http_server import Handler, serving

type Record = dict[str, Any]


class Ingestion:
    """Keeps what it is sent, record by record."""

    def __init__(self, port: int) -> None:
        self.connection_string = f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint=http://127.0.0.1:{port}/"
        self.records: list[Record] = []
        self.paths: set[str] = set()

    def of_type(self, base_type: str) -> list[Record]:
        """The records of a table: RequestData, RemoteDependencyData, MetricData."""
        return [record for record in self.records if record["data"]["baseType"] == base_type]

    def points(self, metric: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """The points of a metric: value (the sum), count, min, max; and their dimensions."""
        return [
            (point, record["data"]["baseData"].get("properties", {}))
            for record in self.of_type("MetricData")
            for point in record["data"]["baseData"]["metrics"]
            if point["name"] == metric
        ]


@contextmanager
def running_ingestion() -> Iterator[Ingestion]:
    class Records(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            records = json.loads(body)
            ingestion.paths.add(self.path)
            ingestion.records += records
            accepted = {"itemsReceived": len(records), "itemsAccepted": len(records), "errors": []}
            self.answer(200, json.dumps(accepted).encode(), Content_Type="application/json")

    with serving(Records) as port:
        ingestion = Ingestion(port)
        yield ingestion
