"""Parts of single instances: `Range` on the file, as stored and as updated (D-29, RFC 9110 14)."""

from __future__ import annotations

import pytest

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, bulk_update, finished, started, store
from tests.support.host import Host

LONG_NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Updated^Ursula^With^A^Longer Name"}]}}


def stored(host: Host, file: bytes) -> str:
    assert store(host, file).status_code == 200
    return f"/v2{Uids.of(file).instance_path}"


def updated(host: Host, file: bytes) -> str:
    path = stored(host, file)
    assert finished(host, started(bulk_update(host, [Uids.of(file).study], LONG_NAME)))["status"] == "succeeded"
    return path


@pytest.mark.parametrize("is_updated", [False, True])
def test_any_range_is_a_slice_of_the_whole(host: Host, is_updated: bool) -> None:
    """Of the latest version of an updated instance too, across the border of its patched head."""
    file = builders.instance(rows=64, columns=64)
    path = (updated if is_updated else stored)(host, file)
    whole = host.get(path, Accept=ANY_FILE)
    assert whole.status_code == 200
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Length"] == str(len(whole.content))
    assert (whole.content == file) is not is_updated
    assert whole.content.endswith(file[-4096:])
    length = len(whole.content)
    for first, last in ((0, 0), (0, 99), (130, 700), (600, 1400), (length - 10, length + 10), (0, length - 1)):
        response = host.get(path, Accept=ANY_FILE, Range=f"bytes={first}-{last}")
        assert response.status_code == 206
        assert response.content == whole.content[first : last + 1]
        assert response.headers["Content-Range"] == f"bytes {first}-{min(last, length - 1)}/{length}"
        assert response.headers["Content-Length"] == str(len(response.content))
        assert response.headers["ETag"] == whole.headers["ETag"]
        assert response.headers["Content-Type"] == whole.headers["Content-Type"]
    assert host.get(path, Accept=ANY_FILE, Range="bytes=-7").content == whole.content[-7:]
    original = host.get(path, Accept=ANY_FILE, Range="bytes=128-1000", msdicom_request_original="true")
    assert original.content == file[128:1001]


def test_range_that_cannot_be_satisfied(host: Host) -> None:
    file = builders.instance()
    response = host.get(stored(host, file), Accept=ANY_FILE, Range=f"bytes={len(file)}-")
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(file)}"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-1", "nonsense"])
def test_range_that_is_ignored(host: Host, asked: str) -> None:
    """RFC 9110 14.2."""
    file = builders.instance()
    response = host.get(stored(host, file), Accept=ANY_FILE, Range=asked)
    assert (response.status_code, response.content) == (200, file)


def test_if_range(host: Host) -> None:
    """RFC 9110 13.1.5: a range of what the client has begun to read, all of what is new."""
    file = builders.instance()
    path = stored(host, file)
    etag = host.get(path, Accept=ANY_FILE).headers["ETag"]
    assert host.get(path, Accept=ANY_FILE, Range="bytes=0-9", If_Range=etag).status_code == 206
    finished(host, started(bulk_update(host, [Uids.of(file).study], LONG_NAME)))
    response = host.get(path, Accept=ANY_FILE, Range="bytes=0-9", If_Range=etag)
    assert response.status_code == 200
    assert response.headers["ETag"] != etag
    assert b"Updated^Ursula" in response.content


def test_multipart_has_no_ranges(host: Host) -> None:
    file = builders.instance()
    response = host.get(stored(host, file), Accept="*/*", Range="bytes=0-9")
    assert response.status_code == 200
    assert "Accept-Ranges" not in response.headers


def test_file_whose_length_is_not_known_before(host: Host) -> None:
    """A deflated file is deflated anew while it is sent: no Content-Length, and no ranges."""
    file = builders.instance(transfer_syntax="1.2.840.10008.1.2.1.99", rows=20, columns=20)
    path = updated(host, file)
    response = host.get(path, Accept=ANY_FILE, Range="bytes=0-9")
    assert response.status_code == 200
    assert "Content-Length" not in response.headers
    assert str(builders.pydicom.dcmread(builders.BytesIO(response.content)).PatientName).startswith("Updated^Ursula")


def test_head(host: Host) -> None:
    """D-4: the headers of GET, and no range."""
    file = builders.instance()
    response = host.call("HEAD", stored(host, file), Accept=ANY_FILE, Range="bytes=0-9")
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(file))
    assert response.headers["Accept-Ranges"] == "bytes"
