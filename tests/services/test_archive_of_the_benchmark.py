"""What the benchmark searches is what stores would have left (bench/archive.py)."""

from __future__ import annotations

import pytest

from bench import archive
from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.services.study_check import check_study
from shared.storage.account import StorageAccount
from shared.storage.storage import Storage
from tests.support.services import found


@pytest.fixture(scope="module")
def azurite(own_azurite: Azurite) -> Azurite:
    """An emulator of its own: the archive is all that it has."""
    return own_azurite


async def test_nothing_is_missing_but_the_files(account: StorageAccount, storage: Storage) -> None:
    """All that is to be true of stored studies is, and searches find them."""
    await archive.load(account, 0, 3)
    studies, _ = await storage.lookups.studies(10, None)
    assert len(studies) == 3
    for key in studies:
        [violation] = await check_study(storage, key)
        assert violation.what.startswith("the file ")
    assert await found(storage, Level.STUDY, PatientID="P00000", StudyDate=archive.day(0)) == 3
    assert await found(storage, Level.INSTANCE, ModalitiesInStudy="MR") == 1
