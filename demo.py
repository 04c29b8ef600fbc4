"""A walk through the service on real DICOM files: `python3 dev.py demo [DIR]` starts a host and runs this against it."""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pydicom
from pydicom.data import get_testdata_file

SAMPLES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtdose.dcm", "test-SR.dcm", "SC_rgb_rle_2frame.dcm")
NEW_NAME = "Müller^Anna"
DICOM_JSON = "application/dicom+json"
BATCH_BYTES = 64 << 20
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Rows"]


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Demo:
    def __init__(self, url: str) -> None:
        self.url = url

    def step(self, title: str) -> None:
        print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Sends a request, and prints it with the status of its answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=body, headers=named, method=method)
        started = time.perf_counter()
        try:
            with urllib.request.urlopen(request) as response:
                answer = Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, error.headers, error.read())
        milliseconds = (time.perf_counter() - started) * 1000
        extra = "".join(f"  {name}: {value}" for name, value in named.items() if name.lower() != "content-type")
        print(f"  > {method} {path}{extra}")
        print(f"  < {answer.status}  {len(answer.body):,} bytes  {milliseconds:.0f} ms")
        return answer

    def say(self, text: str) -> None:
        print(f"    {text}")

    def check(self, what: str, holds: bool) -> None:
        self.say(f"{'ok' if holds else 'WRONG'}: {what}")
        if not holds:
            raise SystemExit(f"The demo stops: {what} does not hold.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("directory", nargs="?", type=Path)
    arguments = parser.parse_args()
    files = find_files(arguments.directory)
    if not files:
        raise SystemExit(f"There is no DICOM file in {arguments.directory}.")
    demo = Demo(arguments.url)
    stored = store(demo, files)
    study, series, instance, original = choose(files, stored)
    search(demo, study)
    retrieve(demo, study, series, instance, original)
    update(demo, study, series, instance, original)
    feed(demo)
    partitions(demo, original)
    delete(demo, study)
    print("\nAll of it worked.")


def find_files(directory: Path | None) -> list[Path]:
    """DICOM files: those below a directory, or some that come with pydicom."""
    if directory is None:
        found = [Path(str(get_testdata_file(name, download=False))) for name in SAMPLES]
    else:
        found = sorted(path for path in directory.rglob("*") if path.is_file())
    return [path for path in found if is_dicom(path)]


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def store(demo: Demo, files: list[Path]) -> list[dict[str, Any]]:
    demo.step(f"Store {len(files)} files ({sum(path.stat().st_size for path in files):,} bytes)")
    stored: list[dict[str, Any]] = []
    refused: Counter[str] = Counter()
    for batch in batches(files):
        result = store_batch(demo, batch)
        stored += result.get("00081199", {}).get("Value", [])
        refused.update(reason(item) for item in result.get("00081198", {}).get("Value", []))
    warned = Counter(comments(item) or "implicit VR" for item in stored if "00081196" in item)
    demo.say(f"{len(stored)} stored, {sum(warned.values())} of them with warnings; {sum(refused.values())} refused")
    for outcome, texts in (("warning", warned), ("refused", refused)):
        for text, count in texts.most_common():
            demo.say(f"{outcome}, {count}x: {text}")
    if not stored:
        raise SystemExit("Nothing was stored.")
    return stored


def batches(files: list[Path]) -> Iterator[list[Path]]:
    """The files in requests of a moderate size."""
    batch: list[Path] = []
    size = 0
    for path in files:
        if batch and size + path.stat().st_size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += path.stat().st_size
    if batch:
        yield batch


def store_batch(demo: Demo, batch: list[Path]) -> Any:
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + path.read_bytes() + b"\r\n" for path in batch) + f"--{boundary}--\r\n".encode()
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return demo.call("POST", "/v2/studies", body, Content_Type=content_type, Accept=DICOM_JSON).json()


def reason(item: dict[str, Any]) -> str:
    """Why an instance was refused (PS3.18 10.5.3.2)."""
    code = value(item, "00081197")
    known = {"45070": "the instance is stored already", "43264": "not a valid DICOM instance"}
    return f"{code} {known.get(code, '')} {comments(item)}".strip()


def comments(item: dict[str, Any]) -> str:
    found = item.get("00741048", {}).get("Value", [])
    return "; ".join(comment["00000902"]["Value"][0] for comment in found)[:150]


def choose(files: list[Path], stored: list[dict[str, Any]]) -> tuple[str, str, str, bytes]:
    """The first stored instance that has pixel data, if any has: its UIDs and its file."""
    names = {value(item, "00081155") for item in stored}
    found = None
    for path in files:
        dataset = pydicom.dcmread(path, specific_tags=UIDS, force=True)
        if str(dataset.get("SOPInstanceUID")) in names:
            found = found or path
            if "Rows" in dataset:
                found = path
                break
    assert found is not None
    data = found.read_bytes()
    dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID), data


def search(demo: Demo, study: str) -> None:
    demo.step("Search")
    for result in demo.call("GET", "/v2/studies?limit=5", Accept=DICOM_JSON).json():
        demo.say(f"study {value(result, '0020000D')}: {name(result)}, {value(result, '00080020')}")
    answer = demo.call(
        "GET", f"/v2/studies?StudyInstanceUID={study}&includefield=NumberOfStudyRelatedInstances,ModalitiesInStudy"
    )
    [result] = answer.json()
    demo.say(f"{value(result, '00201208')} instance(s), modality {value(result, '00080061')}")
    family = name(result).split("^")[0].lower()
    if family.isalnum():
        found = demo.call("GET", f"/v2/studies?PatientName={quote(family[:4])}&fuzzymatching=true")
        demo.check(f"names that begin with {family[:4]!r} are found", found.status == 200)


def retrieve(demo: Demo, study: str, series: str, instance: str, original: bytes) -> None:
    demo.step("Retrieve")
    path = f"/v2/studies/{study}/series/{series}/instances/{instance}"
    answer = demo.call("GET", path, Accept="application/dicom; transfer-syntax=*")
    demo.check("the file comes back byte for byte", answer.body[128:] == original[128:])
    answer = demo.call("GET", f"{path}/metadata", Accept=DICOM_JSON)
    etag = answer.headers["ETag"]
    demo.say(f"{len(answer.json()[0])} attributes, ETag {etag}")
    answer = demo.call("GET", f"{path}/metadata", Accept=DICOM_JSON, If_None_Match=etag)
    demo.check("an unchanged instance is not sent again", answer.status == 304)
    if "PixelData" in pydicom.dcmread(BytesIO(original), force=True):
        answer = demo.call("GET", f"{path}/frames/1", Accept="application/octet-stream; transfer-syntax=*")
        demo.check(f"the first frame has {len(answer.body):,} bytes", answer.status == 200)


def update(demo: Demo, study: str, series: str, instance: str, original: bytes) -> None:
    demo.step(f"Bulk update: the patient's name becomes {NEW_NAME}")
    change = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": NEW_NAME}]}}
    body = json.dumps({"studyInstanceUids": [study], "changeDataset": change}).encode()
    answer = demo.call("POST", "/v2/studies/$bulkUpdate", body, Content_Type="application/json")
    location = answer.json()["href"].removeprefix(demo.url)
    while (answer := demo.call("GET", location)).status == 202:
        time.sleep(0.3)
    demo.say(json.dumps(answer.json()["results"]))
    demo.check("the operation succeeded", answer.json()["status"] == "succeeded")
    path = f"/v2/studies/{study}/series/{series}/instances/{instance}"
    accept = "application/dicom; transfer-syntax=*"
    latest = pydicom.dcmread(BytesIO(demo.call("GET", path, Accept=accept).body))
    demo.check(f"the file says {latest.PatientName}", str(latest.PatientName) == NEW_NAME)
    answer = demo.call("GET", path, Accept=accept, msdicom_request_original="true")
    demo.check("the original is kept byte for byte", answer.body[128:] == original[128:])
    found = demo.call("GET", "/v2/studies?PatientName=muller&fuzzymatching=true")
    demo.check("a search finds the new name", found.status == 200 and study in found.body.decode())


def feed(demo: Demo) -> None:
    demo.step("Change feed")
    for entry in demo.call("GET", "/v2/changefeed?limit=10&includeMetadata=false").json():
        uid = entry["sopInstanceUid"]
        demo.say(f"{entry['sequence']:3} {entry['action']:7} {entry['state']:9} {entry['timestamp']} {uid}")
    latest = demo.call("GET", "/v2/changefeed/latest?includeMetadata=false").json()
    demo.check("the update is the latest change", latest["action"] == "Update")


def partitions(demo: Demo, original: bytes) -> None:
    demo.step("Partitions")
    demo.call("POST", "/v2/partitions/research/studies", original, Content_Type="application/dicom")
    names = [item["partitionName"] for item in demo.call("GET", "/v2/partitions").json()]
    demo.check(f"there are {' and '.join(names)}", "research" in names)


def delete(demo: Demo, study: str) -> None:
    demo.step("Delete")
    demo.check("the study is gone", demo.call("DELETE", f"/v2/studies/{study}").status == 204)
    demo.check(
        "and not to be found", demo.call("GET", f"/v2/studies/{study}/metadata", Accept=DICOM_JSON).status == 404
    )
    answer = demo.call("GET", f"/v2/partitions/research/studies?StudyInstanceUID={study}")
    demo.check("the other partition still has it", answer.status == 200)


def value(result: dict[str, Any], tag: str) -> str:
    return "\\".join(str(item) for item in result.get(tag, {}).get("Value", []))


def name(result: dict[str, Any]) -> str:
    values = result.get("00100010", {}).get("Value", [])
    return str(values[0].get("Alphabetic", "")) if values else ""


if __name__ == "__main__":
    main()
