"""Data partitions over HTTP (PART-1 to PART-17, D-95, D-96)."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, bulk_update, feed, store, value
from tests.support.host import Host


def fresh() -> str:
    return uuid.uuid4().hex


def names(host: Host) -> list[str]:
    return [each["partitionName"] for each in host.get("/v2/partitions").json()]


def test_created_by_store(host: Host) -> None:
    """PART-6, PART-9, PART-12, STOW-3, STOW-120."""
    name = f"Site.{fresh()}_-"
    base = f"/v2/partitions/{name}"
    file = builders.instance()
    uids = Uids.of(file)
    assert name not in names(host)
    response = store(host, file, base=base, path=uids.study_path)
    assert response.status_code == 200
    assert value(response.json(), "00081190") == f"{host.url}{base}{uids.study_path}"
    assert name in names(host)
    assert host.get(f"{base}{uids.instance_path}", Accept=ANY_FILE).content == file
    response = host.get(f"{base}{uids.study_path}")
    assert f"Content-Location: {host.url}{base}{uids.instance_path}\r\n".encode() in response.content
    assert [entry["partitionName"] for entry in feed(host, uids.study)] == [name]


def test_listed(host: Host) -> None:
    """PART-10, D-95."""
    response = host.get("/v2/partitions")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    listed = response.json()
    [default] = [each for each in listed if each["partitionName"] == "Microsoft.Default"]
    assert default["partitionKey"] == 1
    assert len({each["partitionKey"] for each in listed}) == len(listed)
    for each in listed:
        assert set(each) == {"partitionKey", "partitionName", "createdDate"}
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}\+00:00", each["createdDate"])


def test_default_partition(host: Host) -> None:
    """D-95: a path without the segment means it."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    assert host.get(f"/v2/partitions/Microsoft.Default{uids.instance_path}", Accept=ANY_FILE).content == file
    assert store(host, file, base="/v2/partitions/Microsoft.Default").status_code == 409


def test_unknown_partition(host: Host) -> None:
    """PART-6, D-96: only a store creates it."""
    name = fresh()
    base = f"/v2/partitions/{name}"
    study = generate_uid()
    answers = [
        host.get(f"{base}{path}")
        for path in ("/studies", "/series", "/instances", "/studies/1", "/studies/1/metadata", "/studies/1/series",
                     "/studies/1/series/1", "/studies/1/series/1/instances/1/frames/1")
    ]  # fmt: skip
    answers.append(host.call("DELETE", f"{base}/studies/{study}"))
    answers.append(bulk_update(host, [study], {"00100020": {"vr": "LO", "Value": ["x"]}}, base))
    for response in answers:
        assert response.status_code == 400
        assert response.json()["detail"] == f"Specified PartitionName '{name}' does not exist."
    assert name not in names(host)


@pytest.mark.parametrize("name", ["a b", "a%2Fb", "%C3%A9", "x" * 65, "a|b", "a'b", "%20", "a~b"])
def test_invalid_name(host: Host, name: str) -> None:
    """PART-5."""
    for response in (host.get(f"/v2/partitions/{name}/studies"), store(host, b"", base=f"/v2/partitions/{name}")):
        assert response.status_code == 400
        assert response.json()["detail"] == "The specified PartitionName is invalid."


@pytest.mark.parametrize("name", ["{}", "{}.b.c", "..{}", "-{}_", "{}" + "x" * 32])
def test_valid_name(host: Host, name: str) -> None:
    """PART-5: letters, digits, `_ . -`, up to 64 characters."""
    base = f"/v2/partitions/{name.format(fresh())}"
    file = builders.instance()
    assert store(host, file, base=base).status_code == 200
    assert host.get(f"{base}{Uids.of(file).instance_path}", Accept=ANY_FILE).content == file


def test_nothing_is_created_in_vain(host: Host) -> None:
    """STOW-6: a request that is refused by its headers creates no partition."""
    name = fresh()
    path = f"/v2/partitions/{name}/studies"
    assert host.call("POST", path, b"", Content_Type="text/plain").status_code == 415
    assert host.call("POST", path, b"", Content_Type="application/dicom", Accept="text/plain").status_code == 406
    assert host.call("POST", f"{path}/x", b"", Content_Type="application/dicom").status_code == 400
    assert name not in names(host)


def test_isolation(host: Host) -> None:
    """PART-7, PART-8: the same UIDs live independently; names are case-sensitive (D-95)."""
    name = f"part{fresh()}"
    bases = [f"/v2/partitions/{name}", f"/v2/partitions/{name.upper()}", "/v2"]
    uids = Uids(generate_uid(), generate_uid(), generate_uid())
    files = [builders.instance(uids.study, uids.series, uids.instance, PatientID=f"p{n}") for n in range(3)]
    for base, file in zip(bases, files, strict=True):
        assert store(host, file, base=base).status_code == 200
    for number, base in enumerate(bases):
        assert host.get(f"{base}{uids.instance_path}", Accept=ANY_FILE).content == files[number]
        for level in ("studies", "series", "instances"):
            [result] = host.get(f"{base}/{level}?StudyInstanceUID={uids.study}").json()
            assert value(result, "00100020") == f"p{number}"
            other = f"p{(number + 1) % 3}"
            assert host.get(f"{base}/{level}?PatientID={other}&StudyInstanceUID={uids.study}").status_code == 204
    assert host.call("DELETE", f"{bases[0]}{uids.study_path}").status_code == 204
    assert [host.get(f"{base}{uids.study_path}/metadata").status_code for base in bases] == [404, 200, 200]


def test_several_stores_create_one_partition(host: Host) -> None:
    """PART-16."""
    partitions = [fresh(), fresh()]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: store(host, builders.instance(), base=f"/v2/partitions/{partitions[n % 2]}"), range(8))
        )
    assert [each.status_code for each in answers] == [200] * 8
    listed = names(host)
    assert [listed.count(name) for name in partitions] == [1, 1]
