"""Bulk data over HTTP (D-29, WADO-82, PS3.18 10.4.3.3.5)."""

from __future__ import annotations

import random
from pathlib import Path

import data_store  # type: ignore[import-untyped]  # pydicom-data, which has no types
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid

from tests import builders
from tests.bulk_data import expected, uris
from tests.support.dicomweb import Uids, bulk_update, finished, parts, started, store, value
from tests.support.host import Host

FOLDERS = (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent / "data")
OCTETS = "application/octet-stream"
MULTIPART = f'multipart/related; type="{OCTETS}"'
LITTLE_ENDIAN = f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 40 + b"\n%%EOF"


def stored(host: Host, file: bytes, base: str = "/v2") -> str:
    """Stores a file, and returns the path of the instance."""
    assert store(host, file, base=base).status_code in (200, 202)
    return base + Uids.of(file).instance_path


def referred(host: Host, path: str, suffix: str = "") -> dict[str, str]:
    """The BulkDataURIs in the metadata of an instance, as paths below the host's root."""
    [metadata] = host.get(f"{path}/metadata?includebulkdatauri=true{suffix}").json()
    found = {name: uri for name, uri in uris(metadata).items() if uri}
    assert all(uri == f"{host.url}{path}/bulkdata/{name}" for name, uri in found.items())
    return {name: uri.removeprefix(host.url) for name, uri in found.items()}


def document(media_type: str = "application/pdf") -> bytes:
    return builders.instance(rows=0, MIMETypeOfEncapsulatedDocument=media_type, EncapsulatedDocument=PDF)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of much that it reads here
@pytest.mark.parametrize(
    "name",
    ["waveform_ecg.dcm", "examples_palette.dcm", "examples_overlay.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm",
     "liver_1frame.dcm", "MR_small_implicit.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000-embedded-sequence-delimiter.dcm",
     "OBXXXX1A_expb_2frame.dcm", "emri_small_RLE.dcm", "gdcm-US-ALOKA-16_big.dcm", "chrJapMulti.dcm", "mlut_18.dcm"],
)  # fmt: skip
def test_real_files(host: Host, name: str) -> None:
    """Every value that metadata leaves out has a URI, and there are the bytes that pydicom reads."""
    [location] = [path for folder in FOLDERS for path in folder.rglob(name)]
    file = location.read_bytes()
    path = stored(host, file, f"/v2/partitions/bulk-{location.stem.replace('+', '-')}")
    wanted = {name: content for name, content in expected(file).items() if content}
    found = referred(host, path)
    assert found.keys() == wanted.keys()
    for name, content in wanted.items():
        response = host.get(found[name])
        assert response.status_code == 200, response.text
        if isinstance(content, list):
            assert [payload for _, payload in parts(response)] == content
        else:
            assert (response.headers["Content-Type"], response.headers["Content-Length"]) == (
                LITTLE_ENDIAN,
                str(len(content)),
            )
            assert response.content == content
            assert [payload for _, payload in parts(host.get(found[name], Accept=MULTIPART))] == [content]


def test_metadata_of_every_level(host: Host) -> None:
    """The URIs are in metadata of studies, series and instances, when they are asked for."""
    study, series = generate_uid(), generate_uid()
    files = [builders.instance(study, series, InstanceNumber=number) for number in (1, 2)]
    store(host, *files)
    base = Uids.of(files[0])
    for path in (base.study_path, base.series_path, base.instance_path):
        plain = host.get(f"/v2{path}/metadata")
        for text in ("true", "TRUE"):
            response = host.get(f"/v2{path}/metadata?includebulkdatauri={text}")
            assert [uris(each) for each in response.json()] == [
                {"7FE00010": f"{host.url}/v2{Uids.of(file).instance_path}/bulkdata/7FE00010"}
                for file in files[: len(response.json())]
            ]
            assert list(response.json()[0]) == [*plain.json()[0], "7FE00010"]
        for text in ("false", "", "1", "yes"):
            assert host.get(f"/v2{path}/metadata?includebulkdatauri={text}").content == plain.content
        assert not any(map(uris, plain.json()))
        assert response.headers["ETag"] != plain.headers["ETag"]
        repeated = host.get(f"/v2{path}/metadata?includebulkdatauri=true", If_None_Match=response.headers["ETag"])
        assert repeated.status_code == 304
        repeated = host.get(f"/v2{path}/metadata?includebulkdatauri=true", If_None_Match=plain.headers["ETag"])
        assert repeated.status_code == 200


def test_encapsulated_document(host: Host) -> None:
    """Under its own media type for clients that take it or anything, as plain bytes for those that want these."""
    path = stored(host, document())
    uri = referred(host, path)["00420011"]
    content = PDF + bytes(len(PDF) % 2)
    for accept in ("*/*", "", "application/pdf", f"{OCTETS};q=0.5, application/*"):
        response = host.get(uri, Accept=accept)
        assert (response.headers["Content-Type"], response.content) == ("application/pdf", content)
    response = host.get(f"{uri}?accept=application%2Fpdf", Accept="text/html")
    assert (response.headers["Content-Type"], response.content) == ("application/pdf", content)
    response = host.get(uri, Accept=OCTETS)
    assert (response.headers["Content-Type"], response.content) == (LITTLE_ENDIAN, content)
    assert parts(host.get(uri, Accept='multipart/related; type="application/pdf"')) == [("application/pdf", content)]
    assert parts(host.get(uri, Accept=MULTIPART)) == [(LITTLE_ENDIAN, content)]
    assert host.get(uri, Accept="model/stl").status_code == 406


@pytest.mark.parametrize("media_type", ["text/html", "text/xml", "", "a b", "text/html\\application/pdf"])
def test_documents_of_other_types_are_bytes(host: Host, media_type: str) -> None:
    """No file decides that a browser runs it."""
    response = host.get(f"{stored(host, document(media_type))}/bulkdata/00420011")
    assert response.headers["Content-Type"] == LITTLE_ENDIAN


def test_multipart(host: Host) -> None:
    """D-23, CL-6: for clients that ask for it; the part says where it is from."""
    path = stored(host, builders.instance(rows=3, columns=4))
    for accept in (MULTIPART, 'multipart/related; type="*/*"', f"multipart/related;type={OCTETS};transfer-syntax=*"):
        response = host.get(f"{path}/bulkdata/7fe00010", Accept=accept)
        assert response.headers["Content-Type"].startswith(f'multipart/related; type="{OCTETS}"; boundary=')
        assert parts(response) == [(LITTLE_ENDIAN, builders.frame_pixels(1, 12))]
        assert f"Content-Location: {host.url}{path}/bulkdata/7FE00010\r\n".encode() in response.content


@pytest.mark.parametrize(
    ("transfer_syntax", "image"), [(builders.JPEG_2000, "image/jp2"), (builders.RLE, "image/dicom-rle")]
)
def test_compressed_pixel_data(host: Host, transfer_syntax: str, image: str) -> None:
    """A part for each frame, under the name of the image type or the plain one; never a single part."""
    file = builders.instance(rows=6, columns=6, frames=3, transfer_syntax=transfer_syntax)
    uri = f"{stored(host, file)}/bulkdata/7FE00010"
    frames = expected(file)["7FE00010"]
    for accept, media_type in (
        ("*/*", OCTETS),
        (MULTIPART, OCTETS),
        (f"{MULTIPART}; transfer-syntax=*", OCTETS),
        ('multipart/related; type="*/*"', OCTETS),
        (f'multipart/related; type="{image}"', image),
        (f'multipart/related; type="image/jls", multipart/related; type="{image}";q=0.5', image),
    ):
        response = host.get(uri, Accept=accept)
        assert [payload for _, payload in parts(response)] == frames
        assert {name for name, _ in parts(response)} == {f"{media_type}; transfer-syntax={transfer_syntax}"}
        assert "Accept-Ranges" not in response.headers
    for accept in (OCTETS, 'multipart/related; type="image/jls"', "application/pdf"):
        assert host.get(uri, Accept=accept).status_code == 406
    assert host.get(uri, Accept="*/*", Range="bytes=0-1").status_code == 200


def test_compressed_icon_and_video(host: Host) -> None:
    """Fragments that nobody has assigned to frames are one part: those of a nested image, and those of a video."""
    icon = builders.item(Rows=4, Columns=4)
    builders.add_pixels(icon, 4, 4, 1, builders.JPEG_BASELINE)
    video = builders.instance(transfer_syntax=builders.JPEG_BASELINE, NumberOfFrames=25, IconImageSequence=[icon])
    path = stored(host, video)
    found = referred(host, path)
    assert found.keys() == {"7FE00010", "00880200/0/7FE00010"}
    for uri in found.values():
        [(media_type, payload)] = parts(host.get(uri))
        assert media_type == f"{OCTETS}; transfer-syntax={builders.JPEG_BASELINE}"
        assert payload.removesuffix(b"\0") == builders.compress(builders.frame_pixels(1, 16), 4, builders.JPEG_BASELINE)


@pytest.mark.parametrize("transfer_syntax", [*builders.UNCOMPRESSED])
def test_ranges(host: Host, transfer_syntax: str) -> None:
    """RFC 9110 14: one range of a single part, whatever the encoding of the file."""
    pixels = random.Random(1).randbytes(2 * 300 * 200)
    file = builders.instance(
        rows=300, columns=200, transfer_syntax=transfer_syntax, BitsAllocated=16, elements=[(0x7FE00010, "OW", pixels)]
    )
    uri = f"{stored(host, file)}/bulkdata/7FE00010"
    content = expected(file)["7FE00010"]
    assert isinstance(content, bytes)
    size = len(content)
    whole = host.get(uri)
    assert (whole.status_code, whole.headers["Accept-Ranges"], whole.content) == (200, "bytes", content)
    etag = whole.headers["ETag"]
    for asked, first, last in (
        ("0-99", 0, 99), ("1-1", 1, 1), ("119998-", 119998, size - 1), ("-7", size - 7, size - 1),
        ("99999-500000", 99999, size - 1),
    ):  # fmt: skip
        for headers in ({}, {"If_Range": etag}):
            response = host.get(uri, Range=f"bytes={asked}", **headers)
            assert response.status_code == 206
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
            assert response.headers["Content-Length"] == str(last - first + 1)
            assert (response.headers["ETag"], response.headers["Content-Type"]) == (etag, LITTLE_ENDIAN)
            assert response.content == content[first : last + 1]


def test_ranges_that_are_not_served(host: Host) -> None:
    """RFC 9110 13.1.5, 14.2, 15.5.17."""
    uri = f"{stored(host, builders.instance())}/bulkdata/7FE00010"
    response = host.get(uri, Range="bytes=16-")
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */16")
    assert response.headers["Content-Type"] == "application/problem+json"
    for headers in (
        {"Range": "bytes=0-1,4-5"},
        {"Range": "items=0-1"},
        {"Range": "bytes=5-1"},
        {"Range": "bytes=0-1", "If_Range": '"other"'},
        {"Range": "bytes=99-", "If_Range": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ):
        response = host.get(uri, **headers)
        assert (response.status_code, len(response.content)) == (200, 16)
    etag = host.get(uri).headers["ETag"]
    response = host.get(uri, If_None_Match=etag, Range="bytes=0-1")
    assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", etag)


def test_head(host: Host) -> None:
    """D-4; RFC 9110 14.2: Range is for GET."""
    uri = f"{stored(host, builders.instance())}/bulkdata/7FE00010"
    got = host.get(uri)
    head = host.call("HEAD", uri, Range="bytes=0-1")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    "name",
    ["", "/", "/00091001", "/00100010", "/00081032", "/00081032/0/00080100", "/7FE00010/0/7FE00010", "/PixelData",
     "/7FE0001", "/7FE00010/", "/7FE00010/x", "/%2F", "/7FE00010%2F0", "/00091002"],
)  # fmt: skip
def test_what_is_no_bulk_data(host: Host, name: str) -> None:
    """CL-8: 404 for paths that do not exist, are malformed, or lead to values that are in metadata or empty."""
    code = builders.item(CodeValue="1")
    empty = [(0x00090010, "LO", "MAKER"), (0x00091002, "OB", b"")]
    file = builders.instance(ProcedureCodeSequence=[code], elements=empty)
    path = stored(host, file)
    [metadata] = host.get(f"{path}/metadata?includebulkdatauri=true").json()
    assert metadata["00091002"] == {"vr": "OB"}
    if name == "/7FE00010/":  # the host ignores a slash at the end
        assert host.get(f"{path}/bulkdata{name}").status_code == 200
        return
    assert host.get(f"{path}/bulkdata{name}").status_code == 404


def test_errors(host: Host) -> None:
    """WADO-10, WADO-11, WADO-13, WADO-14: a bad UID, then Accept, then the instance, then the path."""
    uids = Uids.of(file := builders.instance())
    path = stored(host, file)
    assert host.get("/v2/studies/1/series/1/instances/x/bulkdata/7FE00010", Accept="text/html").status_code == 400
    assert host.get(f"/v2{uids.series_path}/instances/1.2.3/bulkdata/x", Accept="text/html").status_code == 406
    response = host.get(f"/v2{uids.series_path}/instances/1.2.3/bulkdata/7FE00010")
    assert (response.status_code, response.json()["detail"]) == (404, "The specified instance cannot be found.")
    response = host.get(f"{path}/bulkdata/00091001")
    assert (response.status_code, response.json()["detail"]) == (404, "The specified bulk data cannot be found.")
    assert host.get(f"{path}/bulkdata/7FE00010", Accept="application/pdf").status_code == 406
    assert host.call("POST", f"{path}/bulkdata/7FE00010", b"").status_code == 405


def test_updated_instance(host: Host) -> None:
    """D-65: updates do not change bulk data, also when text in front of it gets longer."""
    file = document()
    uids = Uids.of(file)
    path = stored(host, file)
    before = host.get(f"{path}/bulkdata/00420011")
    etag = host.get(f"{path}/metadata?includebulkdatauri=true").headers["ETag"]
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Ursula" * 4}]}}
    assert finished(host, started(bulk_update(host, [uids.study], changes)))["status"] == "succeeded"
    response = host.get(f"{path}/metadata?includebulkdatauri=true")
    assert value(response.json()[0], "00100010")["Alphabetic"].startswith("Müller")
    assert response.headers["ETag"] != etag
    assert referred(host, path).keys() == {"00420011"}
    for headers in ({}, {"msdicom_request_original": "true"}):
        [metadata] = host.get(f"{path}/metadata?includebulkdatauri=true", **headers).json()
        assert uris(metadata) == {"00420011": f"{host.url}{path}/bulkdata/00420011"}
        after = host.get(f"{path}/bulkdata/00420011", **headers)
        assert (after.content, after.headers["ETag"]) == (before.content, before.headers["ETag"])


def test_partition(host: Host) -> None:
    """PART-1: URIs lead to where the instance is."""
    path = stored(host, builders.instance(), f"/v2/partitions/{generate_uid()[-20:]}")
    uri = referred(host, path)["7FE00010"]
    assert host.get(uri).content == builders.frame_pixels(1, 16)
    assert host.get("/v2" + uri[uri.index("/studies") :]).status_code == 404


def test_many_private_elements(host: Host) -> None:
    """Each of them is found."""
    noise = random.Random(1)
    values = [noise.randbytes(2 * noise.randint(1, 200)) for _ in range(10_000)]
    elements = [(0x00091000 + n, "OB", content) for n, content in enumerate(values)]
    path = stored(host, builders.instance(rows=0, elements=elements))
    found = list(referred(host, path).values())
    assert len(found) == len(values)
    for number in (0, 5_000, 9_999):
        assert host.get(found[number]).content == values[number]


def test_dicomweb_client(host: Host) -> None:
    """dicomweb-client resolves what metadata refers to; it takes nothing but multipart, of which there are no ranges."""
    client = DICOMwebClient(f"{host.url}/v2")
    path = stored(host, document())
    uri = host.url + referred(host, path)["00420011"]
    content = PDF + bytes(len(PDF) % 2)
    assert client.retrieve_bulkdata(uri) == [content]
    assert client.retrieve_bulkdata(uri, (OCTETS,)) == [content]
    assert list(client.iter_bulkdata(uri, (OCTETS,))) == [content]
    assert client.retrieve_bulkdata(uri, (OCTETS,), byte_range=(0, 99)) == [content]
    file = builders.instance(rows=6, columns=6, frames=2, transfer_syntax=builders.JPEG_2000)
    uri = f"{host.url}{stored(host, file)}/bulkdata/7FE00010"
    frames = expected(file)["7FE00010"]
    assert client.retrieve_bulkdata(uri) == frames
    assert client.retrieve_bulkdata(uri, ("image/jp2",)) == frames
    assert client.retrieve_bulkdata(uri, ("image/jp2", OCTETS)) == frames
