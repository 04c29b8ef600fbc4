"""Random requests and damaged files: whatever comes, the answer is never a 5xx and never a broken connection.

The seeds are fixed, so that a failure can be seen again.
"""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import quote

import pytest

from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, bulk_update, finished, started, store
from tests.support.host import Host

REQUESTS = 400
FILES = 60

JUNK = [
    *[
        "",
        "*",
        "?",
        "\\",
        "%",
        "\0",
        "é",
        "日本",
        "\ud7ff",
        "😀" * 70,
        "a" * 5000,
        "'",
        '"',
        "<",
        "[",
        ",",
        "|",
        "~",
        "#",
    ],
    *[
        "../..",
        "\u2028",
        "0" * 64,
        "1" * 65,
        "1.2.",
        "-",
        "20200101-",
        "20201301",
        "1e400",
        "nan",
        "true",
        "all",
        "0",
        "1",
    ],
    *["1,2", "99", "PatientName", "00100010", "7FE00010", "00081115", "FFFEE000"],
]
NAMES = [
    *["PatientName", "PatientID", "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"],
    *["ModalitiesInStudy", "includefield", "limit", "offset", "fuzzymatching", "accept", "InstanceNumber", "Rows"],
    *["StudyTime", "PixelSpacing", "00091001", "startTime", "endTime", "includeMetadata"],
]
PATHS = [
    *["/studies", "/series", "/instances", "/changefeed", "/changefeed/latest", "/operations/{}", "/studies/{}"],
    *["{study}", "{study}/metadata", "{study}/series", "{series}/instances", "{instance}", "{instance}/metadata"],
    *["{instance}/frames/{}", "/partitions/{}/studies", "/studies/$bulkUpdate"],
]
ACCEPT = [
    *["*/*", "application/dicom+json", "application/dicom", "multipart/related", ',,;;"', "a/b;q=2", "*/*;q=0"],
    *['multipart/related; type="application/dicom"; transfer-syntax=*', "application/octet-stream; transfer-syntax=*"],
]
TYPES = ["application/dicom", "multipart/related; boundary=x", "application/json", "", 'multipart/related; boundary=""']
BODIES = [
    *[
        b"",
        b"--x--",
        b"--x\r\n\r\n",
        b"{}",
        b"[]",
        b"null",
        b"--x\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--x--",
    ],
    *[b'{"studyInstanceUids":[1],"changeDataset":{"x":1}}', b'{"studyInstanceUids":["1.2"],"changeDataset":[]}'],
]
TEXTS = [
    "",
    "Müller",
    "山田",
    "😀" * 70,
    "x" * 300,
    " pad ",
    "a\\b",
    "O'Neil/#?%|~",
    "\u2028",
    "a\0",
    "\x1b$B",
    "20200230",
    "-",
]
KEYWORDS = [
    *["PatientName", "PatientID", "StudyDescription", "AccessionNumber", "StudyDate", "Modality", "SeriesNumber"],
    *["InstanceNumber", "SpecificCharacterSet", "NumberOfFrames", "SOPClassUID", "StudyTime"],
]


def escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def test_random_requests(host: Host) -> None:
    """Every 500 is a bug (ERR-20)."""
    chance = random.Random(1)
    file = builders.instance(frames=3)
    assert store(host, file).status_code == 200
    uids = Uids.of(file)
    known = {"study": uids.study_path, "series": uids.series_path, "instance": uids.instance_path}
    for number in range(REQUESTS):
        path = chance.choice(PATHS).format(*[escaped(chance.choice(JUNK))], **known)
        query = "&".join(
            f"{escaped(chance.choice(NAMES + JUNK))}={escaped(chance.choice(JUNK))}"
            for _ in range(chance.randint(0, 3))
        )
        method = chance.choice(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT"])
        headers = {"Accept": chance.choice(ACCEPT), "If_None_Match": chance.choice(["*", '"a"', ","])}
        body = None
        if method == "POST":
            headers["Content_Type"] = chance.choice(TYPES)
            body = chance.choice([*BODIES, chance.randbytes(300), file[: chance.randrange(len(file))]])
        response = host.call(method, f"/v2{path}?{query}", body, **headers)
        assert response.status_code < 500, (number, method, path, query, headers, response.text)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # it writes what is wrong, and says so
@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files(host: Host, seed: int) -> None:
    """A file is refused, or it can be stored, retrieved, searched, updated and deleted (STOW-27, STOW-48)."""
    chance = random.Random(seed)
    for _ in range(FILES):
        attributes: dict[str, Any] = {
            keyword: chance.choice(TEXTS) for keyword in chance.sample(KEYWORDS, chance.randint(0, 5))
        }
        try:
            file = bytearray(builders.instance(transfer_syntax=chance.choice(builders.UNCOMPRESSED), **attributes))
        except (ValueError, TypeError, AttributeError):  # pydicom cannot write everything
            continue
        for _ in range(chance.randint(0, 6)):
            file[chance.randrange(132, len(file))] = chance.randrange(256)
        stored = store(host, bytes(file))
        assert stored.status_code in (200, 202, 409), stored.text
        if stored.status_code == 409:
            continue
        [item] = stored.json()["00081199"]["Value"]
        path = item["00081190"]["Value"][0].removeprefix(host.url)
        study = path.split("/")[3]
        assert host.get(path, Accept=ANY_FILE).content[128:] == bytes(file)[128:]
        assert host.get(f"{path}/metadata").json()
        assert host.get(f"/v2/studies?StudyInstanceUID={study}&includefield=all").status_code == 200
        while (
            update := bulk_update(host, [study], {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "山"}]}})
        ).status_code == 409:
            finished(host, update.headers["Location"].rsplit("/", 1)[1])
        assert finished(host, started(update))["status"] == "succeeded"
        assert host.get(path, Accept=ANY_FILE).status_code == 200
        assert host.call("DELETE", f"/v2/studies/{study}").status_code == 204
