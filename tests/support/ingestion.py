"""Where telemetry arrives: a stand-in for the ingestion of Application Insights, on this machine."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            records = json.loads(body)
            ingestion.paths.add(self.path)
            ingestion.records += records
            answer = json.dumps({"itemsReceived": len(records), "itemsAccepted": len(records), "errors": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Tests want no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ingestion = Ingestion(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ingestion
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
