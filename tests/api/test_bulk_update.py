"""Bulk update over HTTP (UPD-1 to UPD-91, D-60 to D-71)."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pydicom
import pytest
import requests
from pydicom.datadict import tag_for_keyword
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.updatable import UPDATABLE
from shared.services.operations import RETENTION_SECONDS
from shared.storage import operations
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from shared.storage.wire import Operation
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


def dry_run(host: Host, studies: list[str], changes: dict[str, Any], base: str = "/v2") -> dict[str, Any]:
    body = json.dumps({"studyInstanceUids": studies, "changeDataset": changes})
    response = host.call(
        "POST", f"{base}/studies/$bulkUpdate?DryRun=True", body, Content_Type="application/json; charset=utf-8"
    )
    assert response.status_code == 200, response.text
    preview: dict[str, Any] = response.json()
    return preview


def test_every_instance_of_the_study_changes_and_the_originals_stay(host: Host) -> None:
    """UPD-36, UPD-53, UPD-61, UPD-65, D-65, D-69: the latest by default, the original on request, the same pixels."""
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
    assert host.get(f"/v2/studies?StudyInstanceUID={study}&PatientID=patient-4711").status_code == 204


def test_frames_stay_where_they_are(host: Host) -> None:
    """UPD-77, D-27: frames of an updated instance come from the original's bytes."""
    study, files = study_of(host, 1, frames=2)
    path = f"/v2{Uids.of(files[0]).instance_path}/frames/2"
    accept = "application/octet-stream; transfer-syntax=*"
    before = host.get(path, Accept=accept).content
    update(host, [study], {"00104000": {"vr": "LT", "Value": ["a much longer comment than there was before " * 9]}})
    assert host.get(path, Accept=accept).content == before != b""


def test_second_update_starts_from_the_first(host: Host) -> None:
    """UPD-54, UPD-64: later values win, earlier ones stay, and the original is still the stored file."""
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
    """D-61, D-62, UPD-37 to UPD-40."""
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
    """UPD-18, UPD-25, D-6 (OPS-20, OPS-25), OPS-4, OPS-5, OPS-11, OPS-18."""
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
    """UPD-17, OPS-21: of many at once one is accepted, the others are told which."""
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


@pytest.mark.parametrize("uid", ["1.2.x", "", " ", "1" * 65, None, 12])
def test_invalid_uid(host: Host, uid: Any) -> None:
    """UPD-14."""
    response = bulk_update(host, ["1.2", uid], NAME)
    assert response.status_code == 400
    assert "DICOM Identifier is invalid" in response.json()["detail"]


def test_tolerated_bodies(host: Host) -> None:
    """UPD-3: names in any case, comments, trailing commas and unknown properties; D-60: no Content-Type."""
    body = b"""{ // a comment
        "STUDYINSTANCEUIDS": ["1.2", /* another, ] */ ],
        "changedataset": {"PatientName": {"vr": "PN", "Value": [{"Alphabetic": "// no, /* comment */ \\" ,]",}],},},
        "extra": 1,
    }"""
    response = host.call("POST", "/v2/studies/$bulkUpdate?dryRun=true", body)
    assert response.status_code == 200, response.text
    [study] = response.json()["studies"]
    assert study["attributes"][0]["new"]["Value"] == [{"Alphabetic": '// no, /* comment */ " ,]'}]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonsense": {"vr": "LO"}},
        {"00100020": {"Value": ["x"]}},
        {"00100020": {"vr": "LO", "Value": "x"}},
        {"00100020": {"vr": "LO", "Value": [1]}},
        {"00100020": "x"},
        {"00100010": {"vr": "PN", "Value": ["Doe^Jane"]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 1}]}},
        {"00100010": {"vr": "PN", "Value": [{"Other": "x"}]}},
        {"00280010": {"vr": "US", "Value": ["512"]}},
        {"PatientID": {"vr": "LO"}, "00100020": {"vr": "LO"}},
    ],
)
def test_malformed_datasets(host: Host, changes: dict[str, Any]) -> None:
    """UPD-10: what is no DICOM JSON (PS3.18 F.2)."""
    response = bulk_update(host, ["1.2"], changes)
    assert response.status_code == 400
    assert "change dataset" in response.json()["detail"]


def test_order_of_validation(host: Host) -> None:
    """UPD-11 to UPD-16: the dataset is missed before the studies, these are checked before its content."""
    for body, expected in (
        ({}, "ChangeDataset"),
        ({"changeDataset": None, "studyInstanceUids": []}, "ChangeDataset"),
        ({"changeDataset": {"StudyDate": {"vr": "DA"}}, "studyInstanceUids": None}, "StudyInstanceUids"),
        ({"changeDataset": {"StudyDate": {"vr": "DA"}}, "studyInstanceUids": []}, "StudyInstanceUids"),
        ({"changeDataset": {"StudyDate": {"vr": "DA"}}, "studyInstanceUids": ["x"]}, "StudyInstanceUID"),
    ):
        response = host.call("POST", "/v2/studies/$bulkUpdate", json.dumps(body), Content_Type="application/json")
        assert response.status_code == 400
        assert expected in response.json()["detail"]


def test_partition_must_exist(host: Host) -> None:
    """UPD-6."""
    response = bulk_update(host, ["1.2"], NAME, base=f"/v2/partitions/p{uuid.uuid4().hex}")
    assert response.status_code == 400
    assert "does not exist" in response.json()["detail"]


def test_fifty_studies_are_fine(host: Host) -> None:
    """UPD-13."""
    studies = [generate_uid() for _ in range(50)]
    preview = dry_run(host, studies, NAME)
    assert (preview["studyProcessed"], preview["studyFailed"]) == (50, 50)


def test_other_versions(host: Host) -> None:
    """UPD-1, VER-3; of v1 in test_version_1.py."""
    assert bulk_update(host, ["1.2"], NAME, base="/v3").json()["error"]["code"] == "UnsupportedApiVersion"


@pytest.mark.parametrize(
    ("changes", "comments"),
    [
        ({"00080060": {"vr": "CS", "Value": ["CT"]}}, ["DICOM100: (0008,0060) - Updating the tag is not supported"]),
        ({"00081110": {"vr": "SQ", "Value": [{}]}}, ["DICOM100: (0008,1110) - Updating the tag is not supported"]),
        ({"00090010": {"vr": "LO", "Value": ["X"]}}, ["DICOM100: (0009,0010) - Updating the tag is not supported"]),
        ({"00100020": {"vr": "SH", "Value": ["X"]}}, ["DICOM100: (0010,0020) - The VR must be LO"]),
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


def test_operations_that_are_switched_off(azurite: Azurite, tmp_path: Path) -> None:
    """UPD-5, OPS-24: none can be started any more; one that runs goes on, and can be asked for. A dry run starts none."""
    text = "Asynchronous operations are temporarily disabled. Please try again later."
    before = Host(azurite.connection_string, tmp_path).start()
    study, _ = study_of(before, 1)
    while (response := bulk_update(before, [study], NAME)).status_code == 409:
        finished(before, response.headers["Location"].rsplit("/", 1)[1])
    before.kill()

    host = Host(azurite.connection_string, tmp_path, DICOM_OPERATIONS="off").start()
    try:
        assert finished(host, started(response))["status"] == "succeeded"
        for path, body in (
            ("studies/$bulkUpdate", {"studyInstanceUids": [study], "changeDataset": NAME}),
            ("partitions/Microsoft.Default/studies/$bulkUpdate", {}),
            ("extendedquerytags", [{"path": "00101002", "level": "Study"}]),
        ):
            refused = host.call("POST", f"/v2/{path}", json.dumps(body), Content_Type="application/json")
            assert (refused.status_code, refused.json()["detail"]) == (400, text)
        assert dry_run(host, [study], NAME)["studyUpdated"] == 1
        assert host.get("/v2/extendedquerytags").status_code == 200
    finally:
        host.stop()


def test_unknown_operations(host: Host) -> None:
    """OPS-1, OPS-3, D-82: there is no list of them, and nothing else can be done to one."""
    for method, path, status in (
        ("GET", "", 404),
        ("DELETE", f"/{uuid.uuid4()}", 405),
        ("POST", f"/{uuid.uuid4()}", 405),
    ):
        assert host.call(method, f"/v2/operations{path}").status_code == status
    assert host.get(f"/v2/operations/{uuid.uuid4()}").status_code == 404
    assert host.get("/v2/operations/nonsense").status_code == 400


VALUES: dict[str, list[Any]] = {
    "PN": [{"Alphabetic": "Müller^Anna"}],
    "DA": ["19800229"],
    "TM": ["101112.5"],
    "AS": ["042Y"],
    "DS": [1.75],
    "CS": ["YES"],
    "LT": ["two\r\nlines"],
}


def test_all_attributes(host: Host) -> None:
    """UPD-53, UPD-80, D-68: each of the 36, with several values where there may be some, in file, metadata and search."""
    several = {0x00101000, 0x00101001, 0x00102154}
    changes: dict[str, Any] = {}
    for tag, vr in UPDATABLE.items():
        values = VALUES.get(vr, [f"{vr} {tag:08X}"])
        changes[f"{tag:08X}"] = {"vr": vr, "Value": values * (2 if tag in several else 1)}
    changes["00100020"]["Value"] = [patient := uuid.uuid4().hex]
    study, files = study_of(host, 1, SpecificCharacterSet="ISO_IR 100")
    assert update(host, [study], changes)["status"] == "succeeded"
    path = f"/v2{Uids.of(files[0]).instance_path}"
    latest = pydicom.dcmread(BytesIO(host.get(path, Accept=ANY_FILE).content)).to_json_dict()
    metadata = host.get(f"{path}/metadata").json()[0]
    assert len(changes) == 36
    for tag, element in changes.items():
        assert latest[tag] == element
        assert metadata[tag] == element
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyDescription", "PatientName", "PatientBirthDate"):
        value = changes[f"{tag_for_keyword(keyword):08X}"]["Value"][0]
        text = value["Alphabetic"] if isinstance(value, dict) else value
        found = host.get(f"/v2/studies?PatientID={patient}&{keyword}={quote(text)}")
        assert found.status_code == 200, keyword


def test_ten_updates_with_overlapping_covers(host: Host) -> None:
    """UPD-52, UPD-64, D-65: an instance has all updates since its store, in their order, and its original for ever."""
    study, files = study_of(host, 1)
    for n in range(10):
        changes = {
            "00104000": {"vr": "LT", "Value": [f"update {n}"]},
            f"001010{'20' if n % 2 else '30'}": {"vr": "DS", "Value": [n]},
        }
        assert update(host, [study], changes)["results"]["instanceUpdated"] == len(files)
        files.append(builders.instance(study, InstanceNumber=n + 2))
        store(host, files[-1])
    for n, file in enumerate(files):
        path = f"/v2{Uids.of(file).instance_path}"
        latest = pydicom.dcmread(BytesIO(host.get(path, Accept=ANY_FILE).content))
        assert latest.get("PatientComments") == ("update 9" if n < 10 else None)
        assert latest.get("PatientSize") == (9 if n <= 9 else None)
        assert latest.get("PatientWeight") == (8 if n <= 8 else None)
        assert host.get(path, Accept=ANY_FILE, msdicom_request_original="true").content == file
        metadata = host.get(f"{path}/metadata").json()[0]
        assert metadata.get("00101030", {}).get("Value") == ([8] if n <= 8 else None)


def test_study_switches_at_one_instant(host: Host) -> None:
    """UPD-51, UPD-63: whoever reads while 2,000 instances are updated sees all of them old or all of them new."""
    study, series = generate_uid(), generate_uid()
    for start in range(0, 2000, 500):
        files = [builders.instance(study, series, rows=0, InstanceNumber=start + n) for n in range(500)]
        assert store(host, *files).status_code == 200
    while (response := bulk_update(host, [study], NAME)).status_code == 409:
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    operation, answers = started(response), []
    while not answers or host.get(f"/v2/operations/{operation}").status_code == 202:
        names = {value(d, "00100010")["Alphabetic"] for d in host.get(f"/v2/studies/{study}/metadata").json()}
        assert len(names) == 1
        answers += names
    answers += {value(d, "00100010")["Alphabetic"] for d in host.get(f"/v2/studies/{study}/metadata").json()}
    assert answers[-1] == "New^Name"
    assert answers == sorted(answers)  # Doe^Jane, and from some moment on New^Name
    assert finished(host, operation)["results"]["instanceUpdated"] == 2000


def test_study_that_is_deleted_first_fails(host: Host) -> None:
    """DEL-17, UPD-31, UPD-33, UPD-89: and the operation is a hundred percent done."""
    study, _ = study_of(host, 1)
    host.call("DELETE", f"/v2/studies/{study}")
    state = update(host, [study], NAME)
    assert (state["status"], state["percentComplete"], state["results"]["studyFailed"]) == ("failed", 100, 1)


def test_dry_run_tells_what_would_change(host: Host) -> None:
    """D-71: and changes nothing."""
    study, files = study_of(host, 2, SpecificCharacterSet="ISO_IR 100")
    store(host, late := builders.instance(study, PatientID="other", PatientSex=None))
    files.append(late)
    unknown = generate_uid()
    changes = {"00100020": {"vr": "LO", "Value": ["山田"]}, "00100040": {"vr": "CS"}}
    before = [host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).headers["ETag"] for file in files]
    preview = dry_run(host, [unknown, study, study], changes)
    assert preview == {
        "studyProcessed": 2,
        "studyUpdated": 1,
        "studyFailed": 1,
        "instanceUpdated": 3,
        "studies": [
            {
                "studyInstanceUid": unknown,
                "found": False,
                "instances": 0,
                "attributes": [
                    {"tag": "00100020", "keyword": "PatientID", "new": changes["00100020"], "current": []},
                    {"tag": "00100040", "keyword": "PatientSex", "new": changes["00100040"], "current": []},
                ],
                "problems": ["The study does not exist."],
            },
            {
                "studyInstanceUid": study,
                "found": True,
                "instances": 3,
                "attributes": [
                    {
                        "tag": "00100020",
                        "keyword": "PatientID",
                        "new": {"vr": "LO", "Value": ["山田"]},
                        "current": [
                            {"element": {"vr": "LO", "Value": ["patient-4711"]}, "instances": 2},
                            {"element": {"vr": "LO", "Value": ["other"]}, "instances": 1},
                        ],
                    },
                    {
                        "tag": "00100040",
                        "keyword": "PatientSex",
                        "new": {"vr": "CS"},
                        "current": [
                            {"element": {"vr": "CS", "Value": ["O"]}, "instances": 2},
                            {"element": None, "instances": 1},
                        ],
                    },
                ],
                "problems": ["3 instances will switch to the character set ISO_IR 192, to express the new values."],
            },
        ],
    }
    assert [host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).headers["ETag"] for file in files] == before
    assert [entry["action"] for entry in feed(host, study)] == ["Create"] * 3
    assert bulk_update(host, ["x"], changes).status_code == 400


def test_dry_run_is_validated(host: Host) -> None:
    """D-71: like an update, and the parameter itself."""
    path = "/v2/studies/$bulkUpdate?dryRun="
    body = json.dumps({"studyInstanceUids": ["1.2"], "changeDataset": NAME})
    assert host.call("POST", f"{path}maybe", body, Content_Type="application/json").status_code == 400
    invalid = json.dumps({"studyInstanceUids": ["1.2"], "changeDataset": {"StudyDate": {"vr": "DA"}}})
    response = host.call("POST", f"{path}true", invalid, Content_Type="application/json")
    assert (response.status_code, list(response.json())) == (400, ["00741048"])


def test_audit_trail(host: Host) -> None:
    """UPD-91: an event of the request, which names the studies, and one of the end of its operation, of the same trace."""
    study, _ = study_of(host, 1)
    ends = [(update(host, studies, NAME)["operationId"], studies) for studies in ([study], [generate_uid()])]
    lines = host.log.read_text().splitlines()
    events = [json.loads(line.split(": ", 1)[1]) for line in lines if line.startswith("INFO dicom.audit: ")]
    for (operation, studies), status in zip(ends, (200, 400), strict=True):
        [end] = [event for event in events if event["resource"].get("operation") == operation and "method" not in event]
        assert (end["operation"], end["status"]) == ("update-study-operation", status)
        begins = [event for event in events if event.get("studies") == studies and event["operation"] == "update-study"]
        assert begins[-1]["status"] == 202
        assert begins[-1].get("traceId") == end.get("traceId")


def test_fifty_requests_through_two_hosts(host: Host, azurite: Azurite, tmp_path: Path) -> None:
    """UPD-17, D-6: one is accepted, the others are told which one runs. The hosts share a task hub, as hosts in Azure do."""
    study, series = generate_uid(), generate_uid()
    assert store(host, *[builders.instance(study, series, rows=0) for _ in range(300)]).status_code == 200
    update(host, [study], NAME)
    other = Host(azurite.connection_string, tmp_path, task_hub=host.url).start()
    try:
        body = json.dumps({"studyInstanceUids": [study] + [generate_uid() for _ in range(49)], "changeDataset": NAME})

        def post(number: int) -> requests.Response:
            hosts = (host, other)
            return hosts[number % 2].call("POST", "/v2/studies/$bulkUpdate", body, Content_Type="application/json")

        with ThreadPoolExecutor(50) as pool:
            responses = list(pool.map(post, range(50)))
        [accepted] = [response for response in responses if response.status_code == 202]
        operation = started(accepted)
        for response in responses:
            if response is not accepted:
                assert response.status_code == 409
                assert operation in response.json()["detail"]
                assert response.headers["Location"].endswith(f"/v2/operations/{operation}")
        state = finished(other, operation)
        assert (state["status"], state["results"]["instanceUpdated"]) == ("failed", 300)
        assert finished(other, started(bulk_update(other, [study], NAME)))["status"] == "succeeded"
    finally:
        assert other.stop() == 0


def test_operation_that_succeeded_long_ago_is_forgotten(azurite: Azurite, tmp_path: Path) -> None:
    """OPS-22, UPD-90: after a week, together with its orchestration; one that failed stays."""
    host = Host(azurite.connection_string, tmp_path).start()
    study, _ = study_of(host, 1)
    old, recent = update(host, [study], NAME)["operationId"], update(host, [study], NAME)["operationId"]
    failed = update(host, [generate_uid()], NAME)["operationId"]
    assert host.stop() == 0

    async def age() -> None:
        storage = await Storage.open(
            StorageAccount.from_environment({"AzureWebJobsStorage": azurite.connection_string})
        )
        for operation in (old, failed):
            entity = await storage.wire.get_entity(operations.TABLE, operation, "")
            assert entity is not None
            entity.properties["updated"] = int(entity.properties["updated"]) - RETENTION_SECONDS * 1_000_000
            await storage.wire.transact(operations.TABLE, [Operation("update", entity)])
        await storage.close()

    asyncio.run(age())
    host.start()  # upkeep runs when a host starts
    try:
        deadline = time.monotonic() + 60
        while host.get(f"/v2/operations/{old}").status_code != 404:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        instances = "/runtime/webhooks/durabletask/instances"
        assert host.get(f"{instances}/{old}").status_code == 404
        assert host.get(f"{instances}/{recent}").status_code == 200
        assert host.get(f"/v2/operations/{recent}").status_code == 200
        assert host.get(f"/v2/operations/{failed}").json()["status"] == "failed"
    finally:
        assert host.stop() == 0


def test_ids_of_operations(host: Host) -> None:
    """OPS-2, OPS-6, OPS-10, OPS-12, OPS-15, OPS-17: with dashes and braces too; times are UTC."""
    study, _ = study_of(host, 1)
    operation = update(host, [study], NAME)["operationId"]
    for text in (str(uuid.UUID(operation)), f"{{{uuid.UUID(operation)}}}", operation.upper()):
        response = host.get(f"/v2/operations/{quote(text)}")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
        state = response.json()
        assert state["operationId"] == operation
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", state["createdTime"])
        assert "resources" not in state
        assert state["results"]["studyUpdated"] == 1
