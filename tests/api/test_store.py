"""Store over HTTP (store.md, D-10 to D-17)."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom import dcmread
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.file_meta import end_of_file_meta
from tests import builders
from tests.support.dicomweb import ANY_FILE, MULTIPART, Uids, feed, multipart, store, value
from tests.support.host import Host

JSON = "application/dicom+json"
SAMPLE_UID = "1.2.3.4.5"


def failure(response: Any, position: int = 0) -> Any:
    return value(response.json()["00081198"]["Value"][position], "00081197")


def comments(item: dict[str, Any]) -> list[str]:
    return [value(each, "00000902") for each in item["00741048"].get("Value", [])]


def test_stored(host: Host) -> None:
    """STOW-1, STOW-11, STOW-92, STOW-111, STOW-120 to STOW-123, STOW-125, D-7: neither RetrieveURL nor failures at the top."""
    file = builders.instance()
    uids = Uids.of(file)
    response = store(host, file)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == JSON
    assert response.json() == {
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
                    "00081155": {"vr": "UI", "Value": [uids.instance]},
                    "00081190": {"vr": "UR", "Value": [f"{host.url}/v2{uids.instance_path}"]},
                    "00741048": {"vr": "SQ"},
                }
            ],
        }
    }


def test_study_in_url(host: Host) -> None:
    """STOW-2, STOW-120."""
    file = builders.instance()
    path = Uids.of(file).study_path
    response = store(host, file, path=path)
    assert response.status_code == 200
    assert value(response.json(), "00081190") == f"{host.url}/v2{path}"


@pytest.mark.parametrize(
    "content_type", ["application/dicom", "Application/DICOM; transfer-syntax=1.2.840.10008.1.2.1"]
)
def test_single_part(host: Host, content_type: str) -> None:
    """STOW-13, D-14."""
    file = builders.instance()
    assert host.call("POST", "/v2/studies", file, Content_Type=content_type).status_code == 200
    assert host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content == file


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/dicom+json", "text/plain, */*;q=0.1"])
def test_accept_that_matches(host: Host, accept: str) -> None:
    """STOW-10."""
    response = host.call("POST", "/v2/studies", builders.instance(), Content_Type="application/dicom", Accept=accept)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == JSON


def test_plain_json(host: Host) -> None:
    """`application/json` is what a client gets that asks for nothing else."""
    accept = "application/json"
    response = host.call("POST", "/v2/studies", builders.instance(), Content_Type="application/dicom", Accept=accept)
    assert response.headers["Content-Type"] == accept


def test_xml_is_answered_in_json(host: Host) -> None:
    """Weasis stores with `Accept: application/dicom+xml`; npm dicomweb-client sends none (D-3)."""
    for accept in ("application/dicom+xml", ""):
        file = builders.instance()
        response = host.call("POST", "/v2/studies", file, Content_Type="application/dicom", Accept=accept)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == JSON


@pytest.mark.parametrize("accept", ["text/plain", "application/dicom", "application/dicom+json;q=0"])
def test_accept_that_matches_nothing(host: Host, accept: str) -> None:
    """STOW-10, D-3; nothing is stored."""
    file = builders.instance()
    response = host.call("POST", "/v2/studies", file, Content_Type="application/dicom", Accept=accept)
    assert response.status_code == 406
    assert host.get(f"/v2{Uids.of(file).study_path}/metadata").status_code == 404


@pytest.mark.parametrize(
    "content_type",
    ["", "application/octet-stream", "application/dicom+json", "multipart/form-data; boundary=b", MULTIPART],
)
def test_content_type_that_is_not_taken(host: Host, content_type: str) -> None:
    """STOW-12, STOW-14, STOW-150, D-2."""
    response = host.call("POST", "/v2/studies", b"--b--\r\n", Content_Type=content_type)
    assert response.status_code == 415
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == f"The specified content type '{content_type}' is not supported."


def test_first_problem_wins(host: Host) -> None:
    """STOW-6, STOW-151: Content-Type before Accept before the study of the URL."""
    path = "/v2/studies/not.a.uid"
    assert host.call("POST", path, b"", Content_Type="text/plain", Accept="text/plain").status_code == 415
    assert host.call("POST", path, b"", Content_Type="application/dicom", Accept="text/plain").status_code == 406
    response = host.call("POST", path, b"", Content_Type="application/dicom")
    assert response.status_code == 400
    assert "DICOM Identifier is invalid" in response.json()["detail"]
    assert "StudyInstanceUID" in response.json()["detail"]


def test_start_parameter(host: Host) -> None:
    """STOW-15."""
    body, content_type = multipart([builders.instance()])
    assert host.call("POST", "/v2/studies", body, Content_Type=f"{content_type}; start=x").status_code == 400


def test_type_parameter_stands_for_the_first_part_only(host: Host) -> None:
    """STOW-16, STOW-21."""
    first, second = builders.instance(), builders.instance()
    body = b"--b\r\n\r\n" + first + b"\r\n--b--\r\n"
    assert host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b").status_code == 200
    body = b"--b\r\nX-A: 1\r\n\r\n" + first + b"\r\n--b\r\nX-A: 1\r\n\r\n" + second + b"\r\n--b--\r\n"
    assert host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b").status_code == 415


def test_part_of_another_type(host: Host) -> None:
    """STOW-20 to STOW-22: the whole request fails, nothing is stored."""
    file = builders.instance()
    good = b"--b\r\nContent-Type: application/dicom; x=y\r\n\r\n" + file + b"\r\n"
    body = good + b"--b\r\nContent-Type: application/dicom+json\r\n\r\n[]\r\n--b--\r\n"
    assert host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b").status_code == 415
    assert host.get(f"/v2{Uids.of(file).study_path}/metadata").status_code == 404
    assert host.call("POST", "/v2/studies", good + b"--b--", Content_Type=f"{MULTIPART}; boundary=b").status_code == 200


@pytest.mark.parametrize("body", [b"--b--", b"--b--\r\n", b"\r\n--b--\r\n", b"--b\r\n\r\n--b--\r\n"])
def test_no_part(host: Host, body: bytes) -> None:
    """STOW-23, STOW-110."""
    response = host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b")
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("body", [b"", b"nothing", b"--b\r\nbad header\r\n\r\nx\r\n--b--"])
def test_broken_multipart(host: Host, body: bytes) -> None:
    """STOW-24."""
    response = host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


def test_body_that_breaks_off(host: Host) -> None:
    """D-16: nothing of the broken part is stored."""
    first, second = builders.instance(), builders.instance()
    body, content_type = multipart([first, second])
    assert host.call("POST", "/v2/studies", body[:-40], Content_Type=content_type).status_code == 400
    assert host.get(f"/v2{Uids.of(second).study_path}/metadata").status_code == 404


def test_not_dicom(host: Host) -> None:
    """STOW-27, STOW-114, STOW-124, STOW-126: the reason is all that is known."""
    for body in (b"", b"not dicom", bytes(128) + b"DICMxyz", builders.instance()[:300]):
        response = host.call("POST", "/v2/studies", body, Content_Type="application/dicom")
        assert response.status_code == 409
        assert response.headers["Content-Type"] == JSON
        assert response.json() == {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}


def test_order_of_the_answer(host: Host) -> None:
    """STOW-28, STOW-113, STOW-121, D-15: stored and failed in the order of the request, one bad part spoils no other."""
    study = generate_uid()
    good = [builders.instance(study) for _ in range(5)]
    bad = [builders.instance(study, StudyInstanceUID=None) for _ in range(3)]
    response = store(host, good[0], bad[0], good[1], good[2], bad[1], b"", good[3], bad[2], good[4])
    assert response.status_code == 202
    stored = [value(item, "00081155") for item in response.json()["00081199"]["Value"]]
    failed = [value(item, "00081155") for item in response.json()["00081198"]["Value"]]
    assert stored == [Uids.of(file).instance for file in good]
    sops = [builders.pydicom.dcmread(builders.BytesIO(file)).SOPInstanceUID for file in bad]
    assert failed == [sops[0], sops[1], None, sops[2]]


def test_duplicate(host: Host) -> None:
    """STOW-100, STOW-107, STOW-124: whatever its content."""
    file = builders.instance()
    uids = Uids.of(file)
    store(host, file)
    other = builders.instance(uids.study, uids.series, uids.instance, PatientID="other", StudyDate="bad")
    response = store(host, other)
    assert response.status_code == 409
    assert failure(response) == 45070
    [item] = response.json()["00081198"]["Value"]
    assert value(item, "00081155") == uids.instance
    assert "00741048" not in item
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file


def test_duplicate_within_a_request(host: Host) -> None:
    """STOW-102: the first is stored; STOW-124: no attributes are listed for the second."""
    file = builders.instance()
    uids = Uids.of(file)
    response = store(host, file, builders.instance(uids.study, uids.series, uids.instance, StudyDate="bad"))
    assert response.status_code == 202
    assert failure(response) == 45070
    assert "00741048" not in response.json()["00081198"]["Value"][0]
    assert len(response.json()["00081199"]["Value"]) == 1
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file


def test_uids_are_unique_within_their_parent_only(host: Host) -> None:
    """STOW-103, STOW-104, STOW-109."""
    uid, other = generate_uid(), generate_uid()
    files = [
        builders.instance(uid, uid, uid),
        builders.instance(uid, other, uid),
        builders.instance(other, uid, uid),
    ]
    assert store(host, *files).status_code == 200
    for file in files:
        assert host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content == file


def test_concurrent_requests(host: Host) -> None:
    """STOW-100, STOW-101: one of several requests stores an instance, none sees it half created; and all of them store into
    one study.
    """
    file = builders.instance()
    study = Uids.of(file).study
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store(host, file), range(6)))
        assert sorted(each.status_code for each in answers) == [200] + [409] * 5
        assert {failure(each) for each in answers if each.status_code == 409} == {45070}
        answers = list(pool.map(lambda _: store(host, builders.instance(study)), range(12)))
        assert {each.status_code for each in answers} == {200}
    [found] = host.get(f"/v2/studies?StudyInstanceUID={study}&includefield=00201206,00201208").json()
    assert (value(found, "00201206"), value(found, "00201208")) == (13, 13)
    assert len(feed(host, study)) == 13


def test_study_mismatch(host: Host) -> None:
    """D-10, STOW-42."""
    file = builders.instance()
    response = store(host, file, path=f"/studies/{generate_uid()}")
    assert response.status_code == 409
    assert failure(response) == 43265
    assert comments(response.json()["00081198"]["Value"][0]) == [
        "DICOM100: (0020,000d) - The StudyInstanceUid in the payload does not match the specified StudyInstanceUid."
    ]
    assert "00081190" not in response.json()


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("SOPClassUID", "(0008,0016)"),
        ("StudyInstanceUID", "(0020,000d)"),
        ("SeriesInstanceUID", "(0020,000e)"),
        ("SOPInstanceUID", "(0008,0018)"),
        ("PatientID", "(0010,0020)"),
    ],
)
def test_missing_required_attribute(host: Host, keyword: str, tag: str) -> None:
    """STOW-41, STOW-43, STOW-47."""
    response = store(host, builders.instance(**{keyword: None}))
    assert response.status_code == 409
    assert failure(response) == 43264
    [item] = response.json()["00081198"]["Value"]
    assert comments(item) == [f"DICOM100: {tag} - The required tag '{tag}' is missing."]


def test_failure_lists_warnings_too(host: Host) -> None:
    """STOW-45, STOW-47, STOW-49."""
    response = store(host, builders.instance(SeriesInstanceUID="1.a", StudyDate="bad"))
    assert response.status_code == 409
    [item] = response.json()["00081198"]["Value"]
    assert {text.split(" - ")[0] for text in comments(item)} == {"DICOM100: (0020,000e)", "DICOM100: (0008,0020)"}


def test_warnings(host: Host) -> None:
    """STOW-80, STOW-82, STOW-90, STOW-93, STOW-112: stored, but the attribute is neither returned nor found."""
    file = builders.instance(StudyDate="2024-1-3", PatientName="Warned^Wanda")
    uids = Uids.of(file)
    response = store(host, file)
    assert response.status_code == 202
    [item] = response.json()["00081199"]["Value"]
    assert value(item, "00081196") == 1
    [comment] = comments(item)
    assert comment.startswith('DICOM100: (0008,0020) - Content "2024-1-3" does not validate VR DA: ')
    [metadata] = host.get(f"/v2{uids.instance_path}/metadata").json()
    assert "00080020" not in metadata
    [found] = host.get(f"/v2/studies?StudyInstanceUID={uids.study}").json()
    assert "00080020" not in found
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # it writes what is wrong, and says so
def test_lenient_uids(host: Host) -> None:
    """STOW-51, STOW-52: kept and found as they are, but for the class, which metadata and the answer leave out."""
    study, sop = f"{generate_uid()[:40]}.01", f"{generate_uid()[:40]}..1"
    response = store(host, builders.instance(study, sop=sop, SOPClassUID="1.2.840.010008"))
    assert response.status_code == 202
    [item] = response.json()["00081199"]["Value"]
    assert {text.split(" - ")[0] for text in comments(item)} == {
        "DICOM100: (0008,0016)",
        "DICOM100: (0008,0018)",
        "DICOM100: (0020,000d)",
    }
    assert "00081150" not in item
    [metadata] = host.get(f"/v2/studies/{study}/metadata").json()
    assert (value(metadata, "0020000D"), value(metadata, "00080018"), value(metadata, "00080016")) == (study, sop, None)
    [found] = host.get(f"/v2/instances?SOPInstanceUID={sop}").json()
    assert value(found, "00080018") == sop


def test_nested_warning(host: Host) -> None:
    """D-12, STOW-81: one text for the sequence; what is valid of it stays."""
    item = builders.item(PatientID="9", PatientBirthDate="never")
    file = builders.instance(OtherPatientIDsSequence=[item, item])
    response = store(host, file)
    assert response.status_code == 202
    assert len(comments(response.json()["00081199"]["Value"][0])) == 1
    [metadata] = host.get(f"/v2{Uids.of(file).instance_path}/metadata").json()
    assert metadata["00101002"]["Value"] == [{"00100020": {"vr": "LO", "Value": ["9"]}}] * 2
    assert value(metadata, "00100030") == "19700102"


def test_empty_patient_id(host: Host) -> None:
    """STOW-54."""
    file = builders.instance(PatientID="")
    response = store(host, file)
    assert response.status_code == 202
    assert comments(response.json()["00081199"]["Value"][0]) == [
        "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."
    ]
    assert "00100020" not in host.get(f"/v2{Uids.of(file).instance_path}/metadata").json()[0]


def test_several_patient_ids(host: Host) -> None:
    """STOW-55, STOW-74."""
    response = store(host, builders.instance(PatientID=["a", "b"]))
    assert response.status_code == 202
    assert response.headers["Warning"] == (
        '299 127.0.0.1: "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."'
    )


def test_implicit_vr(host: Host) -> None:
    """STOW-91; STOW-90: it has precedence over validation warnings."""
    response = store(host, builders.instance(transfer_syntax=builders.IMPLICIT_LITTLE))
    assert response.status_code == 202
    [item] = response.json()["00081199"]["Value"]
    assert value(item, "00081196") == 45063
    assert item["00741048"] == {"vr": "SQ"}
    response = store(host, builders.instance(transfer_syntax=builders.IMPLICIT_LITTLE, StudyDate="bad"))
    [item] = response.json()["00081199"]["Value"]
    assert value(item, "00081196") == 45063
    assert len(comments(item)) == 1


def test_nul_padding(host: Host) -> None:
    """STOW-70, STOW-71, D-13: no warning; STOW-73: nor a failure."""
    file = builders.instance(Modality="CT\0", PatientID="nul\0", StudyDate="20240131\0", SeriesNumber=None)
    assert store(host, file).status_code == 200
    [metadata] = host.get(f"/v2{Uids.of(file).instance_path}/metadata").json()
    assert metadata["00080060"]["Value"] == ["CT\0"]


@pytest.mark.parametrize(
    "syntax", [*builders.UNCOMPRESSED, builders.RLE, builders.JPEG_2000, "1.2.840.10008.1.2.4.106"]
)
def test_transfer_syntax_is_kept(host: Host, syntax: str) -> None:
    """STOW-131: with the file meta information, also one that nobody here knows."""
    content = builders.dataset()
    builders.add_pixels(content, 4, 4, 1, syntax)
    file = builders.part10(content, syntax)
    assert store(host, file).status_code == (202 if syntax == builders.IMPLICIT_LITTLE else 200)
    answer = host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE)
    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
    assert answer.content == file


def test_preamble_is_zeroed(host: Host) -> None:
    """D-11, STOW-130: everything after it is kept byte for byte."""
    file = builders.part10(builders.dataset(), preamble=bytes(range(128)))
    store(host, file)
    stored = host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content
    assert stored == bytes(128) + file[128:]


@pytest.mark.parametrize("what", ["preamble", "prefix", "file meta information"])
def test_beginning_that_is_missing(host: Host, what: str) -> None:
    """PS3.10 7.1: it is put before what comes, in chunks of any size; the rest is kept byte for byte."""
    file = builders.instance()
    length = {"preamble": 128, "prefix": 132, "file meta information": end_of_file_meta(file, is_deflated=False)}[what]
    body, content_type = multipart([file[length:]])
    pieces = (body[n : n + 100] for n in range(0, len(body), 100))
    assert host.call("POST", "/v2/studies", pieces, Content_Type=content_type).status_code == 200
    stored = host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content
    assert stored.endswith(file[length:])
    assert dcmread(io.BytesIO(stored)) == dcmread(io.BytesIO(file))
    assert what == "file meta information" or stored == file


@pytest.mark.parametrize("ending", [b"\r\n", b"\n\n", b"\r\r", b"--"])
def test_payload_that_ends_like_a_line(host: Host, ending: bytes) -> None:
    """CL-7."""
    content = builders.dataset()
    content.add_new(0x7FE00010, "OB", bytes(30) + ending)
    file = builders.part10(content)
    assert store(host, file).status_code == 200
    assert host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content == file


def test_large_file_in_chunks(host: Host) -> None:
    """CL-7, D-16: chunked, with a leading CRLF and a quoted boundary, as dicomweb-client sends what is large."""
    file = builders.instance(rows=2048, columns=2048, frames=3)
    start = b'\r\n--"x y"\r\n'.replace(b'"', b"") + b"Content-Type: application/dicom\r\n\r\n"
    body = start + file + b"\r\n--x y--"

    def pieces() -> Iterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    response = host.call("POST", "/v2/studies", pieces(), Content_Type=f'{MULTIPART}; boundary="x y"')
    assert response.status_code == 200
    assert host.get(f"/v2{Uids.of(file).instance_path}", Accept=ANY_FILE).content == file


def test_many_instances(host: Host) -> None:
    """STOW-32, STOW-122: more than one transaction holds, in several series and studies, some of them twice."""
    studies = [generate_uid(), generate_uid()]
    series = [generate_uid() for _ in range(4)]
    files = [builders.instance(studies[n % 2], series[n % 4], rows=0) for n in range(120)]
    response = store(host, *files, *files[:3])
    assert response.status_code == 202
    stored = [value(item, "00081155") for item in response.json()["00081199"]["Value"]]
    assert stored == [Uids.of(file).instance for file in files]
    assert [failure(response, n) for n in range(3)] == [45070] * 3
    for study in studies:
        assert len(host.get(f"/v2/studies/{study}/metadata").json()) == 60


def test_padded_study(host: Host) -> None:
    """STOW-56, WADO-12: padding does not count, and comes back."""
    study = generate_uid()
    study = study if len(study) % 2 else study[:-1]
    file = builders.instance(study)
    padded = file.replace(study.encode() + b"\0", study.encode() + b" ")
    assert padded != file
    assert store(host, padded, path=f"/studies/{study}").status_code == 200
    uids = Uids(study, Uids.of(file).series, Uids.of(file).instance)
    for path in (uids.instance_path, uids.instance_path.replace(study, f"{study}%20")):
        assert host.get(f"/v2{path}", Accept=ANY_FILE).content == padded
    assert failure(store(host, file)) == 45070


@pytest.fixture(scope="module")
def small_host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    data: Path = tmp_path_factory.mktemp("small")
    host = Host(azurite.connection_string, data, DICOM_MAX_PART_BYTES="10000", DICOM_MAX_REQUEST_BYTES="25000")
    yield host.start()
    host.stop()


def test_limits(small_host: Host) -> None:
    """STOW-25, STOW-26, STOW-30, STOW-31, D-17: of a part, of a request with and without Content-Length; nothing is stored."""
    small, large = builders.instance(rows=80, columns=80), builders.instance(rows=120, columns=120)
    assert store(small_host, small).status_code == 200
    response = store(small_host, builders.instance(rows=0), large)
    assert response.status_code == 413
    assert response.json()["detail"] == "The request exceeded the allowed limit of 10000 bytes."
    several = [builders.instance(rows=80, columns=80) for _ in range(4)]
    response = store(small_host, *several)
    assert response.status_code == 413
    assert response.json()["detail"] == "The request exceeded the allowed limit of 25000 bytes."
    body, content_type = multipart(several)
    response = small_host.call("POST", "/v2/studies", iter([body]), Content_Type=content_type)
    assert response.status_code == 413
    for file in [large, *several]:
        assert small_host.get(f"/v2{Uids.of(file).study_path}/metadata").status_code == 404


def test_client_that_breaks_off(host: Host) -> None:
    """D-16: wherever that happens; the same instances can be stored afterwards."""
    files = [builders.instance(rows=1500, columns=1500) for _ in range(2)]
    body, content_type = multipart(files)
    head = (
        f"POST /v2/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for cut in (10, 1_000_000, len(files[0]) + 1_000_000, len(body) - 5):
        with socket.create_connection(("127.0.0.1", host.port)) as connection:
            connection.sendall(head.encode() + body[:cut])
    assert [host.get(f"/v2{Uids.of(file).study_path}/metadata").status_code for file in files] == [404, 404]
    assert store(host, *files).status_code == 200


def test_connection_is_usable_after_a_refusal(host: Host) -> None:
    """What a refused request did not read of its body does not disturb the next one."""
    with requests.Session() as session:
        for _ in range(3):
            answer = session.post(f"{host.url}/v2/studies", bytes(3_000_000), headers={"Content-Type": "text/plain"})
            assert answer.status_code == 415
            assert session.get(f"{host.url}/v2/studies?StudyInstanceUID=1.2.3").status_code == 204


def test_many_series(host: Host) -> None:
    """STOW-32, DEL-1: a series for each instance, more rows than a transaction holds; stored, and deleted again."""
    study = generate_uid()
    files = [builders.instance(study, rows=0) for _ in range(110)]
    assert store(host, *files).status_code == 200
    assert len(host.get(f"/v2/studies/{study}/series?limit=200").json()) == 110
    assert host.call("DELETE", f"/v2/studies/{study}").status_code == 204
    assert host.get(f"/v2/studies/{study}/metadata").status_code == 404
    assert len([entry for entry in feed(host, study) if entry["action"] == "Delete"]) == 110
