"""The change feed over HTTP (CF-1 to CF-59, D-51 to D-54)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import Uids, feed, store, value
from tests.support.host import Host


def test_entry(host: Host) -> None:
    """CF-30 to CF-36, CF-40, STOW-134."""
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
    """CF-36, D-53, D-54: the metadata of the current version, unless it is not wanted."""
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
        ("limit=x", "Limit"),
        ("offset=-1", "Offset"),
        ("offset=92233720368547758070", "Offset"),
        ("includeMetadata=0", "IncludeMetadata"),
        ("startTime=foo", "StartTime"),
        ("startTime=2023-05-03T10:58:00", "StartTime"),
        ("startTime=2023-05-03T10:58:00Z&endTime=2023-05-03T10:58:00Z", "EndTime"),
    ],
)
def test_invalid_parameters(host: Host, query: str, name: str) -> None:
    """CF-20 to CF-25."""
    response = host.get(f"/v2/changefeed?{query}")
    assert response.status_code == 400
    assert response.json()["detail"].startswith(f"The query parameter '{name}' is invalid.")


def test_blank_times_mean_no_window(host: Host) -> None:
    """CF-26."""
    assert host.get("/v2/changefeed?startTime=&endTime=&limit=1").status_code == 200
