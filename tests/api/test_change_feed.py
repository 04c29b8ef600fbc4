"""The change feed over HTTP (CF-1 to CF-59, D-51 to D-54)."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import Uids, feed, store, value
from tests.support.host import Host
from tests.support.storage_proxy import StorageProxy


def test_entry(host: Host) -> None:
    """CF-6, CF-16, CF-30 to CF-38, CF-40, D-52, STOW-134: nothing that has no value."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    latest = host.get("/v2/changefeed?limit=200")
    assert latest.headers["Content-Type"] == "application/json"
    [entry] = feed(host, uids.study)
    assert entry.pop("sequence") >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}\+00:00", entry.pop("timestamp"))
    assert entry == {
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": uids.study,
        "seriesInstanceUid": uids.series,
        "sopInstanceUid": uids.instance,
        "action": "Create",
        "state": "Current",
    }


def test_sequence_has_no_gaps_and_times_never_go_back(host: Host) -> None:
    """D-51."""
    study = generate_uid()
    store(host, *[builders.instance(study) for _ in range(12)])
    entries: list[dict[str, object]] = []
    while page := host.get(f"/v2/changefeed?limit=7&offset={len(entries)}&includeMetadata=false").json():
        entries += page
    assert [e["sequence"] for e in entries] == list(range(1, len(entries) + 1))
    times = [str(e["timestamp"]) for e in entries]
    assert times == sorted(times)


def test_window_and_offset(host: Host) -> None:
    """CF-11, CF-12: the start is in the window, the end is not, and the offset counts inside it."""
    study = generate_uid()
    for _ in range(3):
        store(host, builders.instance(study))
    times = [e["timestamp"] for e in feed(host, study)]
    window = f"/v2/changefeed?startTime={quote(times[0])}&endTime={quote(times[2])}&includeMetadata=false"
    mine = [e for e in host.get(window).json() if e["studyInstanceUid"] == study]
    assert [e["timestamp"] for e in mine] == times[:2]
    rest = host.get(f"/v2/changefeed?startTime={quote(times[1])}&offset=1&limit=200&includeMetadata=false").json()
    assert times[2] in [e["timestamp"] for e in rest]
    assert times[1] not in [e["timestamp"] for e in rest]
    later = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert host.get(f"/v2/changefeed?startTime={later}").json() == []


def test_metadata(host: Host) -> None:
    """CF-36, CF-59, D-53: the metadata of the current version, unless it is not wanted."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    [entry] = feed(host, uids.study)
    [full] = host.get(f"/v2/changefeed?offset={entry['sequence'] - 1}&limit=1").json()
    assert full["metadata"] == host.get(f"/v2{uids.instance_path}/metadata").json()[0]
    latest = host.get("/v2/changefeed/latest?includeMetadata=false").json()
    assert latest["sequence"] >= entry["sequence"]
    assert "metadata" not in latest
    assert value(full["metadata"], "00080018") == uids.instance


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "Limit"),
        ("limit=201", "Limit"),
        ("limit=-1", "Limit"),
        ("limit=x", "Limit"),
        ("limit=1.5", "Limit"),
        ("offset=-1", "Offset"),
        ("offset=92233720368547758070", "Offset"),
        ("offset=x", "Offset"),
        ("includeMetadata=0", "IncludeMetadata"),
        ("includeMetadata=true-ish", "IncludeMetadata"),
        ("INCLUDEMETADATA=boolean", "IncludeMetadata"),
        ("startTime=foo", "StartTime"),
        ("startTime=2023-05-03T10:58:00", "StartTime"),
        ("endTime=foo", "EndTime"),
        ("startTime=2023-05-03T10:58:00Z&endTime=2023-05-03T10:58:00Z", "EndTime"),
        ("startTime=2023-05-03T10:58:00Z&endTime=2023-05-03T12:57:59%2B02:00", "EndTime"),
        ("wait=0", "Wait"),
        ("wait=61", "Wait"),
        ("wait=-1", "Wait"),
        ("wait=long", "Wait"),
    ],
)
def test_invalid_parameters(host: Host, query: str, name: str) -> None:
    """CF-20 to CF-25, D-55."""
    response = host.get(f"/v2/changefeed?{query}")
    assert response.status_code == 400
    assert response.json()["detail"].startswith(f"The query parameter '{name}' is invalid.")


@pytest.mark.parametrize("path", ["changefeed", "changefeed/latest"])
def test_case_of_names_and_values(host: Host, path: str) -> None:
    """CF-1, CF-2, CF-22."""
    store(host, builders.instance())
    response = host.get(f"/v2/{path}?INCLUDEMETADATA=False&LIMIT=1")
    [entry] = response.json() if path == "changefeed" else [response.json()]
    assert "metadata" not in entry
    assert host.get(f"/v2/{path}?includemetadata=maybe").status_code == 400


def test_time_zones(host: Host) -> None:
    """CF-12, CF-24: a moment is the same in any zone, with any number of digits."""
    file = builders.instance()
    store(host, file)
    [entry] = feed(host, Uids.of(file).study)
    moment = datetime.fromisoformat(entry["timestamp"])
    for text in (
        moment.isoformat(),
        moment.isoformat().replace("+00:00", "Z"),
        moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        moment.astimezone(timezone(-timedelta(hours=8))).isoformat(),
        entry["timestamp"],
    ):
        [first] = host.get(f"/v2/changefeed?startTime={quote(text)}&limit=1&includeMetadata=false").json()
        assert first["sequence"] == entry["sequence"]
    assert host.get("/v2/changefeed?endTime=1969-12-31T23:59:59Z").json() == []


def test_pages_fit_together(host: Host) -> None:
    """CF-10, CF-11, CF-14, D-51: pages of any size give the whole feed; behind its end there is an empty array."""
    store(host, *[builders.instance(generate_uid()) for _ in range(5)])
    everything: list[dict[str, object]] = []
    while page := host.get(f"/v2/changefeed?limit=200&offset={len(everything)}&includeMetadata=false").json():
        everything += page
    for limit in (1, 3):
        start = len(everything) - 5
        found: list[dict[str, object]] = []
        while page := host.get(
            f"/v2/changefeed?limit={limit}&offset={start + len(found)}&includeMetadata=false"
        ).json():
            assert len(page) <= limit
            found += page
        assert found == everything[start:]
    for offset in (len(everything), 2**63 - 1):
        response = host.get(f"/v2/changefeed?offset={offset}")
        assert (response.status_code, response.json()) == (200, [])
    assert host.get("/v2/changefeed/latest?includeMetadata=false").json() == everything[-1]  # CF-13


def test_partitions_share_the_feed(host: Host) -> None:
    """CF-5; a partition that comes to be is no change (CF-43)."""
    file, name = builders.instance(), f"p{uuid.uuid4().hex}"
    store(host, file)
    store(host, file, base=f"/v2/partitions/{name}")
    entries = feed(host, Uids.of(file).study)
    assert [(entry["partitionName"], entry["state"]) for entry in entries] == [
        ("Microsoft.Default", "Current"),
        (name, "Current"),
    ]
    host.call("DELETE", f"/v2/partitions/{name}{Uids.of(file).study_path}")
    assert [e["state"] for e in feed(host, Uids.of(file).study)] == ["Current", "Deleted", "Deleted"]
    assert host.get(f"/v2/partitions/{name}/changefeed").status_code == 404


def test_create_delete_create(host: Host) -> None:
    """CF-41, CF-50 to CF-57: the example of CF-56; a failed store has no entry (CF-44)."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    assert store(host, file).status_code == 409
    host.call("DELETE", f"/v2{uids.study_path}")
    assert [(e["action"], e["state"]) for e in feed(host, uids.study)] == [("Create", "Deleted"), ("Delete", "Deleted")]
    store(host, file)
    entries = feed(host, uids.study)
    assert [(e["action"], e["state"]) for e in entries] == [
        ("Create", "Replaced"),
        ("Delete", "Replaced"),
        ("Create", "Current"),
    ]
    first, last = entries[0]["sequence"], entries[-1]["sequence"]
    page = host.get(f"/v2/changefeed?offset={first - 1}&limit={last - first + 1}").json()
    mine = [entry for entry in page if entry["studyInstanceUid"] == uids.study]
    assert ["metadata" in entry for entry in mine] == [False, False, True]


def test_wait(host: Host) -> None:
    """D-55: an answer at once when there is something, a late one when something comes, an empty one after the time."""
    store(host, builders.instance())
    end = host.get("/v2/changefeed/latest?includeMetadata=false").json()["sequence"]
    assert len(host.get(f"/v2/changefeed?wait=60&offset={end - 1}").json()) == 1
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(host.get, f"/v2/changefeed?wait=60&offset={end}&includeMetadata=false")
        time.sleep(0.5)
        assert not waiting.done()
        file = builders.instance()
        store(host, file)
        assert waiting.result().json()[0]["studyInstanceUid"] == Uids.of(file).study
    later = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    response = host.get(f"/v2/changefeed?wait=1&startTime={later}")
    assert (response.status_code, response.json()) == (200, [])
    assert response.elapsed >= timedelta(seconds=1)


async def test_client_that_goes_away_ends_the_waiting(own_proxy: StorageProxy, tmp_path: Path) -> None:
    """D-55; the feed is empty, and so has no latest entry: 204 (CF-15, D-54)."""
    host = await asyncio.to_thread(Host(own_proxy.connection_string, tmp_path).start)
    try:
        latest = await asyncio.to_thread(host.get, "/v2/changefeed/latest")
        assert (latest.status_code, latest.content) == (204, b"")
        _, writer = await asyncio.open_connection("127.0.0.1", host.port)
        writer.write(f"GET /v2/changefeed?wait=60&offset={2**62} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async with asyncio.timeout(60):
            while polls(own_proxy) < 4:  # noqa: ASYNC110 - nobody tells of the polls
                await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(2)
        seen = polls(own_proxy)
        await asyncio.sleep(4)
        assert polls(own_proxy) <= seen + 1  # upkeep may read it too
    finally:
        assert await asyncio.to_thread(host.stop) == 0


def polls(proxy: StorageProxy) -> int:
    """How often the head of the feed was read."""
    return sum("changefeed(PartitionKey=" in exchange.path and "head" in exchange.path for exchange in proxy.log)


def test_blank_times_mean_no_window(host: Host) -> None:
    """CF-26."""
    assert host.get("/v2/changefeed?startTime=&endTime=&limit=1").status_code == 200
