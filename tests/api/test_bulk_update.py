"""Bulk update over HTTP (UPD-1 to UPD-91, D-60 to D-71)."""

from __future__ import annotations

import itertools
import json
import uuid
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import ANY_FILE, ANY_FILES, Uids, bulk_update, feed, finished, parts, started, store, value
from tests.support.host import Host

NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}


def study_of(host: Host, count: int, **attributes: Any) -> tuple[str, list[bytes]]:
    """A stored study with this many instances, in two series when there are several."""
    study, series = generate_uid(), [generate_uid(), generate_uid()]
    files = [builders.instance(study, series[n % 2], InstanceNumber=n + 1, **attributes) for n in range(count)]
    assert store(host, *files).status_code == 200
    return study, files


def update(host: Host, studies: list[str], changes: dict[str, Any]) -> dict[str, Any]:
    """Runs an update to its end; waits while another test's update holds the lock."""
    while (response := bulk_update(host, studies, changes)).status_code == 409:
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    return finished(host, started(response))


def test_every_instance_of_the_study_changes_and_the_originals_stay(host: Host) -> None:
    """UPD-53, UPD-61, D-65: the latest version is served by default, the original on request, the pixels are the same."""
    study, files = study_of(host, 5)
    state = update(host, [study], NAME)
    assert state["status"] == "succeeded"
    assert state["percentComplete"] == 100
    assert state["results"] == {"studyProcessed": 1, "studyUpdated": 1, "studyFailed": 0, "instanceUpdated": 5}
    path = f"/v2/studies/{study}"
    originals = [payload for _, payload in parts(host.get(path, Accept=ANY_FILES, msdicom_request_original="true"))]
    assert sorted(originals) == sorted(files)
    for _, payload in parts(host.get(path, Accept=ANY_FILES)):
        latest = pydicom.dcmread(BytesIO(payload))
        original = next(pydicom.dcmread(BytesIO(f)) for f in files if Uids.of(f).instance == latest.SOPInstanceUID)
        assert latest.PatientName == "New^Name"
        assert latest.PixelData == original.PixelData
        original.PatientName = latest.PatientName
        assert latest == original


def test_metadata_search_and_etags_follow(host: Host) -> None:
    """UPD-56, UPD-57, UPD-60, UPD-63."""
    patient = uuid.uuid4().hex
    study, files = study_of(host, 2)
    uids = Uids.of(files[0])
    path = f"/v2{uids.instance_path}/metadata"
    before = host.get(path)
    update(host, [study], {"00100020": {"vr": "LO", "Value": [patient]}})
    after = host.get(path)
    assert value(after.json()[0], "00100020") == patient
    assert after.headers["ETag"] != before.headers["ETag"]
    original = host.get(path, msdicom_request_original="TRUE")
    assert original.json() == before.json()
    assert original.headers["ETag"] not in (before.headers["ETag"], after.headers["ETag"])
    assert value(host.get(f"/v2/studies?PatientID={patient}").json()[0], "0020000D") == study
    assert host.get(f"/v2/studies?StudyInstanceUID={study}&PatientID=4711").status_code == 204


def test_frames_stay_where_they_are(host: Host) -> None:
    """D-67: frames of an updated instance come from the original's bytes."""
    study, files = study_of(host, 1, frames=2)
    path = f"/v2{Uids.of(files[0]).instance_path}/frames/2"
    accept = "application/octet-stream; transfer-syntax=*"
    before = host.get(path, Accept=accept).content
    update(host, [study], {"00104000": {"vr": "LT", "Value": ["a much longer comment than there was before " * 9]}})
    assert host.get(path, Accept=accept).content == before != b""


def test_second_update_starts_from_the_first(host: Host) -> None:
    """UPD-64: later values win, earlier ones stay, and the original is still the stored file."""
    study, files = study_of(host, 2)
    update(host, [study], NAME | {"00100020": {"vr": "LO", "Value": ["first"]}})
    update(host, [study], {"00100020": {"vr": "LO", "Value": ["second"]}})
    path = f"/v2{Uids.of(files[0]).instance_path}"
    latest = pydicom.dcmread(BytesIO(host.get(path, Accept=ANY_FILE).content))
    assert (latest.PatientName, latest.PatientID) == ("New^Name", "second")
    assert host.get(path, Accept=ANY_FILE, msdicom_request_original="true").content == files[0]


def test_instances_stored_later_are_not_changed(host: Host) -> None:
    """UPD-52: an update covers what the study has when it is processed."""
    study, _ = study_of(host, 1)
    update(host, [study], NAME)
    late = builders.instance(study)
    store(host, late)
    assert host.get(f"/v2{Uids.of(late).instance_path}", Accept=ANY_FILE).content == late
    update(host, [study], {"00100020": {"vr": "LO", "Value": ["both"]}})
    datasets = host.get(f"/v2/studies/{study}/metadata").json()
    assert {value(d, "00100020") for d in datasets} == {"both"}
    assert sorted(value(d, "00100010")["Alphabetic"] for d in datasets) == ["Doe^Jane", "New^Name"]


def test_text_that_the_character_set_lacks_switches_to_utf_8(host: Host) -> None:
    """D-66: and the text that was there before is not damaged."""
    study, files = study_of(host, 1, SpecificCharacterSet="ISO_IR 100", ReferringPhysicianName="Müller^Jürgen")
    update(
        host, [study], {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]}}
    )
    path = f"/v2{Uids.of(files[0]).instance_path}"
    latest = pydicom.dcmread(BytesIO(host.get(path, Accept=ANY_FILE).content))
    assert latest.SpecificCharacterSet == "ISO_IR 192"
    assert latest.PatientName == "Yamada^Tarou=山田^太郎"
    assert latest.ReferringPhysicianName == "Müller^Jürgen"
    assert value(host.get(f"{path}/metadata").json()[0], "00100010")["Ideographic"] == "山田^太郎"


def test_feed_has_one_update_for_each_instance(host: Host) -> None:
    """CF-42, UPD-59."""
    study, _ = study_of(host, 3)
    update(host, [study], NAME)
    entries = feed(host, study)
    assert [(e["action"], e["state"]) for e in entries] == [("Create", "Replaced")] * 3 + [("Update", "Current")] * 3


def test_unknown_study_fails_and_the_others_are_updated(host: Host) -> None:
    """D-62, UPD-38, UPD-39."""
    study, _ = study_of(host, 1)
    unknown = generate_uid()
    state = update(host, [unknown, study, study], NAME)
    assert state["status"] == "failed"
    assert state["results"] == {
        "studyProcessed": 2,
        "studyUpdated": 1,
        "studyFailed": 1,
        "instanceUpdated": 1,
        "errors": [f"Failed to update instances for study {unknown}"],
    }


def test_empty_value_clears(host: Host) -> None:
    """D-63: in the file, in the metadata and in the search."""
    description = uuid.uuid4().hex
    study, files = study_of(host, 1, StudyDescription=description)
    update(host, [study], {"00081030": {"vr": "LO"}})
    path = f"/v2{Uids.of(files[0]).instance_path}"
    assert pydicom.dcmread(BytesIO(host.get(path, Accept=ANY_FILE).content)).StudyDescription == ""
    assert host.get(f"{path}/metadata").json()[0]["00081030"] == {"vr": "LO"}
    assert host.get(f"/v2/studies?StudyDescription={description}").status_code == 204


def test_delete_removes_both_versions(host: Host) -> None:
    """UPD-62, DEL-12."""
    study, files = study_of(host, 1)
    update(host, [study], NAME)
    assert host.call("DELETE", f"/v2/studies/{study}").status_code == 204
    path = f"/v2{Uids.of(files[0]).instance_path}"
    assert host.get(path, Accept=ANY_FILE).status_code == 404
    assert host.get(path, Accept=ANY_FILE, msdicom_request_original="true").status_code == 404


def test_update_in_a_partition_leaves_the_others_alone(host: Host) -> None:
    """UPD-6, PART-8."""
    file = builders.instance()
    uids, base = Uids.of(file), f"/v2/partitions/p{uuid.uuid4().hex}"
    store(host, file)
    store(host, file, base=base)
    while (response := bulk_update(host, [uids.study], NAME, base=base)).status_code == 409:
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    finished(host, started(response))
    names = [value(host.get(f"{b}{uids.instance_path}/metadata").json()[0], "00100010") for b in ("/v2", base)]
    assert names == [{"Alphabetic": "Doe^Jane"}, {"Alphabetic": "New^Name"}]


def test_answer_points_to_the_operation(host: Host) -> None:
    """UPD-25, D-6, OPS-4."""
    study, _ = study_of(host, 1)
    while (response := bulk_update(host, [study], NAME)).status_code == 409:
        assert "There is already an active update operation with ID" in response.json()["detail"]
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    operation = started(response)
    assert uuid.UUID(operation).hex == operation
    assert response.json()["href"] == response.headers["Location"] == f"{host.url}/v2/operations/{operation}"
    state = finished(host, operation)
    assert (state["operationId"], state["type"]) == (operation, "update")
    assert state["createdTime"] <= state["lastUpdatedTime"]


def test_only_one_update_runs_at_a_time(host: Host) -> None:
    """UPD-17: of many at once one is accepted, the others are told which."""
    from concurrent.futures import ThreadPoolExecutor

    study, _ = study_of(host, 30)
    update(host, [study], NAME)
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: bulk_update(host, [study] * 3, NAME), range(8)))
    accepted = [r for r in responses if r.status_code == 202]
    assert accepted
    for response in responses:
        if response.status_code == 409:
            assert response.headers["Location"].startswith(f"{host.url}/v2/operations/")
    running = [finished(host, r.json()["id"]) for r in accepted]
    assert all(state["status"] == "succeeded" for state in running)
    ordered = sorted((state["createdTime"], state["lastUpdatedTime"]) for state in running)
    assert all(first[1] <= second[1] for first, second in itertools.pairwise(ordered))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "The syntax of the request body is invalid."),
        (
            b'{"studyInstanceUids":["1.2"],"changeDataset":{"00104000":{"vr":"LT","Value":["\\ud800"]}}}',
            "The syntax of the request body is invalid.",
        ),
        (b'{"studyInstanceUids":["1.2"]}', "The required field 'ChangeDataset' is missing or empty."),
        (
            b'{"studyInstanceUids":["1.2"],"changeDataset":{}}',
            "The required field 'ChangeDataset' is missing or empty.",
        ),
        (json.dumps({"changeDataset": NAME}).encode(), "The required field 'StudyInstanceUids' is missing or empty."),
        (
            json.dumps({"studyInstanceUids": ["1.2"] * 51, "changeDataset": NAME}).encode(),
            "StudyInstanceUids count exceeded maximum length '50'",
        ),
    ],
)
def test_invalid_bodies(host: Host, body: bytes, detail: str) -> None:
    """UPD-10 to UPD-13, D-61."""
    response = host.call("POST", "/v2/studies/$bulkUpdate", body, Content_Type="application/json")
    assert response.status_code == 400
    assert response.json()["detail"] == detail


def test_invalid_uid(host: Host) -> None:
    """UPD-14."""
    response = bulk_update(host, ["1.2.x"], NAME)
    assert response.status_code == 400
    assert "DICOM Identifier is invalid" in response.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "comments"),
    [
        ({"00080060": {"vr": "CS", "Value": ["CT"]}}, ["DICOM100: (0008,0060) - Updating the tag is not supported"]),
        (
            {"00100030": {"vr": "DA", "Value": ["2023"]}, "0020000D": {"vr": "UI", "Value": ["1.2"]}},
            [
                'DICOM100: (0010,0030) - Content "2023" does not validate VR DA: '
                "one of the date values does not match the pattern YYYYMMDD",
                "DICOM100: (0020,000d) - Updating the tag is not supported",
            ],
        ),
    ],
)
def test_invalid_datasets(host: Host, changes: dict[str, Any], comments: list[str]) -> None:
    """UPD-15, UPD-16, UPD-20: all problems are listed in a DICOM JSON body."""
    response = bulk_update(host, ["1.2.3"], changes)
    assert response.status_code == 400
    items = response.json()["00741048"]["Value"]
    assert [item["00000902"]["Value"][0] for item in items] == comments


def test_other_media_type(host: Host) -> None:
    """UPD-2, D-60."""
    response = host.call("POST", "/v2/studies/$bulkUpdate", b"{}", Content_Type="text/plain")
    assert response.status_code == 415


def test_terminated_and_purged_operations_free_the_lock(host: Host) -> None:
    """OPS-19, UPD-34: an operator can end an operation; whatever became of its orchestration, the next update can start."""
    study, _ = study_of(host, 1)
    for ending in ("terminate", "purge"):
        while (
            response := bulk_update(host, [study] * 2 + [generate_uid() for _ in range(40)], NAME)
        ).status_code == 409:
            finished(host, response.headers["Location"].rsplit("/", 1)[1])
        operation = started(response)
        while host.get(f"/v2/operations/{operation}").json()["status"] == "notStarted":
            pass
        instance = f"/runtime/webhooks/durabletask/instances/{operation}"
        if ending == "terminate":
            assert host.call("POST", f"{instance}/terminate?reason=test").status_code in (202, 410)
        else:
            assert host.call("DELETE", instance).status_code == 200
        state = finished(host, operation)
        assert state["status"] in ("canceled", "failed")
        assert update(host, [study], NAME)["status"] == "succeeded"


def test_unknown_operations(host: Host) -> None:
    """OPS-3, D-82."""
    assert host.get(f"/v2/operations/{uuid.uuid4()}").status_code == 404
    assert host.get("/v2/operations/nonsense").status_code == 400
