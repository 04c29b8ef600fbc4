"""No path, query or header of a request to one partition reaches tables or files of another (PART-8)."""

from __future__ import annotations

import asyncio
import http.client
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import Uids, store
from tests.support.host import Host
from tests.support.storage_proxy import StorageProxy

SECRET = "Confidential"
KEY = re.compile(r"PartitionKey(?:=| eq | ge | gt | le | lt )'((?:[^']|'')*)'")

OWN, OTHER = f"own{uuid.uuid4().hex}", f"other{uuid.uuid4().hex}"
STUDY, SERIES, INSTANCE = (str(generate_uid()) for _ in range(3))

TRICKS = [
    *("", "..", ".", "/", "%2F", "|", "~", "'", "''", '"', "\\", "*", "?", "#", "%00", "%0A", ";", "&", " ", "é", "\U0001f600"),
]  # fmt: skip
VALUES = [
    *(OWN, OTHER, "Microsoft.Default", STUDY, SERIES, INSTANCE, "Confid*", "all", "S", "E", "i"),
    f"{OTHER}|{STUDY}", f"{STUDY}' or PartitionKey eq '{OTHER}|{STUDY}", f"../{OTHER}/studies/{STUDY}",
]  # fmt: skip
text = st.lists(st.sampled_from(VALUES + TRICKS), min_size=1, max_size=4).map("".join)
segment = st.one_of(st.sampled_from(VALUES), text).flatmap(
    lambda value: st.sampled_from([quote(value, safe=""), quote(quote(value, safe=""), safe="%"), quote(value)])
)
names = st.sampled_from(
    ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate",
     "ModalitiesInStudy", "includefield", "fuzzymatching", "partition", "offset", "limit"]
)  # fmt: skip
query = st.lists(st.tuples(names, segment), max_size=3)
HEADERS = (
    *("X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Forwarded", "X-Forwarded-Prefix", "Referer"),
    *("Partition", "If-None-Match", "Cookie"),
)
headers = st.dictionaries(
    st.sampled_from(HEADERS), st.sampled_from([OTHER, f"/v2/partitions/{OTHER}/studies/{STUDY}"]) | segment, max_size=6
)


@st.composite
def targets(draw: st.DrawFn) -> str:
    """A path to the own partition, with the other's identifiers and worse in every place."""
    study, series, instance, rest = (
        draw(st.sampled_from([uid, draw(segment)])) for uid in (STUDY, SERIES, INSTANCE, "1")
    )
    one, two = f"studies/{study}", f"studies/{study}/series/{series}"
    three = f"{two}/instances/{instance}"
    paths = [
        *("studies", "series", "instances", one, f"{one}/metadata", f"{one}/series", f"{one}/instances", two),
        *(
            f"{two}/instances",
            f"{two}/metadata",
            three,
            f"{three}/metadata",
            f"{three}/frames/{rest}",
            f"{three}/rendered",
        ),
        *(f"{three}/bulkdata/{rest}", f"{one}/{rest}"),
    ]
    prefix = draw(st.sampled_from([f"partitions/{OWN}/", f"partitions/{OWN}/", f"partitions/{OWN}{draw(segment)}/"]))
    search = "&".join(f"{name}={value}" for name, value in draw(query))
    return f"/{draw(st.sampled_from(['v1', 'v2']))}/{prefix}{draw(st.sampled_from(paths))}?{search}"


@contextmanager
def running(proxy: StorageProxy, folder: Path) -> Iterator[Host]:
    service = Host(proxy.connection_string, folder).start()
    try:
        yield service
    finally:
        service.stop()


def send(service: Host, method: str, target: str, given_headers: dict[str, str]) -> tuple[int, bytes]:
    """The request exactly as it is: other clients put paths in order before they send them."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request(method, target, headers={"Accept": "*/*", **given_headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def attack(service: Host, proxy: StorageProxy) -> None:
    secret = builders.instance(STUDY, SERIES, INSTANCE, PatientName=SECRET)
    own = builders.instance(STUDY, SERIES, INSTANCE, PatientName="Public")
    assert store(service, secret, base=f"/v2/partitions/{OTHER}").status_code == 200
    files = {exchange.path.split("?")[0] for exchange in proxy.log if exchange.service == "blob"}
    assert store(service, own, base=f"/v2/partitions/{OWN}").status_code == 200
    hidden = f"/v2/partitions/{OTHER}{Uids.of(secret).instance_path}"
    before = service.get(hidden, Accept="application/dicom; transfer-syntax=*").content

    @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["GET", "GET", "GET", "HEAD", "DELETE"]), targets(), headers)
    def attempt(method: str, target: str, given_headers: dict[str, str]) -> None:
        proxy.reset()
        status, body = send(service, method, target, given_headers)
        assert status < 500
        assert SECRET.encode() not in body
        for exchange in proxy.log:
            path = unquote(exchange.path)
            keys = [key for key in KEY.findall(path) if "|" in key]
            assert all(key.startswith(f"{OWN}|") for key in keys), (target, path)
            assert exchange.path.split("?")[0] not in files or "comp=list" in exchange.path, (target, path)
        if method == "DELETE":
            store(service, own, base=f"/v2/partitions/{OWN}")

    attempt()
    assert service.get(hidden, Accept="application/dicom; transfer-syntax=*").content == before
    assert SECRET in service.get(f"{hidden}/metadata").text


async def test_requests_stay_in_their_partition(own_proxy: StorageProxy, tmp_path: Path) -> None:
    """Whatever a request names: each key that storage is asked for is one of its own partition."""

    def run() -> None:
        with running(own_proxy, tmp_path) as service:
            attack(service, own_proxy)

    await asyncio.to_thread(run)
