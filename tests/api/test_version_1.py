"""What `/v1` does otherwise than `/v2` (VER-20 to VER-30, STOW-140)."""

from __future__ import annotations

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import Uids, bulk_update, feed, finished, started, store, value
from tests.support.host import Host

ELEMENT_OF_FAILURE = "00081198"
ELEMENT_OF_SUCCESS = "00081199"
FAILED_ATTRIBUTES = "00741048"


@pytest.mark.parametrize(
    ("attributes", "comment"),
    [
        (
            {"StudyDate": "20231399"},
            "DICOM100: (0008,0020) - Dicom element 'StudyDate' failed validation for VR 'DA': ",
        ),
        ({"AccessionNumber": "A" * 17}, "DICOM100: (0008,0050) - Dicom element 'AccessionNumber' failed validation"),
        ({"PatientName": "a" * 65}, "DICOM100: (0010,0010) - "),
        ({"Modality": "A" * 17}, "DICOM100: (0008,0060) - "),
        ({"PatientID": ""}, "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."),
    ],
)
def test_searchable_attributes_must_be_valid(host: Host, attributes: dict[str, str], comment: str) -> None:
    """VER-20, VER-23: what v2 takes with a warning is refused."""
    file = builders.instance(**attributes)
    refused = store(host, file, base="/v1")
    assert refused.status_code == 409
    failure = value(refused.json(), ELEMENT_OF_FAILURE)
    assert value(failure, "00081197") == 43264
    [item] = failure[FAILED_ATTRIBUTES]["Value"]
    assert value(item, "00000902").startswith(comment)
    assert store(host, file).status_code == 202


def test_other_attributes_need_not_be_valid(host: Host) -> None:
    """VER-20 to VER-22: 200, without FailedAttributesSequence; metadata are the same through both versions (VER-30)."""
    file = builders.instance(PatientAge="old")
    stored = store(host, file, base="/v1")
    assert stored.status_code == 200
    item = value(stored.json(), ELEMENT_OF_SUCCESS)
    assert FAILED_ATTRIBUTES not in item
    uids = Uids.of(file)
    assert value(item, "00081190") == f"{host.url}/v1{uids.instance_path}"  # VER-7
    one, two = (host.get(f"/{version}{uids.instance_path}/metadata").json() for version in ("v1", "v2"))
    assert one == two
    assert "00101010" not in one[0]


def test_implicit_vr(host: Host) -> None:
    """STOW-91, STOW-140: 200 with the warning reason 45063."""
    stored = store(host, builders.instance(transfer_syntax=builders.IMPLICIT_LITTLE), base="/v1")
    assert stored.status_code == 200
    assert value(value(stored.json(), ELEMENT_OF_SUCCESS), "00081196") == 45063


def test_several_values_of_a_searchable_attribute(host: Host) -> None:
    """STOW-74: in v1 of any, in v2 only of PatientID."""
    name = {"PatientName": ["A^B", "C^D"]}
    assert "multiple values" in store(host, builders.instance(**name), base="/v1").headers["Warning"]
    assert "Warning" not in store(host, builders.instance(**name)).headers


def test_some_stored_some_refused(host: Host) -> None:
    """STOW-113: 202 in both versions."""
    response = store(host, builders.instance(), builders.instance(StudyDate="x"), base="/v1")
    assert response.status_code == 202


def test_search_results(host: Host) -> None:
    """VER-24, QIDO-103."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    [study] = host.get(f"/v1/studies?StudyInstanceUID={uids.study}").json()
    assert {"00080030", "00100040", "00200010"} <= set(study)
    assert "00081030" not in study
    [series] = host.get(f"/v1{uids.study_path}/series").json()
    assert "00080060" in series
    assert "00200011" not in series
    [instance] = host.get(f"/v1{uids.series_path}/instances").json()
    assert {"00080016", "00200013", "00280010"} <= set(instance)


def test_change_feed(host: Host) -> None:
    """VER-25, CF-3, CF-4, CF-11: the offset is a sequence, the page ends `limit` sequences behind it."""
    study = generate_uid()
    for _ in range(2):
        store(host, builders.instance(study=study))
    first = feed(host, study)[0]["sequence"]
    page = host.get(f"/v1/changefeed?offset={first - 1}&limit=2&startTime=nonsense&includemetadata=false").json()
    assert [entry["sequence"] for entry in page] == [first, first + 1]
    assert len(host.get("/v1/changefeed").json()) <= 10
    assert host.get(f"/v1/changefeed?offset={2**62}").json() == []
    latest = host.get("/v1/changefeed/latest?includeMetadata=false").json()
    assert latest["sequence"] > first
    assert "metadata" not in latest


@pytest.mark.parametrize(
    "query", ["limit=101", "limit=0", "offset=-1", "offset=92233720368547758070", "includeMetadata=0"]
)
def test_change_feed_parameters(host: Host, query: str) -> None:
    """CF-20 to CF-22."""
    assert host.get(f"/v1/changefeed?{query}").status_code == 400


def test_operations(host: Host) -> None:
    """VER-27, UPD-32, OPS-14: `completed` instead of `succeeded`."""
    file = builders.instance()
    store(host, file)
    operation = started(bulk_update(host, [Uids.of(file).study], {"00100020": {"vr": "LO", "Value": ["x"]}}))
    assert finished(host, operation)["status"] == "succeeded"
    assert host.get(f"/v1/operations/{operation}").json()["status"] == "completed"


def test_bulk_update_is_not_there(host: Host) -> None:
    """VER-28, UPD-1."""
    for base in ("/v1", "/v1/partitions/Microsoft.Default"):
        response = bulk_update(host, ["1.2.3"], {"00100020": {"vr": "LO", "Value": ["x"]}}, base=base)
        assert response.status_code == 404
