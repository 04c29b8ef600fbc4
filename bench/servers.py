"""The servers that are measured beside each other, each as processes of its own on loopback with a throw-away folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import requests

from devhost.azurite import Azurite
from shared.storage.account import StorageAccount
from tests.support.host import Host, free_port

ORTHANC = "Orthanc"
ORTHANC_PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 60

_STORAGE = re.compile(rb" ([0-9]+) requests to storage, ([0-9]+) bytes sent, ([0-9]+) received")
"""As shared/telemetry.py logs it at the end of each operation."""

_LOG_SECONDS = 0.1
"""An operation is over a moment after the client has its last byte."""

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a server has needed since its start: processor time of its process; of the service what it asked of storage, too."""

    cpu_seconds: float = 0
    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Service:
    """This project on the local host, with Azurite in memory mode behind it."""

    name = "service"

    def __init__(self, folder: Path) -> None:
        self._azurite = Azurite.start(folder / "azurite", in_memory=True)
        self._host = Host(self._azurite.connection_string, folder, log_level="DEBUG").start()
        self._read, self._spent = 0, Spent()
        self.dicomweb = f"{self._host.url}/v2"

    @property
    def pid(self) -> int:
        return self._host.pid

    @property
    def storage(self) -> StorageAccount:
        return StorageAccount.from_environment({"AzureWebJobsStorage": self._azurite.connection_string})

    def stop(self) -> None:
        self._host.stop()
        self._azurite.stop()

    def spent(self) -> Spent:
        """What it says in its log that its operations have asked of storage, and its processor time."""
        time.sleep(_LOG_SECONDS)
        with self._host.log.open("rb") as log:
            log.seek(self._read)
            lines = log.read().rpartition(b"\n")[0]
        self._read += len(lines)
        for counts in _STORAGE.findall(lines):
            self._spent += Spent(0, *map(int, counts))
        return self._spent + Spent(cpu_seconds(self.pid))

    def delete(self, study: str) -> None:
        requests.delete(f"{self.dicomweb}/studies/{study}", timeout=900).raise_for_status()

    def change_name(self, studies: Sequence[str], name: str) -> None:
        """Changes PatientName in studies, and returns when that is done."""
        changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
        body = {"studyInstanceUids": studies, "changeDataset": changes}
        response = requests.post(f"{self.dicomweb}/studies/$bulkUpdate", json=body, timeout=60)
        response.raise_for_status()
        operation = response.json()["id"]
        while (state := requests.get(f"{self.dicomweb}/operations/{operation}", timeout=60)).status_code == 202:
            time.sleep(0.01)
        assert state.json()["status"] == "succeeded", state.text


class Orthanc:
    """The DICOM server of the Debian packages orthanc and orthanc-dicomweb."""

    name = "Orthanc"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port = free_port()
        configuration = {
            "StorageDirectory": str(folder / "orthanc"),
            "IndexDirectory": str(folder / "orthanc"),
            "HttpPort": port,
            "DicomServerEnabled": False,
            "AuthenticationEnabled": False,
            "RemoteAccessAllowed": False,
            "OverwriteInstances": True,
            "Plugins": [str(ORTHANC_PLUGINS)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self._url = f"http://127.0.0.1:{port}"
        self.dicomweb = f"{self._url}/dicom-web"
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _start(self) -> None:
        with (self._folder / "orthanc.log").open("ab") as log:
            command = [ORTHANC, str(self._folder / "orthanc.json")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((self._folder / "orthanc.log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self._url}/system", timeout=10).ok
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def spent(self) -> Spent:
        return Spent(cpu_seconds(self.pid))

    def delete(self, study: str) -> None:
        requests.delete(f"{self._url}/studies/{self._identifier(study)}", timeout=900).raise_for_status()

    def change_name(self, studies: Sequence[str], name: str) -> None:
        """Makes copies of studies with another PatientName: the originals stay, as in the service."""
        body = {"Replace": {"PatientName": name}, "Force": True}
        for study in studies:
            url = f"{self._url}/studies/{self._identifier(study)}/modify"
            requests.post(url, json=body, timeout=900).raise_for_status()

    def _identifier(self, study: str) -> str:
        found = requests.post(f"{self._url}/tools/lookup", data=study, timeout=60).json()
        [identifier] = [item["ID"] for item in found if item["Type"] == "Study"]
        return str(identifier)


type Server = Service | Orthanc


def post(server: Server, body: bytes, content_type: str) -> None:
    """Stores the files of a multipart body."""
    headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
    response = requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=900)
    assert response.status_code == 200, response.text


def is_installed() -> bool:
    """Whether Orthanc can be the peer."""
    return shutil.which(ORTHANC) is not None and ORTHANC_PLUGINS.exists()


def version_of_orthanc() -> str:
    return subprocess.run([ORTHANC, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def memory_mib(pid: int) -> tuple[float, float]:
    """The memory that a process has now, and its peak since `forget_peak`, in MiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["VmHWM"].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    """Starts a new measurement of the peak."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
