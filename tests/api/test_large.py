"""Large files stream: what the host needs of memory does not grow with them (D-16, D-17, D-25, D-50)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from pydicom.uid import CTImageStorage

from tests import builders
from tests.patching import patch
from tests.support.dicomweb import ANY_FILE, MULTIPART, Uids, bulk_update, finished, started
from tests.support.host import Host

MIBIBYTE = 1 << 20
PIXEL_DATA_BYTES = 2048 * MIBIBYTE
UPLOADS = 10
UPLOAD_BYTES = 100 * MIBIBYTE
MOST_RESIDENT_BYTES = 300 * MIBIBYTE
PRIVATE_BYTES = 256 * MIBIBYTE
MOST_COPYING_BYTES = 64 * MIBIBYTE

ROWS, COLUMNS = 2048, 1024
FRAME_BYTES = ROWS * COLUMNS * 2
PIECE = MIBIBYTE


@dataclass(frozen=True)
class LargeFile:
    """A multi-frame CT in explicit VR little endian that is made while it is read; no two pieces of it are equal."""

    head: bytes
    pixel_data_bytes: int

    @classmethod
    def of(cls, pixel_data_bytes: int) -> LargeFile:
        dataset = builders.dataset(SOPClassUID=CTImageStorage, Modality="CT")
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
        dataset.NumberOfFrames = pixel_data_bytes // FRAME_BYTES
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        pixel_data = builders.element(0x7FE00010, "OW", b"", length=pixel_data_bytes)
        return cls(builders.part10(dataset) + pixel_data, pixel_data_bytes)

    @property
    def frames(self) -> int:
        return self.pixel_data_bytes // FRAME_BYTES

    def __iter__(self) -> Iterator[bytes]:
        yield self.head
        yield from self.pixels(0, self.pixel_data_bytes)

    def pixels(self, begin: int, end: int) -> Iterator[bytes]:
        """Both multiples of the size of a piece."""
        return noise(begin, end)


def noise(begin: int, end: int) -> Iterator[bytes]:
    """A stretch of bytes without end, in pieces; `begin` and `end` are multiples of their size."""
    same = hashlib.shake_128(b"noise").digest(PIECE - 8)
    for offset in range(begin, end, PIECE):
        yield offset.to_bytes(8, "little") + same


def digest(chunks: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.hexdigest()


def resident_peak(pid: int) -> int:
    """The most bytes that a process has had in memory since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kibibytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kibibytes) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def new_peak(pid: int) -> int:
    """Forgets the peak; what is in memory now is the new one."""
    forget_peak(pid)
    return resident_peak(pid)


def test_memory_does_not_grow_with_a_file(new_host: Host) -> None:
    """A part of 2 GiB, sent in chunks without Content-Length, comes back byte for byte, and so does a frame of it."""
    file = LargeFile.of(PIXEL_DATA_BYTES)
    path = f"/v2{Uids.of(file.head).instance_path}"

    content_type = f"{MULTIPART}; boundary=b"
    assert new_host.call("POST", "/v2/studies", multipart(file), Content_Type=content_type).status_code == 200
    assert resident_peak(new_host.pid) < MOST_RESIDENT_BYTES

    forget_peak(new_host.pid)
    with requests.get(new_host.url + path, headers={"Accept": ANY_FILE}, stream=True, timeout=120) as response:
        assert digest(late(response.iter_content(PIECE))) == digest(file)
    frame = new_host.get(f"{path}/frames/{file.frames}", Accept="application/octet-stream; transfer-syntax=*")
    assert frame.content == b"".join(file.pixels(PIXEL_DATA_BYTES - FRAME_BYTES, PIXEL_DATA_BYTES))
    assert resident_peak(new_host.pid) < MOST_RESIDENT_BYTES

    assert new_host.call("DELETE", path).status_code == 204
    assert new_host.get(path, Accept=ANY_FILE).status_code == 404


def test_memory_does_not_grow_with_what_an_update_copies(new_host: Host) -> None:
    """UPD-70, UPD-74, D-65, D-66: private data before the patient's name pass through, of a whole file and of a range."""
    dataset = builders.dataset(SpecificCharacterSet="ISO_IR 100", StudyDescription="Schädel")
    before, name, after = builders.part10(dataset).partition(b"\x10\0\x10\0PN")
    creator = builders.element(0x00090010, "LO", b"MAKER ")
    private = [builders.element(0x00091001, "OB", b"", length=PRIVATE_BYTES), *noise(0, PRIVATE_BYTES)]
    small = before + creator + name + after
    path = f"/v2{Uids.of(small).instance_path}"
    body = multipart([before, creator, *private, name, after])
    assert new_host.call("POST", "/v2/studies", body, Content_Type=f"{MULTIPART}; boundary=b").status_code == 200

    for family_name in ("Poe", "Öğün"):  # for the second one, all text is re-encoded
        changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": family_name}]}}
        state = finished(new_host, started(bulk_update(new_host, [str(dataset.StudyInstanceUID)], changes)))
        assert state["status"] == "succeeded"
        start, _, end = patch(small, changes).partition(creator)
        length = len(start + creator + private[0]) + PRIVATE_BYTES + len(end)

        resident = new_peak(new_host.pid)
        with requests.get(new_host.url + path, headers={"Accept": ANY_FILE}, stream=True, timeout=120) as response:
            assert digest(late(response.iter_content(PIECE))) == digest([start, creator, *private, end])
            assert response.headers["Content-Length"] == str(length)
        last = new_host.get(path, Accept=ANY_FILE, Range=f"bytes=-{len(end) + 8}")
        assert last.content == private[-1][-8:] + end
        first = new_host.get(path, Accept=ANY_FILE, Range=f"bytes={len(start)}-{len(start) + len(creator) + 99}")
        assert first.content == (creator + private[0] + private[1])[: len(creator) + 100]
        assert resident_peak(new_host.pid) - resident < MOST_COPYING_BYTES


def test_memory_does_not_grow_with_the_number_of_uploads(new_host: Host) -> None:
    """Ten parts of 100 MiB at the same time: the blocks that are on their way share one budget (D-16)."""
    files = [LargeFile.of(UPLOAD_BYTES) for _ in range(UPLOADS)]

    def store(file: LargeFile) -> int:
        return new_host.call(
            "POST", "/v2/studies", multipart(file), Content_Type=f"{MULTIPART}; boundary=b"
        ).status_code

    with ThreadPoolExecutor(UPLOADS) as pool:
        assert list(pool.map(store, files)) == [200] * UPLOADS
    assert resident_peak(new_host.pid) < MOST_RESIDENT_BYTES
    last = files[-1]
    frame = f"/v2{Uids.of(last.head).instance_path}/frames/{last.frames}"
    answer = new_host.get(frame, Accept="application/octet-stream; transfer-syntax=*")
    assert answer.content == b"".join(last.pixels(UPLOAD_BYTES - FRAME_BYTES, UPLOAD_BYTES))
    for file in files:
        assert new_host.call("DELETE", f"/v2{Uids.of(file.head).study_path}").status_code == 204


def multipart(file: Iterable[bytes]) -> Iterator[bytes]:
    yield b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    yield from file
    yield b"\r\n--b--\r\n"


def late(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, with a pause behind the first, in which a host that does not wait for its reader fills its memory."""
    yield next(chunks)
    time.sleep(1)
    yield from chunks
