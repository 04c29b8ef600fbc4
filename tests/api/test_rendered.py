"""Rendered images and thumbnails over HTTP (WADO-6, WADO-7, WADO-70 to WADO-76, D-28, D-29)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom.uid import generate_uid

from tests import builders
from tests.api.corpus import corpus_files
from tests.rendering import reference
from tests.support.dicomweb import Uids, bulk_update, finished, started, store
from tests.support.host import Host

PNG = "image/png"
JPEG = "image/jpeg"
NOT_RENDERED = "An error was encountered when attempting to convert the dicom file into an image"

AS_STORED = {"WindowCenter": 128, "WindowWidth": 256}
"""A window that shows 8 bits as they are."""


def stored(host: Host, *files: bytes) -> list[Uids]:
    assert store(host, *files).status_code in (200, 202)
    return [Uids.of(file) for file in files]


def image(response: requests.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(BytesIO(response.content))


def rendered(host: Host, path: str, accept: str = PNG) -> Image.Image:
    return image(host.get(f"/v2{path}", Accept=accept))


@pytest.fixture(scope="module")
def uids(host: Host) -> Uids:
    """An instance of three frames of 8 x 6 pixels."""
    [found] = stored(host, builders.instance(frames=3, rows=6, columns=8, **AS_STORED))
    return found


def test_first_frame(host: Host, uids: Uids) -> None:
    """WADO-6, WADO-72, WADO-75, WADO-76."""
    response = host.get(f"/v2{uids.instance_path}/rendered", Accept=PNG)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Vary"] == "Accept, Origin"
    assert image(response).mode == "L"
    assert image(response).tobytes() == builders.frame_pixels(1, 48)


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_frames(host: Host, uids: Uids, frame: int) -> None:
    """WADO-7, WADO-72."""
    path = f"{uids.instance_path}/frames/{frame}/rendered"
    assert rendered(host, path).tobytes() == builders.frame_pixels(frame, 48)
    assert rendered(host, f"{uids.instance_path}/frames/{frame}/thumbnail").tobytes() == builders.frame_pixels(
        frame, 48
    )


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ("4", 404),
        ("99999999999999", 404),
        ("0", 400),
        ("-1", 400),
        ("x", 400),
        ("1.0", 400),
        ("1,2", 400),
        ("1%2C1", 400),
    ],
)
@pytest.mark.parametrize("resource", ["rendered", "thumbnail"])
def test_frames_that_there_are_not(host: Host, uids: Uids, frames: str, status: int, resource: str) -> None:
    """WADO-72."""
    response = host.get(f"/v2{uids.instance_path}/frames/{frames}/{resource}")
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    if status == 404:
        assert response.json()["detail"] == "The specified frame cannot be found."


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        ("", "", JPEG),
        ("*/*", "", JPEG),
        ("image/*", "", JPEG),
        ("image/jpeg", "", JPEG),
        ("IMAGE/PNG", "", PNG),
        ("image/png, image/jpeg;q=0.5", "", PNG),
        ("image/jpeg;q=0, image/*", "", PNG),
        ("image/webp, image/png;q=0.1", "", PNG),
        ("*/*", "?accept=image%2Fpng", PNG),
        ("application/dicom", "?accept=image%2Fjpeg", JPEG),
        ("image/gif", "", ""),
        ("application/dicom", "", ""),
        ("multipart/related; type=image/jpeg", "", ""),
        ("*/*", "?accept=image%2Fgif", ""),
    ],
)
@pytest.mark.parametrize("resource", ["rendered", "thumbnail"])
def test_negotiation(host: Host, uids: Uids, accept: str, query: str, media_type: str, resource: str) -> None:
    """WADO-70, D-3, D-28, CL-1."""
    response = host.get(f"/v2{uids.instance_path}/{resource}{query}", Accept=accept)
    assert response.status_code == (200 if media_type else 406)
    assert response.headers["Content-Type"] == (media_type or "application/problem+json")
    if media_type:
        assert Image.open(BytesIO(response.content)).format == media_type.removeprefix("image/").upper()


def test_quality(host: Host) -> None:
    """WADO-71: of JPEG, validated for PNG, too."""
    [uids] = stored(host, builders.instance(rows=64, columns=64))
    path = f"/v2{uids.instance_path}/rendered"
    sizes = [len(host.get(f"{path}?quality={quality}").content) for quality in (1, 50, 100)]
    assert sizes == sorted(set(sizes))
    assert len(host.get(path).content) == sizes[-1]
    for quality in ("0", "101", "x", "5.5"):
        for accept in (JPEG, PNG):
            response = host.get(f"{path}?quality={quality}", Accept=accept)
            assert response.status_code == 400
            assert response.json()["detail"] == "Image quality must be between 1 and 100 inclusive"


def test_order_of_checks(host: Host, uids: Uids) -> None:
    """WADO-10: identifiers and parameters, Accept, existence."""
    missing = f"{uids.series_path}/instances/{generate_uid()}"
    assert host.get("/v2/studies/x/rendered?quality=0", Accept="text/plain").status_code == 400
    assert host.get(f"/v2{missing}/rendered?quality=0", Accept="text/plain").status_code == 400
    assert host.get(f"/v2{missing}/frames/0/rendered", Accept="text/plain").status_code == 400
    assert host.get(f"/v2{missing}/rendered?viewport=1", Accept="text/plain").status_code == 400
    assert host.get(f"/v2{missing}/rendered?window=1", Accept="text/plain").status_code == 400
    assert host.get(f"/v2{missing}/rendered", Accept="text/plain").status_code == 406
    assert host.get(f"/v2{missing}/rendered").status_code == 404


@pytest.mark.parametrize("resource", ["rendered", "thumbnail"])
def test_not_found(host: Host, uids: Uids, resource: str) -> None:
    """WADO-13, WADO-14."""
    other = generate_uid()
    for path, level in (
        (f"/studies/{other}", "study"),
        (f"{uids.study_path}/series/{other}", "series"),
        (f"{uids.series_path}/instances/{other}", "instance"),
        (f"/studies/{other}/series/{uids.series}/instances/{uids.instance}/frames/1", "instance"),
    ):
        response = host.get(f"/v2{path}/{resource}")
        assert response.status_code == 404
        assert response.json()["detail"] == f"The specified {level} cannot be found."


@pytest.mark.parametrize("resource", ["rendered", "thumbnail", "frames/1/rendered"])
def test_no_pixels(host: Host, resource: str) -> None:
    """WADO-73."""
    [uids] = stored(host, builders.instance(rows=0))
    assert host.get(f"/v2{uids.instance_path}/{resource}").status_code == 404
    if "frames" not in resource:
        assert host.get(f"/v2{uids.series_path}/{resource}").status_code == 404
        assert host.get(f"/v2{uids.study_path}/{resource}").status_code == 404


def test_representative_instance(host: Host) -> None:
    """D-29: of a study or series, the middle one of those that have pixels, in the order of D-24."""
    study, first, second = generate_uid(), "1.2.1", "1.2.2"
    files = [
        builders.instance(study, second, SeriesNumber=1, InstanceNumber=1, rows=1, **AS_STORED),
        builders.instance(study, second, SeriesNumber=1, InstanceNumber=9, rows=4, **AS_STORED),
        builders.instance(study, second, SeriesNumber=1, InstanceNumber=3, rows=3, frames=4, **AS_STORED),
        builders.instance(study, first, SeriesNumber=2, InstanceNumber=1, rows=5, **AS_STORED),
        builders.instance(study, first, SeriesNumber=2, InstanceNumber=2, rows=6, **AS_STORED),
        *(builders.instance(study, first, SeriesNumber=2, InstanceNumber=3, rows=0) for _ in range(4)),
    ]
    stored(host, *files)
    for resource, frame in (("rendered", 1), ("thumbnail", 3)):
        assert rendered(host, f"/studies/{study}/{resource}").size == (4, 4)
        of_series = rendered(host, f"/studies/{study}/series/{second}/{resource}")
        assert of_series.tobytes() == builders.frame_pixels(frame, 12)
        assert rendered(host, f"/studies/{study}/series/{first}/{resource}").size == (4, 6)


def test_thumbnails(host: Host) -> None:
    """At most 128 pixels wide and high, JPEG; small images stay as they are; of several frames the middle one."""
    [large, small, many] = stored(
        host,
        builders.instance(rows=100, columns=400),
        builders.instance(rows=20, columns=10),
        builders.instance(rows=2, columns=3, frames=5, **AS_STORED),
    )
    response = host.get(f"/v2{large.instance_path}/thumbnail")
    assert response.headers["Content-Type"] == JPEG
    assert image(response).size == (128, 32)
    assert rendered(host, f"{small.instance_path}/thumbnail").size == (10, 20)
    assert rendered(host, f"{many.instance_path}/thumbnail").tobytes() == builders.frame_pixels(3, 6)
    assert rendered(host, f"{small.instance_path}/thumbnail?viewport=40,40").size == (20, 40)


def test_clients(host: Host) -> None:
    """Requests of OHIF, dicomweb-client and Weasis (CL-1, CL-8)."""
    [uids] = stored(host, builders.instance(rows=100, columns=200))
    assert image(host.get(f"/v2{uids.instance_path}/rendered?accept=image%2Fjpeg")).format == "JPEG"
    assert image(host.get(f"/v2{uids.instance_path}/thumbnail?accept=image%2Fjpeg")).format == "JPEG"
    path = f"{uids.instance_path}/frames/1/rendered?quality=90&viewport=64%2C64"
    assert rendered(host, path, JPEG).size == (64, 32)
    assert rendered(host, f"{uids.series_path}/thumbnail?viewport=96%2C96").size == (96, 48)
    assert rendered(host, f"{uids.study_path}/rendered?annotation=patient&_=1").size == (200, 100)


def test_viewport(host: Host, uids: Uids) -> None:
    """PS3.18 8.3.5.1.3."""
    path = f"{uids.instance_path}/rendered"
    columns = [builders.frame_pixels(1, 48)[row * 8 + 2 : row * 8 + 6] for row in (1, 2)]
    assert rendered(host, f"{path}?viewport=4,2,2,1,4,2").tobytes() == b"".join(columns)
    assert rendered(host, f"{path}?viewport=4,2,2,1,-4,-2").tobytes() == b"".join(columns)[::-1]
    assert rendered(host, f"{path}?viewport=80,80").size == (80, 60)
    assert host.get(f"/v2{path}?viewport=8,6,8,0").status_code == 400
    assert host.get(f"/v2{path}?viewport=100000,100000").status_code == 406


def test_window(host: Host) -> None:
    """PS3.18 8.3.5.1.2: in units of the Modality LUT's output."""
    [uids] = stored(host, builders.instance(RescaleSlope="2", RescaleIntercept="-1000", **AS_STORED))
    pixels = list(builders.frame_pixels(1, 16))
    found = rendered(host, f"{uids.instance_path}/rendered?window=-1000,1,linear").tobytes()
    assert found == bytes(0 if value < 0 else 255 for value in pixels)
    exact = rendered(host, f"{uids.instance_path}/rendered?window=-745,510,linear-exact").tobytes()
    assert exact == bytes(pixels)


def test_entity_tags(host: Host, uids: Uids) -> None:
    """D-26, WADO-94: one for each image that can be asked for; 404 goes before 304."""
    path = f"/v2{uids.instance_path}"
    paths = [f"{path}/{each}" for each in (
        "rendered", "frames/2/rendered", "rendered?quality=99", "rendered?viewport=9,9", "rendered?window=1,2", "thumbnail",
    )]  # fmt: skip
    tags = [host.get(each).headers["ETag"] for each in paths]
    tags.append(host.get(paths[0], Accept=PNG).headers["ETag"])
    assert len(set(tags)) == len(tags)
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert host.get(f"{path}/frames/1/rendered?quality=100").headers["ETag"] == tags[0]
    for known in (tags[0], f'"x", W/{tags[0]}', "*"):
        response = host.get(paths[0], If_None_Match=known)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == tags[0]
        assert response.headers["Cache-Control"] == "private, no-cache"
    assert host.get(paths[0], If_None_Match=tags[1]).status_code == 200
    assert host.get(f"{path}/frames/4/rendered", If_None_Match="*").status_code == 404


def test_head(host: Host, uids: Uids) -> None:
    """D-4."""
    path = f"/v2{uids.instance_path}/rendered"
    head, get = host.call("HEAD", path), host.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_updated_instance(host: Host) -> None:
    """WADO-6: the current version, whatever `msdicom-request-original` says; an update does not change the image."""
    [uids] = stored(host, builders.instance(**AS_STORED))
    path = f"/v2{uids.instance_path}/rendered"
    before = host.get(path, Accept=PNG)
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name" + "x" * 40}]}}
    assert finished(host, started(bulk_update(host, [uids.study], changes)))["status"] == "succeeded"
    for headers in ({}, {"msdicom-request-original": "true"}):
        after = host.get(path, Accept=PNG, **headers)
        assert image(after).tobytes() == builders.frame_pixels(1, 16)
        assert after.headers["ETag"] == before.headers["ETag"]
    host.call("DELETE", f"/v2{uids.instance_path}")
    assert host.get(path, If_None_Match=before.headers["ETag"]).status_code == 404


@pytest.mark.parametrize(
    "attributes",
    [
        {"transfer_syntax": builders.JPEG_2000},
        {"transfer_syntax": builders.JPEG_BASELINE},
        {"transfer_syntax": "1.2.840.10008.1.2.4.102"},
        {"transfer_syntax": "1.2.840.10008.1.2.4.102", "frames": 2},
        {"transfer_syntax": "1.2.840.10008.1.2.4.92"},
        {"PhotometricInterpretation": None},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"SamplesPerPixel": 4, "rows": 2, "columns": 2, "PixelData": bytes(16)},
    ],
)
@pytest.mark.parametrize("resource", ["rendered", "thumbnail", "frames/1/rendered"])
def test_what_cannot_be_rendered(host: Host, attributes: dict[str, Any], resource: str) -> None:
    """WADO-74: damaged pixels, videos, unknown transfer syntaxes and descriptions that make no sense."""
    [uids] = stored(host, builders.instance(**attributes))
    response = host.get(f"/v2{uids.instance_path}/{resource}")
    assert response.status_code == 406, response.text
    assert response.json()["detail"] == NOT_RENDERED


@pytest.mark.parametrize("transfer_syntax", [*builders.UNCOMPRESSED, builders.RLE])
def test_transfer_syntaxes(host: Host, transfer_syntax: str) -> None:
    [uids] = stored(host, builders.instance(frames=2, rows=3, columns=3, transfer_syntax=transfer_syntax, **AS_STORED))
    assert rendered(host, f"{uids.instance_path}/frames/2/rendered").tobytes() == builders.frame_pixels(2, 9)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of much that it reads here
@pytest.mark.parametrize(
    "name",
    ["test_files/SC_rgb_small_odd_big_endian.dcm", "test_files/SC_rgb_jpeg_dcmtk.dcm", "test_files/MR_small_jp2klossless.dcm",
     "test_files/image_dfl.dcm", "pydicom-data/liver_expb.dcm", "pydicom-data/OBXXXX1A_rle_2frame.dcm",
     "pydicom-data/693_J2KR.dcm", "pydicom-data/vlut_04.dcm"],
)  # fmt: skip
def test_real_files(host: Host, name: str) -> None:
    """WADO-76, as pydicom calculates them; what decoders make of lossy images may differ a little."""
    file = corpus_files()[name].read_bytes()
    base = "/v2/partitions/rendered"
    assert store(host, file, base=base).status_code in (200, 202)
    found = image(host.get(f"{base}{Uids.of(file).instance_path}/rendered", Accept=PNG))
    assert np.abs(np.asarray(found) - reference(name)).max() <= 2
