"""Real clients: dicomweb-client (the base of Slicer, MONAI Label and wsidicom), and requests as others send them."""

from __future__ import annotations

import json
from io import BytesIO

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from requests.exceptions import HTTPError

from tests import builders
from tests.support.dicomweb import Uids, parts, store, value
from tests.support.host import Host


@pytest.fixture
def client(host: Host) -> DICOMwebClient:
    return DICOMwebClient(f"{host.url}/v2")


def read(file: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(file))


def saved(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_dicomweb_client_round_trip(client: DICOMwebClient) -> None:
    """Stores, searches and retrieves on all levels; the store's answer is read (D-7)."""
    study, series = generate_uid(), generate_uid()
    files = [
        builders.instance(study, series, InstanceNumber=1, frames=3, rows=8, columns=8),
        builders.instance(study, series, InstanceNumber=2, rows=1100, columns=1100),
    ]
    answer = client.store_instances([read(file) for file in files])
    assert len(answer.ReferencedSOPSequence) == 2
    assert answer.ReferencedSOPSequence[0].RetrieveURL.endswith(Uids.of(files[0]).instance_path)

    [found] = client.search_for_studies(
        search_filters={"StudyInstanceUID": study}, fields=["NumberOfStudyRelatedInstances"]
    )
    assert value(found, "00201208") == 2
    [found] = client.search_for_series(study, search_filters={"Modality": "OT"})
    assert value(found, "0020000E") == series
    assert len(client.search_for_instances(study, series, get_remaining=True, limit=1)) == 2
    assert client.search_for_studies(search_filters={"StudyInstanceUID": generate_uid()}) == []
    some = client.search_for_instances(search_filters={"SeriesInstanceUID": [series, generate_uid()]})
    assert {value(each, "00080018") for each in some} == {Uids.of(file).instance for file in files}

    first, second = (Uids.of(file).instance for file in files)
    assert saved(client.retrieve_instance(study, series, first)) == saved(read(files[0]))
    for datasets in (client.retrieve_series(study, series), client.retrieve_study(study)):
        assert [saved(each) for each in datasets] == [saved(read(file)) for file in files]
    frames = client.retrieve_instance_frames(study, series, first, [1, 3])
    assert frames == [builders.frame_pixels(1, 64), builders.frame_pixels(3, 64)]
    media_types = ("image/jp2", "image/jpeg", "application/octet-stream")
    assert client.retrieve_instance_frames(study, series, first, [2], media_types) == [builders.frame_pixels(2, 64)]
    metadata = client.retrieve_instance_metadata(study, series, second)
    assert value(metadata, "00200013") == 2
    assert len(client.retrieve_series_metadata(study, series)) == len(client.retrieve_study_metadata(study)) == 2

    client.delete_instance(study, series, first)
    assert [value(each, "00080018") for each in client.retrieve_study_metadata(study)] == [second]
    client.delete_study(study)
    with pytest.raises(HTTPError, match="404"):
        client.retrieve_study_metadata(study)


def test_dicomweb_client_iterates(client: DICOMwebClient) -> None:
    """One by one, without holding the whole answer; and deletes a series."""
    study, series, other = generate_uid(), generate_uid(), generate_uid()
    files = [builders.instance(study, series, InstanceNumber=n, frames=3, rows=8, columns=8) for n in (1, 2)]
    apart = builders.instance(study, other, SeriesNumber=2)
    client.store_instances([read(file) for file in (*files, apart)])
    assert [saved(each) for each in client.iter_series(study, series)] == [saved(read(file)) for file in files]
    assert len(list(client.iter_study(study))) == 3
    frames = client.iter_instance_frames(study, series, Uids.of(files[0]).instance, [3, 1])
    assert list(frames) == [builders.frame_pixels(3, 64), builders.frame_pixels(1, 64)]
    client.delete_series(study, series)
    assert [saved(each) for each in client.iter_study(study)] == [saved(read(apart))]


def test_dicomweb_client_renders(client: DICOMwebClient) -> None:
    """WADO-6, WADO-7, D-29: an instance, a frame of it and a series, as the client asks for them."""
    file = builders.instance(rows=64, columns=64, frames=2)
    uids = Uids.of(file)
    client.store_instances([read(file)])
    path = (uids.study, uids.series, uids.instance)
    parameters = {"quality": 90, "viewport": "32,32"}
    for image, size in (
        (client.retrieve_instance_rendered(*path, media_types=("image/png",)), 64),
        (client.retrieve_instance_frames_rendered(*path, [2], ("image/jpeg",), parameters), 32),
        (client.retrieve_series_rendered(uids.study, uids.series, ("image/jpeg",)), 64),
    ):
        assert Image.open(BytesIO(image)).size == (size, size)


def test_dicomweb_client_sees_what_failed(client: DICOMwebClient) -> None:
    """A 202 with failures is read; a 409 raises."""
    file = builders.instance()
    client.store_instances([read(file)])
    answer = client.store_instances([read(file), read(builders.instance())])
    assert answer.FailedSOPSequence[0].FailureReason == 45070
    with pytest.raises(HTTPError, match="409"):
        client.store_instances([read(file)])


def test_ohif_study_list(host: Host) -> None:
    """What OHIF 3.13.2 sends, and the attributes that it reads."""
    name = generate_uid()[-12:]
    file = builders.instance(
        PatientName=f"Syn{name}^A", PatientID=f"X-SYN-{name}", Modality="MR", AccessionNumber="ACC1"
    )
    store(host, file)
    study = Uids.of(file).study
    lists = (
        "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030"
        f"&PatientName=*syn{name}*",
        f"PatientName=*syn{name}*&00100020=*SYN-{name}*&AccessionNumber=*ACC*&ModalitiesInStudy=CT%2CMR"
        "&includefield=00080030,00080061,00201208",
        f"StudyInstanceUID={study}%5C1.2.3%5C1.2.4",
    )
    for query in lists:
        results = host.get(f"/v2/studies?{query}", Accept="application/dicom+json").json()
        assert [value(each, "0020000D") for each in results] == [study]
    accept = "application/dicom+json, multipart/related; type=application/octet-stream"
    [series] = host.get(
        f"/v2/studies/{study}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011", Accept=accept
    ).json()
    assert value(series, "00200011") == 1
    assert host.get(f"/v2{Uids.of(file).series_path}/metadata", Accept=accept).headers["Content-Type"] == (
        "application/dicom+json"
    )


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related;type="application/octet-stream";transfer-syntax=*',
        'multipart/related; type="*/*"',
    ],
)
def test_frame_of_a_viewer(host: Host, accept: str) -> None:
    """CL-1, CL-6: multipart also for one frame, with the transfer syntax on the part."""
    file = builders.instance(rows=6, columns=6)
    store(host, file)
    response = host.get(f"/v2{Uids.of(file).instance_path}/frames/1", Accept=accept)
    assert response.headers["Content-Type"].startswith("multipart/related; ")
    assert parts(response) == [
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", builders.frame_pixels(1, 36))
    ]


def test_weasis(host: Host) -> None:
    """Retrieves without blanks in Accept; pages instances; falls back on 404 where there is no thumbnail."""
    study = generate_uid()
    files = [builders.instance(study) for _ in range(3)]
    store(host, *files)
    response = host.get(f"/v2/studies/{study}", Accept='multipart/related;type="application/dicom";transfer-syntax=*')
    assert len(parts(response)) == 3
    pages = [host.get(f"/v2/studies/{study}/instances?limit=2&offset={offset}") for offset in (0, 2, 4)]
    assert [len(json.loads(page.text or "[]")) for page in pages] == [2, 1, 0]
    assert host.get(f"/v2{Uids.of(files[0]).series_path}/thumbnail?viewport=64%2C64").status_code in (200, 404)


def test_orthanc(host: Host) -> None:
    """Stores chunked with a bare boundary, searches with `Accept: */*`."""
    file = builders.instance()
    body = b"--x1\r\nAccept: application/dicom\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--x1--"
    content_type = "multipart/related; type=application/dicom; boundary=x1"
    response = host.call("POST", "/v2/studies", iter([body[:50], body[50:]]), Content_Type=content_type)
    assert response.status_code == 200
    assert host.get(f"/v2/studies?0020000D={Uids.of(file).study}").headers["Content-Type"] == "application/dicom+json"
