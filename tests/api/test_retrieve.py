"""Retrieve over HTTP (WADO-1 to WADO-104, D-20 to D-30)."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import openjpeg
import pydicom
import pytest
import requests
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import (
    ANY_FILE,
    ANY_FILES,
    MULTIPART,
    Uids,
    bulk_update,
    finished,
    parts,
    started,
    store,
    value,
)
from tests.support.host import Host

JSON = "application/dicom+json"
PIXELS = 'multipart/related; type="application/octet-stream"'
EXPLICIT = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"


def stored(host: Host, *files: bytes) -> list[Uids]:
    assert store(host, *files).status_code in (200, 202)
    return [Uids.of(file) for file in files]


def payloads(response: Any) -> list[bytes]:
    return [payload for _, payload in parts(response)]


def of_metadata(objects: Iterable[dict[str, Any]], tag: str = "00080018") -> list[Any]:
    return [value(each, tag) for each in objects]


def test_study_series_and_instance(host: Host) -> None:
    """WADO-1 to WADO-3, WADO-40, WADO-41, D-23, D-24."""
    study, first, second = generate_uid(), "1.2.2", "1.2.1"
    files = [
        builders.instance(study, first, SeriesNumber=1, InstanceNumber=2),
        builders.instance(study, second, SeriesNumber=2, InstanceNumber=1),
        builders.instance(study, first, SeriesNumber=1, InstanceNumber=1),
    ]
    uids = stored(host, *files)
    response = host.get(f"/v2/studies/{study}", Accept=ANY_FILES)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert parts(response) == [(EXPLICIT, files[n]) for n in (2, 0, 1)]
    assert f"Content-Location: {host.url}/v2{uids[0].instance_path}\r\n".encode() in response.content
    assert payloads(host.get(f"/v2{uids[0].series_path}", Accept=ANY_FILES)) == [files[2], files[0]]
    assert payloads(host.get(f"/v2{uids[0].instance_path}", Accept=ANY_FILES)) == [files[0]]


def test_single_part_instance(host: Host) -> None:
    """WADO-42, WADO-43, WADO-46, CL-6."""
    file = builders.instance(transfer_syntax=builders.JPEG_2000)
    [uids] = stored(host, file)
    response = host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE)
    assert response.headers["Content-Type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"
    assert response.headers["Content-Length"] == str(len(file))
    assert response.content == file


@pytest.mark.parametrize(
    "accept",
    ["*/*", "", MULTIPART, f"{MULTIPART}; transfer-syntax=*", "multipart/related;type=application/dicom",
     'multipart/related; type="*/*"', 'text/html, multipart/*;q=0.2', f"{MULTIPART};transfer-syntax=1.2.840.10008.1.2.1"],
)  # fmt: skip
def test_accept_of_files(host: Host, accept: str) -> None:
    """WADO-21, WADO-25 to WADO-28, WADO-33, D-3, D-20, CL-1: always multipart."""
    file = builders.instance()
    [uids] = stored(host, file)
    for path in (uids.study_path, uids.series_path, uids.instance_path):
        assert payloads(host.get(f"/v2{path}", Accept=accept)) == [file]


@pytest.mark.parametrize("accept", ["application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"])
def test_single_part_is_for_instances(host: Host, accept: str) -> None:
    """WADO-25, WADO-27."""
    file = builders.instance()
    [uids] = stored(host, file)
    assert host.get(f"/v2{uids.instance_path}", Accept=accept).content == file
    assert host.get(f"/v2{uids.study_path}", Accept=accept).status_code == 406
    assert host.get(f"/v2{uids.series_path}", Accept=accept).status_code == 406


@pytest.mark.parametrize(
    "accept",
    ["image/png", "multipart/related", f"{MULTIPART}; transfer-syntax=1.2.3", 'multipart/related; type="image/jp2"'],
)
def test_accept_that_matches_nothing(host: Host, accept: str) -> None:
    """WADO-10, WADO-20, WADO-21, WADO-34: it wins over an instance that does not exist; a bad UID wins over it."""
    response = host.get("/v2/studies/1.2.3", Accept=accept)
    assert response.status_code == 406
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "The request headers are not acceptable"
    assert host.get("/v2/studies/1.2.a", Accept=accept).status_code == 400


def test_accept_in_the_query(host: Host) -> None:
    """CL-1, CL-8: `accept` counts, unknown parameters do not matter."""
    file = builders.instance()
    [uids] = stored(host, file)
    path = f"/v2{uids.instance_path}?accept=application%2Fdicom%3Btransfer-syntax%3D*&unknown=%3C"
    assert host.get(path, Accept="image/png").content == file


def pixels(file: bytes) -> Any:
    return pydicom.dcmread(BytesIO(file)).pixel_array.tolist()


def test_transcoded_files(host: Host) -> None:
    """WADO-43, WADO-50, WADO-51, D-21: several like one; those that are stored so are sent as stored."""
    study = generate_uid()
    native = builders.instance(study, rows=16, columns=16, InstanceNumber=1, SeriesNumber=1)
    encapsulated = builders.instance(study, rows=16, columns=16, SeriesNumber=2, transfer_syntax=builders.RLE)
    uids = stored(host, native, encapsulated)
    [first, second] = parts(host.get(f"/v2/studies/{study}", Accept=MULTIPART))
    assert first == (EXPLICIT, native)
    assert second[0] == EXPLICIT
    assert pixels(second[1]) == pixels(encapsulated)
    accept = f"{MULTIPART}; transfer-syntax=1.2.840.10008.1.2.4.90"
    for (content_type, file), sent in zip(
        parts(host.get(f"/v2/studies/{study}", Accept=accept)), (native, encapsulated), strict=True
    ):
        assert content_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"
        assert pydicom.dcmread(BytesIO(file)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
        assert pixels(file) == pixels(sent)
    response = host.get(f"/v2{uids[1].instance_path}", Accept="application/dicom")
    assert response.headers["Content-Type"] == EXPLICIT
    assert pixels(response.content) == pixels(encapsulated)
    assert "Accept-Ranges" not in response.headers
    as_stored = host.get(f"/v2{uids[1].instance_path}", Accept=ANY_FILE)
    assert as_stored.headers["ETag"] != response.headers["ETag"]
    accept = f"{MULTIPART}, {MULTIPART}; transfer-syntax=*; q=0.5"
    assert parts(host.get(f"/v2/studies/{study}", Accept=accept))[1][0] == EXPLICIT


def test_transcoded_files_are_of_the_version_asked_for(host: Host) -> None:
    """WADO-103, D-65."""
    file = builders.instance(rows=16, columns=16)
    [uids] = stored(host, file)
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Updated^Ursula"}]}}
    assert finished(host, started(bulk_update(host, [uids.study], changes)))["status"] == "succeeded"
    accept = "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"
    for original, name in (("true", "Doe^Jane"), ("false", "Updated^Ursula")):
        response = host.get(f"/v2{uids.instance_path}", Accept=accept, msdicom_request_original=original)
        assert pydicom.dcmread(BytesIO(response.content)).PatientName == name
        assert pixels(response.content) == pixels(file)


def test_transcoding_that_is_not_possible(host: Host) -> None:
    """WADO-36, WADO-51, WADO-53, WADO-54, D-21: 406 before the first byte, or the next choice."""
    study, series = generate_uid(), generate_uid()
    native = builders.instance(study, series, rows=16, columns=16, InstanceNumber=1)
    video = builders.instance(study, series, InstanceNumber=2, transfer_syntax="1.2.840.10008.1.2.4.102")
    damaged = builders.instance(transfer_syntax=builders.JPEG_2000)
    stored(host, native, video, damaged)
    response = host.get(f"/v2/studies/{study}", Accept=MULTIPART)
    assert (response.status_code, "transcoding" in response.json()["detail"]) == (406, True)
    accept = f"{MULTIPART}, {MULTIPART}; transfer-syntax=*; q=0.5"
    assert payloads(host.get(f"/v2/studies/{study}", Accept=accept)) == [native, video]
    response = host.get(f"/v2{Uids.of(damaged).instance_path}", Accept="application/dicom")
    assert (response.status_code, response.json()["detail"]) == (406, "The specified transcoding is not supported.")
    response = host.get(f"/v2{Uids.of(damaged).instance_path}/frames/1", Accept="application/octet-stream")
    assert response.status_code == 406


@pytest.mark.parametrize("transfer_syntax", ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"])
def test_nothing_is_transcoded_to_htj2k(host: Host, transfer_syntax: str) -> None:
    """D-22: there is no encoder for it. What is stored so is sent so."""
    native, compressed = builders.instance(), builders.instance(transfer_syntax=transfer_syntax)
    of_native, of_compressed = (f"/v2{uids.instance_path}" for uids in stored(host, native, compressed))
    accept = f"application/dicom; transfer-syntax={transfer_syntax}"
    frames = f'multipart/related; type="image/jphc"; transfer-syntax={transfer_syntax}'
    assert host.get(of_native, Accept=accept).status_code == 406
    assert host.get(f"{of_native}/frames/1", Accept=frames).status_code == 406
    assert host.get(of_compressed, Accept=accept).content == compressed
    [(content_type, _)] = parts(host.get(f"{of_compressed}/frames/1", Accept=frames))
    assert content_type == f"image/jphc; transfer-syntax={transfer_syntax}"


def test_transcoded_frames(host: Host) -> None:
    """WADO-29, WADO-30, WADO-57: native little endian bytes, or a code stream a frame."""
    native = builders.instance(rows=16, columns=16, frames=3)
    encapsulated = builders.instance(rows=16, columns=16, frames=3, transfer_syntax=builders.RLE)
    of_native, of_encapsulated = (f"/v2{uids.instance_path}/frames" for uids in stored(host, native, encapsulated))
    frames = [builders.frame_pixels(number, 256) for number in (1, 2, 3)]
    response = host.get(f"{of_encapsulated}/1,3", Accept=PIXELS)
    content_type = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert parts(response) == [(content_type, frames[0]), (content_type, frames[2])]
    assert host.get(f"{of_encapsulated}/2", Accept="application/octet-stream").content == frames[1]
    response = host.get(f"{of_native}/3,1", Accept='multipart/related; type="image/jp2"')
    for (content_type, stream), number in zip(parts(response), (3, 1), strict=True):
        assert content_type == "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"
        assert stream.startswith(b"\xff\x4f\xff\x51")
        assert openjpeg.decode(stream).tobytes() == frames[number - 1]


@pytest.mark.parametrize("suffix", ["", "/metadata"])
def test_not_found(host: Host, suffix: str) -> None:
    """WADO-13, WADO-14, WADO-86."""
    [uids] = stored(host, builders.instance())
    other = generate_uid()
    for path, level in (
        (f"/studies/{other}", "study"),
        (f"/studies/{other}/series/{uids.series}", "series"),
        (f"{uids.study_path}/series/{other}", "series"),
        (f"/studies/{other}/series/{uids.series}/instances/{uids.instance}", "instance"),
        (f"{uids.study_path}/series/{other}/instances/{uids.instance}", "instance"),
        (f"{uids.series_path}/instances/{other}", "instance"),
    ):
        response = host.get(f"/v2{path}{suffix}")
        assert response.status_code == 404
        assert response.json()["detail"] == f"The specified {level} cannot be found."


@pytest.mark.parametrize("uid", ["1.2.", "abc", "1.2%20.3", "1" * 65, "%C3%A9"])
def test_invalid_identifiers(host: Host, uid: str) -> None:
    """WADO-11, STOW-51."""
    for path in (f"/studies/{uid}", f"/studies/1/series/{uid}", f"/studies/1/series/1/instances/{uid}"):
        for suffix in ("", "/metadata"):
            response = host.get(f"/v2{path}{suffix}")
            assert response.status_code == 400
            assert "DICOM Identifier is invalid" in response.json()["detail"]
    assert host.get(f"/v2/studies/{uid}/metadata", Accept="text/plain").status_code == 406


def test_long_identifiers(host: Host) -> None:
    """WADO-11, DICOM PS3.5 9.1: 64 characters."""
    study, series, sop = (f"2.25.{digit * 59}" for digit in "123")
    file = builders.instance(study, series, sop)
    store(host, file)
    uids = Uids(study, series, sop)
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file
    assert of_metadata(host.get(f"/v2{uids.series_path}/metadata").json()) == [sop]
    assert of_metadata(host.get(f"/v2/instances?SOPInstanceUID={sop}").json()) == [sop]


def test_metadata(host: Host) -> None:
    """WADO-4, WADO-81, WADO-82, WADO-84, WADO-85, D-7, D-24."""
    study, series = generate_uid(), generate_uid()
    names = "Müller^Jörg=山田^太郎=やまだ^たろう"
    text = "Ångström / \\ # ? % \" ' \u2028 日本語"
    files = [
        builders.instance(
            study, series, InstanceNumber=number, SpecificCharacterSet="ISO_IR 192", PatientName=names,
            StudyDescription=text.replace("\\", ""), AccessionNumber="", Rows=3, PatientWeight="70.50",
            elements=[(0x00091010, "OB", b"secret"), (0x00090010, "LO", "MAKER")],
        )
        for number in (3, 1, 2)
    ]  # fmt: skip
    uids = stored(host, *files)
    response = host.get(f"/v2/studies/{study}/metadata", Accept=JSON)
    assert response.headers["Content-Type"] == JSON
    assert of_metadata(response.json()) == [uids[n].instance for n in (1, 2, 0)]
    assert of_metadata(response.json(), "00200013") == [1, 2, 3]
    first = response.json()[0]
    assert first["00100010"] == {
        "vr": "PN",
        "Value": [{"Alphabetic": "Müller^Jörg", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}],
    }
    assert value(first, "00081030") == text.replace("\\", "")
    assert first["00080050"] == {"vr": "SH"}
    assert first["00101030"] == {"vr": "DS", "Value": [70.5]}
    assert first["00280010"] == {"vr": "US", "Value": [3]}
    assert list(first) == sorted(first)
    assert not {"7FE00010", "00091010", "00020010"} & set(first)
    assert host.get(f"/v2/studies/{study}/series/{series}/metadata").json() == response.json()
    assert host.get(f"/v2{uids[1].instance_path}/metadata").json() == [first]


def test_metadata_accept(host: Host) -> None:
    """WADO-80, D-3."""
    [uids] = stored(host, builders.instance())
    path = f"/v2{uids.study_path}/metadata"
    for accept in ("*/*", "", "application/*", f"text/plain, {JSON};q=0.1"):
        response = host.get(path, Accept=accept)
        assert (response.status_code, response.headers["Content-Type"]) == (200, JSON)
    assert host.get(path, Accept="application/json").headers["Content-Type"] == "application/json"
    for accept in ("application/dicom", "text/plain", f"{JSON};q=0"):
        assert host.get(path, Accept=accept).status_code == 406


def test_metadata_is_compressed(host: Host) -> None:
    """CL-9: for clients that accept it."""
    [uids] = stored(host, builders.instance(StudyDescription="x" * 60))
    path = f"/v2{uids.study_path}/metadata"
    response = host.call("GET", path, Accept_Encoding="gzip")
    assert response.headers.get("Content-Encoding") == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    for encoding in ("identity", "gzip;q=0", "gzip;q=0.0, br"):
        plain = host.call("GET", path, Accept_Encoding=encoding)
        assert "Content-Encoding" not in plain.headers
        assert plain.json() == response.json()


def test_etag(host: Host) -> None:
    """WADO-90 to WADO-94, D-26."""
    file = builders.instance()
    [uids] = stored(host, file)
    other = builders.instance(uids.study)
    paths = [uids.study_path, uids.series_path, uids.instance_path]

    def tags(suffix: str, **headers: str) -> list[str]:
        return [host.get(f"/v2{path}{suffix}", **headers).headers["ETag"] for path in paths]

    before = tags("/metadata")
    assert all(tag.startswith('"') and tag.endswith('"') for tag in before)
    assert tags("/metadata") == before
    plain = tags("/metadata", Accept_Encoding="identity")
    assert before == [f'{tag[:-1]}-gzip"' for tag in plain]  # another representation, RFC 9110 8.8.3.3
    files = tags("")
    assert files == [f'{tag[:-1]}-multipart-application-dicom"' for tag in plain]
    assert all(old != new for old, new in zip(files, tags("", msdicom_request_original="true"), strict=True))
    for suffix, tag in (("/metadata", before[0]), ("", files[0])):
        for sent in (tag, f'"x", {tag}', f"W/{tag}", "*", tag.strip('"')):
            response = host.get(f"/v2{uids.study_path}{suffix}", If_None_Match=sent)
            assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", tag)
    assert host.get(f"/v2{uids.study_path}/metadata", If_None_Match='"x"').status_code == 200
    assert host.get(f"/v2/studies/{generate_uid()}/metadata", If_None_Match="*").status_code == 404
    assert host.get(f"/v2{uids.study_path}/metadata", If_None_Match="*", Accept="text/plain").status_code == 406

    store(host, other)
    after = tags("/metadata")
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    host.call("DELETE", f"/v2{Uids.of(other).instance_path}")
    assert tags("/metadata") == before


def test_every_representation_has_its_own_entity_tag(host: Host) -> None:
    """D-26, RFC 9110 8.8.3.3: so that no cache takes one for another, nor a client parts of two."""
    [uids] = stored(host, builders.instance(rows=16, columns=16))
    accepted = (
        ANY_FILE,
        ANY_FILES,
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90",
        f"{MULTIPART}; transfer-syntax=1.2.840.10008.1.2.4.90",
    )
    answers = [host.get(f"/v2{uids.instance_path}", Accept=accept) for accept in accepted]
    assert len({answer.headers["ETag"] for answer in answers}) == len(accepted)
    assert {answer.headers["Vary"] for answer in answers} == {"Accept, msdicom-request-original, Origin"}
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE, If_None_Match=answers[1].headers["ETag"]).content
    accepted = (
        PIXELS,
        f"{PIXELS}; transfer-syntax=*",
        "application/octet-stream",
        'multipart/related; type="image/jp2"',
    )
    answers = [host.get(f"/v2{uids.instance_path}/frames/1", Accept=accept) for accept in accepted]
    assert len({answer.headers["ETag"] for answer in answers}) == len(accepted)


@pytest.mark.parametrize("transfer_syntax", [builders.EXPLICIT_LITTLE, builders.IMPLICIT_LITTLE])
def test_native_frames(host: Host, transfer_syntax: str) -> None:
    """WADO-60, WADO-61, WADO-66, STOW-132: an odd number of bytes, repeated, in the order asked for."""
    [uids] = stored(host, builders.instance(rows=3, columns=5, frames=3, transfer_syntax=transfer_syntax))
    frames = {number: builders.frame_pixels(number, 15) for number in (1, 2, 3)}
    content_type = f"application/octet-stream; transfer-syntax={transfer_syntax}"
    path = f"/v2{uids.instance_path}/frames"
    response = host.get(f"{path}/3,1%2C3", Accept=f"{PIXELS}; transfer-syntax=*")
    assert response.headers["Content-Type"].startswith('multipart/related; type="application/octet-stream"; boundary=')
    assert parts(response) == [(content_type, frames[number]) for number in (3, 1, 3)]
    assert f"Content-Location: {host.url}{path}/3\r\n".encode() in response.content
    response = host.get(f"{path}/2", Accept="application/octet-stream; transfer-syntax=*")
    assert (response.headers["Content-Type"], response.content) == (content_type, frames[2])
    assert response.headers["Content-Length"] == "15"
    assert host.get(f"{path}/2", Accept="application/octet-stream").content == frames[2]


@pytest.mark.parametrize(
    ("transfer_syntax", "image"),
    [(builders.JPEG_2000, "image/jp2"), (builders.RLE, "image/dicom-rle"), (builders.JPEG_BASELINE, "image/jpeg")],
)
def test_encapsulated_frames(host: Host, transfer_syntax: str, image: str) -> None:
    """WADO-30, WADO-33, WADO-66, STOW-132, CL-6: compressed bytes without item headers, under their own or the plain name."""
    [uids] = stored(host, builders.instance(rows=6, columns=6, frames=3, transfer_syntax=transfer_syntax))
    frames = [builders.compress(builders.frame_pixels(n, 36), 6, transfer_syntax) for n in (1, 2, 3)]
    path = f"/v2{uids.instance_path}/frames/1,2,3"

    def trimmed(response: Any) -> list[bytes]:
        return [payload[: len(frame)] for payload, frame in zip(payloads(response), frames, strict=True)]

    for accept in (
        f"{PIXELS}; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        "*/*",
        'multipart/related; type="*/*"',
    ):
        response = host.get(path, Accept=accept)
        assert trimmed(response) == frames
        assert parts(response)[0][0] == f"application/octet-stream; transfer-syntax={transfer_syntax}"
    response = host.get(path, Accept=f'multipart/related; type="{image}"')
    assert trimmed(response) == frames
    assert parts(response)[0][0] == f"{image}; transfer-syntax={transfer_syntax}"


def test_frames_of_a_video(host: Host) -> None:
    """They are one object: 406, whatever is accepted."""
    file = builders.instance(frames=3, transfer_syntax="1.2.840.10008.1.2.4.102")
    [uids] = stored(host, file)
    response = host.get(f"/v2{uids.instance_path}/frames/1", Accept="*/*")
    assert response.status_code == 406
    assert "video" in response.json()["detail"]
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file


def test_entity_tags_of_frames(host: Host) -> None:
    """D-26: updates never touch pixels, so the tag stays."""
    [uids] = stored(host, builders.instance(rows=3, columns=3))
    path = f"/v2{uids.instance_path}/frames/1"
    response = host.get(path, Accept="application/octet-stream")
    etag = response.headers["ETag"]
    assert response.headers["Vary"] == "Accept, Origin"
    assert host.get(path, Accept="*/*").headers["ETag"] != etag
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}
    assert finished(host, started(bulk_update(host, [uids.study], changes)))["status"] == "succeeded"
    again = host.get(path, Accept="application/octet-stream", If_None_Match=etag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)


def test_default_frame_request_of_dicomweb_client(host: Host) -> None:
    """clients.md: several image types and the plain one in one header."""
    accept = ", ".join(
        f'multipart/related; type="{name}"' for name in ("image/jp2", "image/jpeg", "application/octet-stream")
    )
    for syntax, media_type in (
        (builders.EXPLICIT_LITTLE, "application/octet-stream"),
        (builders.JPEG_2000, "image/jp2"),
        (builders.JPEG_BASELINE, "image/jpeg"),
    ):
        [uids] = stored(host, builders.instance(transfer_syntax=syntax))
        [(content_type, _)] = parts(host.get(f"/v2{uids.instance_path}/frames/1", Accept=accept))
        assert content_type == f"{media_type}; transfer-syntax={syntax}"


@pytest.mark.parametrize("frames", ["0", "-1", "1,-1", "0,1", "x", "1,", "1,,2", "1.5", "1_0", "%D9%A1"])
def test_frames_that_are_no_numbers(host: Host, frames: str) -> None:
    """WADO-60."""
    response = host.get(f"/v2/studies/1/series/1/instances/1/frames/{frames}")
    assert response.status_code == 400
    assert "The specified frames value is not valid." in response.json()["detail"]


@pytest.mark.parametrize("preferred", ["single", "multipart"])
def test_several_frames_for_whoever_accepts_one_alone_as_well(host: Host, preferred: str) -> None:
    """WADO-64, RFC 9110 12.5.1: the payload depends on how many frames are asked for."""
    [uids] = stored(host, builders.instance(frames=2))
    single, multiple = (0.9, 0.5) if preferred == "single" else (0.5, 0.9)
    accept = f'application/octet-stream;q={single}, multipart/related; type="application/octet-stream";q={multiple}'
    response = host.get(f"/v2{uids.instance_path}/frames/1,2", Accept=accept)
    assert [payload for _, payload in parts(response)] == [builders.frame_pixels(number, 16) for number in (1, 2)]
    alone = host.get(f"/v2{uids.instance_path}/frames/2", Accept=accept)
    assert alone.headers["Content-Type"].startswith("multipart" if preferred == "multipart" else "application")


def test_errors_of_frames(host: Host) -> None:
    """WADO-62 to WADO-64."""
    image, document = stored(host, builders.instance(frames=2), builders.instance(rows=0))
    path = f"/v2{image.instance_path}/frames"
    for frames in ("3", "1,3", "99999999999999999"):
        response = host.get(f"{path}/{frames}")
        assert (response.status_code, response.json()["detail"]) == (404, "The specified frame cannot be found.")
    response = host.get(f"/v2{document.instance_path}/frames/1")
    assert (response.status_code, response.json()["detail"]) == (404, "The specified frame cannot be found.")
    response = host.get(f"/v2{image.series_path}/instances/1.2.3/frames/1")
    assert (response.status_code, response.json()["detail"]) == (404, "The specified instance cannot be found.")
    response = host.get(f"{path}/1,2", Accept="application/octet-stream")
    assert response.status_code == 400
    assert "only supported for single frame retrieval" in response.json()["detail"]
    assert host.get(f"{path}/1", Accept="image/jp2").status_code == 406
    assert host.get(f"{path}/1", Accept='multipart/related; type="image/jpeg"').status_code == 406


def test_head(host: Host) -> None:
    """D-4: the headers of GET, no body."""
    file = builders.instance()
    [uids] = stored(host, file)
    for path, accept in (
        (uids.instance_path, ANY_FILE),
        (uids.study_path, ANY_FILES),
        (f"{uids.study_path}/metadata", JSON),
        (f"{uids.instance_path}/frames/1", "application/octet-stream"),
        (f"/studies?StudyInstanceUID={uids.study}", JSON),
    ):
        got = host.get(f"/v2{path}", Accept=accept)
        head = host.call("HEAD", f"/v2{path}", Accept=accept)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Length", "ETag"):
            assert head.headers.get(name) == got.headers.get(name)
        assert head.headers["Content-Type"].split("boundary")[0] == got.headers["Content-Type"].split("boundary")[0]
    assert host.call("HEAD", f"/v2/studies/{generate_uid()}").status_code == 404


def test_preflight(host: Host) -> None:
    """CL-5, D-4."""
    path = "/v2/studies/1.2/series/1.2/instances/1.2/frames/1"
    response = host.call(
        "OPTIONS",
        path,
        Origin="http://viewer.example",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="accept",
    )
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "http://viewer.example"
    assert response.headers["Access-Control-Allow-Headers"] == "accept"
    assert "GET" in response.headers["Access-Control-Allow-Methods"]
    assert int(response.headers["Access-Control-Max-Age"]) > 0


def test_cross_origin(host: Host) -> None:
    """CL-5: also of errors and of compressed answers."""
    [uids] = stored(host, *[builders.instance(StudyDescription="x" * 60)])
    exposed = {
        "content-type", "content-location", "etag", "location", "warning", "content-range",
        "erroneous-dicom-attributes", "x-ms-request-id",
    }  # fmt: skip
    for path in ("/v2/studies/1.2.3", f"/v2{uids.study_path}/metadata", "/v2/studies/x/metadata"):
        response = host.get(path, Origin="http://viewer.example")
        assert response.headers["Access-Control-Allow-Origin"] == "http://viewer.example"
        assert "Origin" in response.headers["Vary"]
        names = {name.strip().lower() for name in response.headers["Access-Control-Expose-Headers"].split(",")}
        assert exposed <= names
    assert "Access-Control-Allow-Origin" not in host.get("/v2/studies/1.2.3").headers


def test_original(host: Host) -> None:
    """WADO-100 to WADO-102, WADO-67, D-26: what was stored, before and after an update."""
    file = builders.instance(rows=3, columns=3)
    [uids] = stored(host, file)
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Updated^Ursula"}]}}
    state = finished(host, started(bulk_update(host, [uids.study], changes)))
    assert state["status"] == "succeeded"
    for path in (uids.study_path, uids.series_path, uids.instance_path):
        assert payloads(host.get(f"/v2{path}", Accept=ANY_FILES, msdicom_request_original="TRUE")) == [file]
        [latest] = payloads(host.get(f"/v2{path}", Accept=ANY_FILES, msdicom_request_original="yes"))
        assert str(builders.pydicom.dcmread(builders.BytesIO(latest)).PatientName) == "Updated^Ursula"
        names = [
            value(host.get(f"/v2{path}/metadata", **headers).json()[0], "00100010")["Alphabetic"]
            for headers in ({"msdicom_request_original": "true"}, {})
        ]
        assert names == ["Doe^Jane", "Updated^Ursula"]
    frame = host.get(f"/v2{uids.instance_path}/frames/1", Accept="application/octet-stream")
    assert frame.content == builders.frame_pixels(1, 9)


def test_client_that_breaks_off(host: Host) -> None:
    """WADO-44: does no harm, whatever it asked for."""
    file = builders.instance(rows=3000, columns=3000)
    [uids] = stored(host, file)
    for path in (uids.instance_path, uids.study_path, f"{uids.instance_path}/frames/1"):
        with requests.get(f"{host.url}/v2{path}", headers={"Accept": "*/*"}, stream=True, timeout=60) as response:
            assert next(response.iter_content(1000))
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file


def test_large_metadata(host: Host) -> None:
    """WADO-4: more metadata than a row holds."""
    items = [
        builders.item(CodeValue=generate_uid(entropy_srcs=[str(n)])[-16:], CodeMeaning="é" * 30) for n in range(40_000)
    ]
    file = builders.instance(rows=0, SpecificCharacterSet="ISO_IR 192", ProcedureCodeSequence=items)
    [uids] = stored(host, file)
    [metadata] = host.get(f"/v2{uids.instance_path}/metadata").json()
    assert len(metadata["00081032"]["Value"]) == 40_000
    assert host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE).content == file
