"""Delete over HTTP (DEL-1 to DEL-15, D-44, D-50)."""

from __future__ import annotations

import uuid

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, feed, store, value
from tests.support.host import Host


def test_instance_series_and_study(host: Host) -> None:
    """DEL-3, DEL-5, DEL-9: what is below goes, siblings stay, and a second time there is nothing."""
    study, first, second = generate_uid(), generate_uid(), generate_uid()
    files = [builders.instance(study, series) for series in (first, first, second)]
    store(host, *files)
    uids = [Uids.of(file) for file in files]
    for path in (uids[0].instance_path, uids[1].series_path, uids[2].study_path):
        assert host.call("DELETE", f"/v2{path}").status_code == 204
        assert host.call("DELETE", f"/v2{path}").status_code == 404
        left = host.get(f"/v2/studies/{study}/instances")
        found = {value(item, "00080018") for item in left.json()} if left.status_code == 200 else set()
        assert found == {u.instance for u in uids[1:] if host.get(f"/v2{u.instance_path}/metadata").status_code == 200}
    assert host.get(f"/v2/studies?StudyInstanceUID={study}").status_code == 204


def test_deleted_instance_can_be_stored_again(host: Host) -> None:
    """STOW-106, CF-56: the same UIDs, a new version; older entries are replaced."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    assert host.call("DELETE", f"/v2{uids.instance_path}").status_code == 204
    assert [(e["action"], e["state"]) for e in feed(host, uids.study)] == [("Create", "Deleted"), ("Delete", "Deleted")]
    assert store(host, file).status_code == 200
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file
    states = [(e["action"], e["state"]) for e in feed(host, uids.study)]
    assert states == [("Create", "Replaced"), ("Delete", "Replaced"), ("Create", "Current")]


def test_study_values_come_from_the_newest_that_remains(host: Host) -> None:
    """D-44."""
    study = generate_uid()
    old = builders.instance(study, PatientID="old", Modality="CT")
    new = builders.instance(study, PatientID="new", Modality="MR")
    store(host, old)
    store(host, new)
    search = f"/v2/studies?StudyInstanceUID={study}&includefield=00080061,00201208"
    assert value(host.get(search).json()[0], "00100020") == "new"
    host.call("DELETE", f"/v2{Uids.of(new).instance_path}")
    [result] = host.get(search).json()
    assert value(result, "00100020") == "old"
    assert result["00080061"]["Value"] == ["CT"]
    assert value(result, "00201208") == 1
    assert host.get(f"/v2/studies?PatientID=new&StudyInstanceUID={study}").status_code == 204


def test_large_study(host: Host) -> None:
    """DEL-11: more instances than one transaction holds; one Delete entry each."""
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, rows=0, InstanceNumber=n) for n in range(120)]
    assert store(host, *files).status_code == 200
    assert host.call("DELETE", f"/v2/studies/{study}").status_code == 204
    entries = feed(host, study)
    assert [e["action"] for e in entries] == ["Create"] * 120 + ["Delete"] * 120
    assert {e["state"] for e in entries} == {"Deleted"}
    assert len({e["sopInstanceUid"] for e in entries[120:]}) == 120


def test_what_else_the_request_says_does_not_matter(host: Host) -> None:
    """DEL-2, DEL-3: whatever it accepts, and with any body."""
    file = builders.instance()
    store(host, file)
    path = f"/v2{Uids.of(file).instance_path}"
    response = host.call("DELETE", path, b"anything", Accept="text/nothing", Content_Type="text/plain")
    assert (response.status_code, response.content) == (204, b"")


def test_only_the_partition_of_the_path(host: Host) -> None:
    """DEL-7."""
    file, name = builders.instance(), f"p{uuid.uuid4().hex}"
    path = Uids.of(file).study_path
    store(host, file)
    assert host.call("DELETE", f"/v2/partitions/{name}{path}").status_code == 400
    store(host, file, base=f"/v2/partitions/{name}")
    assert host.call("DELETE", f"/v2/partitions/{name}{path}").status_code == 204
    assert host.get(f"/v2{path}/metadata").status_code == 200


@pytest.mark.parametrize("path", ["/studies/1.x", "/studies/1.2/series/a", "/studies/1.2/series/3/instances/1."])
def test_invalid_uids(host: Host, path: str) -> None:
    """DEL-4."""
    assert host.call("DELETE", f"/v2{path}").status_code == 400
