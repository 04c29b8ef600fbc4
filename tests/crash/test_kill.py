"""The host is killed in the middle of its work; after a restart nothing is lost and nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO

import pydicom
import pytest
import requests
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.services import fsck, upkeep
from shared.services.study_check import Violation
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, bulk_update, feed, finished, multipart, started, store, value
from tests.support.host import Host

UPKEEP_SECONDS = 30
NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}


def until[T](check: Callable[[], T | None], seconds: float = UPKEEP_SECONDS) -> T:
    """The first result of `check` that is not None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := check()) is not None:
            return found
        time.sleep(0.2)
    raise AssertionError("It did not happen in time.")


@pytest.fixture(scope="module", autouse=True)
def sound(azurite: Azurite) -> Iterator[None]:
    """After all the crashes and the upkeep no rule of the whole account is broken."""
    yield
    assert asyncio.run(violations(azurite)) == []


async def violations(azurite: Azurite) -> list[Violation]:
    storage = await Storage.open(StorageAccount.from_environment({"AzureWebJobsStorage": azurite.connection_string}))
    for intent in await storage.intents.open():
        await upkeep.resolve(storage, intent)
    found = [finding.violation async for finding in fsck.check(storage)]
    await storage.close()
    return found


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.08, 0.2])
def test_kill_during_bulk_update(new_host: Host, delay: float) -> None:
    """D-70: the operation goes on after the restart; each instance has one Update entry, and all show the new value."""
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, InstanceNumber=n) for n in range(200)]
    assert store(new_host, *files).status_code == 200
    operation = started(bulk_update(new_host, [study], NAME))
    time.sleep(delay)
    new_host.kill()
    new_host.start()
    state = finished(new_host, operation)
    assert state["status"] == "succeeded"
    assert state["results"]["instanceUpdated"] == 200
    names = {value(d, "00100010")["Alphabetic"] for d in new_host.get(f"/v2/studies/{study}/metadata").json()}
    assert names == {"New^Name"}
    entries = feed(new_host, study)
    updates = [e["sopInstanceUid"] for e in entries if e["action"] == "Update"]
    assert len(updates) == len(set(updates)) == 200
    assert {e["state"] for e in entries if e["action"] == "Update"} == {"Current"}
    latest = new_host.get(f"/v2{Uids.of(files[0]).instance_path}", Accept=ANY_FILE).content
    assert pydicom.dcmread(BytesIO(latest)).PatientName == "New^Name"
    assert finished(new_host, started(bulk_update(new_host, [study], NAME)))["status"] == "succeeded"


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.6])
def test_kill_during_reindex(new_host: Host, delay: float) -> None:
    """EQT-81, EQT-85: the operation goes on after the restart, and every instance is found exactly once."""
    base = f"/v2/partitions/{generate_uid()[-30:]}"
    study, weights = generate_uid(), ["70", "80"]
    files = [builders.instance(study, rows=0, PatientAge="030Y", PatientWeight=weights[n % 2]) for n in range(60)]
    files += [builders.instance(rows=0, PatientAge="040Y", PatientWeight="80") for _ in range(60)]
    assert store(new_host, *files, base=base).status_code == 200
    body = json.dumps([{"path": "PatientAge", "level": "study"}, {"path": "PatientWeight", "level": "instance"}])
    tags = "/v2/extendedquerytags"
    operation = started(new_host.call("POST", tags, body, Content_Type="application/json"))
    time.sleep(delay)
    new_host.kill()
    new_host.start()
    assert finished(new_host, operation)["status"] == "succeeded"
    for path, hits in (
        ("/studies?PatientAge=030Y", 1),
        ("/studies?PatientAge=040Y", 60),
        ("/instances?PatientWeight=70", 30),
        ("/instances?PatientWeight=80", 90),
    ):
        found = new_host.get(f"{base}{path}&limit=200").json()
        assert len(found) == len({value(item, "00080018") or value(item, "0020000D") for item in found}) == hits
    for path in ("PatientAge", "PatientWeight"):
        assert new_host.get(f"{tags}/{path}").json()["status"] == "ready"
        assert new_host.call("DELETE", f"{tags}/{path}").status_code == 204


@pytest.mark.parametrize("delay", [0.01, 0.05, 0.1, 0.2, 0.4])
def test_kill_during_store(new_host: Host, delay: float) -> None:
    """Each instance is whole (file, metadata, search, feed) or gone after upkeep; the same request can be sent again."""
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, rows=64, columns=64, InstanceNumber=n) for n in range(100)]
    body, content_type = multipart(files)
    answers: list[int] = []

    def send() -> None:
        try:
            answers.append(new_host.call("POST", "/v2/studies", body, Content_Type=content_type).status_code)
        except requests.RequestException:
            answers.append(0)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(delay)
    new_host.kill()
    sender.join()
    time.sleep(1.1)  # after this time without a sign of life upkeep takes a request for dead
    new_host.start()

    def settled() -> set[str] | None:
        found = new_host.get(f"/v2/studies/{study}/instances?limit=200")
        stored = {value(item, "00080018") for item in found.json()} if found.status_code == 200 else set()
        created = [e["sopInstanceUid"] for e in feed(new_host, study)]
        assert len(created) == len(set(created)), "an instance is in the feed twice"
        return stored if stored == set(created) else None

    stored = until(settled)
    if answers == [200]:
        assert len(stored) == 100
    for file in files:
        uids = Uids.of(file)
        response = new_host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE)
        assert (response.status_code == 200) == (uids.instance in stored)
        if uids.instance in stored:
            assert response.content == file
    found = new_host.get(f"/v2/studies?StudyInstanceUID={study}&includefield=00201208")
    assert (value(found.json()[0], "00201208") if found.status_code == 200 else 0) == len(stored)
    again = store(new_host, *files)
    assert again.status_code == (409 if len(stored) == 100 else 202 if stored else 200)
    created = [e["sopInstanceUid"] for e in feed(new_host, study) if e["action"] == "Create"]
    assert len(created) == len(set(created)) == 100
