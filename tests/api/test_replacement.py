"""`PUT studies` and `PUT studies/{study}` (STOW-4, D-19)."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, bulk_update, feed, finished, started, store, value
from tests.support.host import Host

put = partial(store, method="PUT")


@pytest.mark.parametrize("below", ["/studies", "/studies/{study}"])
def test_replaces(host: Host, below: str) -> None:
    """The new file, its metadata and its searchable values take the place of the old ones; the answer is that of a store."""
    patients = [uuid.uuid4().hex for _ in range(2)]
    file = builders.instance(PatientID=patients[0])
    uids = Uids.of(file)
    path = below.format(study=uids.study)
    assert put(host, file, path=path).status_code == 200
    new = builders.instance(uids.study, uids.series, uids.instance, PatientID=patients[1], rows=8)
    etag = host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).headers["ETag"]
    response = put(host, new, path=path)
    assert response.status_code == 200
    [item] = response.json()["00081199"]["Value"]
    assert value(item, "00081155") == uids.instance
    assert ("00081190" in response.json()) == (below != "/studies")
    got = host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE)
    assert got.content == new
    assert got.headers["ETag"] != etag
    [metadata] = host.get(f"/v2{uids.study_path}/metadata").json()
    assert value(metadata, "00280010") == 8
    assert host.get(f"/v2/studies?PatientID={patients[0]}").status_code == 204
    [study] = host.get(f"/v2/studies?PatientID={patients[1]}&includefield=00201208").json()
    assert value(study, "00201208") == 1
    entries = feed(host, uids.study)
    assert [(entry["action"], entry["state"]) for entry in entries] == [("Create", "Replaced"), ("Update", "Current")]


def test_same_bytes_change_nothing(host: Host) -> None:
    """No entry in the feed, no other entity tag; 200 both times."""
    file = builders.instance()
    uids = Uids.of(file)
    assert store(host, file).status_code == 200
    etag = host.get(f"/v2{uids.study_path}/metadata").headers["ETag"]
    assert put(host, file).status_code == 200
    assert host.get(f"/v2{uids.study_path}/metadata").headers["ETag"] == etag
    assert len(feed(host, uids.study)) == 1


def test_after_an_update(host: Host) -> None:
    """What an update has changed is replaced also by the bytes it was made of, and there is no other original then."""
    file = builders.instance(PatientID="old")
    uids = Uids.of(file)
    store(host, file)
    changes = {"00100020": {"vr": "LO", "Value": ["new"]}}
    finished(host, started(bulk_update(host, [uids.study], changes)))
    assert put(host, file).status_code == 200
    for headers in ({}, {"msdicom_request_original": "true"}):
        assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE, **headers).content == file
    entries = feed(host, uids.study)
    assert [entry["action"] for entry in entries] == ["Create", "Update", "Update"]
    assert [entry["state"] for entry in entries] == ["Replaced", "Replaced", "Current"]


def test_statuses_are_those_of_post(host: Host) -> None:
    """STOW-42, STOW-102, STOW-111 to STOW-114: a mismatch, the same instance twice, and a warning."""
    file = builders.instance()
    uids = Uids.of(file)
    response = put(host, file, path="/studies/1.2.3")
    assert response.status_code == 409
    assert value(response.json()["00081198"]["Value"][0], "00081197") == 43265
    response = put(host, file, file)
    assert response.status_code == 202
    assert value(response.json()["00081198"]["Value"][0], "00081197") == 45070
    warned = builders.instance(uids.study, uids.series, uids.instance, StudyDate="20241301")
    response = put(host, warned)
    assert response.status_code == 202
    assert value(response.json()["00081199"]["Value"][0], "00081196") == 1
    assert host.call("PUT", "/v2/studies/1.2.x", b"", Content_Type="application/dicom").status_code == 400
    assert put(host, path="/studies").status_code == 204


def test_in_its_partition_only(host: Host) -> None:
    """PART-8: the same UIDs in another partition are another instance."""
    base = f"/v2/partitions/p{uuid.uuid4().hex}"
    file = builders.instance()
    uids = Uids.of(file)
    new = builders.instance(uids.study, uids.series, uids.instance, rows=8)
    store(host, file)
    for each in (file, new):
        assert put(host, each, base=base).status_code == 200
    assert host.get(f"{base}{uids.instance_path}", Accept=ANY_FILE).content == new
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file
