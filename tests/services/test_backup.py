"""A backup as docs/operations.md describes it: what is restored is the service that was saved."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from devhost.azurite import Azurite
from shared.services import fsck
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids, bulk_update, finished, started, store
from tests.support.host import ROOT, Host


def backup(command: str, file: Path, account: str) -> tuple[int, str]:
    environment = {**environ, "AzureWebJobsStorage": account}
    arguments = [sys.executable, "backup.py", command, str(file)]
    result = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def copy_files(source: str, target: str) -> None:
    """What azcopy does: files with their metadata."""
    with (
        ContainerClient.from_connection_string(source, "dicom") as one,
        ContainerClient.from_connection_string(target, "dicom") as other,
    ):
        for blob in one.list_blobs(include=["metadata"]):
            other.upload_blob(blob.name, one.download_blob(blob.name).readall(), metadata=blob.metadata)


async def violations(account: str) -> list[str]:
    storage = await Storage.open(StorageAccount.from_environment({"AzureWebJobsStorage": account}))
    found = [finding.violation.what async for finding in fsck.check(storage)]
    await storage.close()
    return found


def answers(host: Host, paths: list[str]) -> list[bytes]:
    return [host.get(path, Accept="*/*").content.replace(host.url.encode(), b"") for path in paths]


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two empty accounts."""
    emulators = [Azurite.start(tmp_path_factory.mktemp("azurite")) for _ in range(2)]
    yield [emulator.connection_string for emulator in emulators]
    for emulator in emulators:
        emulator.stop()


@contextmanager
def running(account: str, folder: Path) -> Iterator[Host]:
    service = Host(account, folder).start()
    try:
        yield service
    finally:
        service.stop()


def test_restored_service(accounts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files, originals, metadata, searches, tags, change feed and operations are there, and everything goes on."""
    old, new = accounts
    folder, file = tmp_path_factory.mktemp("backup"), builders.instance(PatientAge="042Y")
    uids, saved = Uids.of(file), folder / "tables.gz"
    with running(old, tmp_path_factory.mktemp("old")) as service:
        tag = '[{"path": "PatientAge", "level": "Study"}]'
        finished(service, started(service.call("POST", "/v2/extendedquerytags", tag, Content_Type="application/json")))
        assert store(service, file, *(builders.instance(study=uids.study) for _ in range(120))).status_code == 200
        operation = started(bulk_update(service, [uids.study], {"00100020": {"vr": "LO", "Value": ["4712"]}}))
        assert finished(service, operation)["status"] == "succeeded"
        paths = [
            f"/v2{uids.study_path}/metadata",
            f"/v2{uids.instance_path}?accept=application/dicom%3Btransfer-syntax%3D*",
            "/v2/changefeed?limit=200",
        ]
        paths += ["/v2/studies?PatientAge=042Y", "/v2/series?PatientID=4712", f"/v2/operations/{operation}"]
        before = answers(service, paths)

    code, text = backup("save", saved, old)
    assert (code, text.endswith(" rows saved.\n")) == (0, True), text
    assert backup("restore", saved, new) == (0, text.replace("saved", "restored"))
    copy_files(old, new)
    assert asyncio.run(violations(new)) == []
    assert backup("restore", saved, new) == (1, "The account is not empty.\n")

    with running(new, tmp_path_factory.mktemp("new")) as service:
        assert answers(service, paths) == before
        assert store(service, builders.instance(study=uids.study)).status_code == 200
        assert len(service.get(f"/v2{uids.study_path}/instances?limit=200").json()) == 122
