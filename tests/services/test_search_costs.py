"""What searches cost in storage transactions: figures that do not grow with the archive."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.services import query_tags
from shared.services.bulk_update import StudyUpdate, update_study
from shared.services.query import Query, may_use_tags, parse
from shared.services.search import search
from shared.storage import keys
from shared.storage.account import StorageAccount
from shared.storage.lookups import rows_of
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from tests import builders
from tests.support.archive import archive, load
from tests.support.services import counted, store_files

STUDIES = int(os.environ.get("SEARCH_STUDIES", "4000"))
"""So many that to read them all takes more requests than any bound allows; 100,000 take a few minutes."""

ALL = min(100, STUDIES)
STUDY, SERIES = Level.STUDY, Level.SERIES


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An emulator with the index of an archive."""
    emulator = Azurite.start(tmp_path_factory.mktemp("azurite"))

    async def fill() -> None:
        account = StorageAccount.from_environment({"AzureWebJobsStorage": emulator.connection_string})
        storage = await Storage.open(account)
        await load(storage, studies())
        await storage.close()

    asyncio.run(fill())
    yield emulator
    emulator.stop()


@functools.cache
def studies() -> list[tuple[str, StudyHead, bool]]:
    return list(archive(STUDIES))


async def ask(storage: Storage, query: Query, **parameters: str) -> tuple[list[dict[str, Any]], int]:
    """The results and how many storage transactions they took."""
    with counted(storage) as spent:
        tags = await query_tags.read(storage) if may_use_tags(list(parameters.items())) else ()
        results = await search(storage, DEFAULT, parse(query, list(parameters.items()), tags), "")
    return [json.loads(item) for item in results], spent.transactions


def expected(parameters: dict[str, str], level: Level, is_wanted: Any) -> list[str]:
    tag = "0020000E" if level is SERIES else "0020000D"
    found = []
    for key, head, is_rare in studies():
        assert head.study
        if is_wanted(is_rare, {key: item["Value"][0] for key, item in head.study.summary.items()}):
            found.append(head.study.newest[0] if tag == "0020000E" else key.split("|")[1])
    offset = int(parameters.get("offset", 0))
    return found[::-1][offset : offset + 100]


def rare(is_rare: bool, _: dict[str, Any]) -> bool:
    return is_rare


def everything(_: bool, __: dict[str, Any]) -> bool:
    return True


def common(is_rare: bool, _: dict[str, Any]) -> bool:
    return not is_rare


def jane(_: bool, values: dict[str, Any]) -> bool:
    return "Jane" in values["00100010"]["Alphabetic"]


def with_e(_: bool, values: dict[str, Any]) -> bool:
    return "e" in values["00100010"]["Alphabetic"]


def chest(_: bool, values: dict[str, Any]) -> bool:
    return "chest" in values["00081030"] and "Jane" in values["00100010"]["Alphabetic"]


@pytest.mark.parametrize("level", [STUDY, SERIES])
@pytest.mark.parametrize(
    ("parameters", "is_wanted", "most"),
    [
        ({}, everything, 2),
        ({"offset": "1000"}, everything, 3),
        ({"PatientID": "rare"}, rare, 2),
        ({"PatientID": "RARE", "PatientName": "xaverius*"}, rare, 2),
        ({"ModalitiesInStudy": "PX"}, rare, 2),
        ({"ModalitiesInStudy": "CT,MR"}, common, 3),
        ({"StudyDate": "19000101-19991231"}, rare, 2),
        ({"StudyDate": "20000101-"}, common, 3),
        ({"StudyDate": "19000101-20991231"}, everything, 3),
        ({"PatientName": "xaver*"}, rare, 2),
        ({"PatientName": "*averi*"}, rare, 3),
        ({"PatientName": "*xaver*", "StudyDate": "-20991231", "StudyDescription": "*aint*"}, rare, 3),
        ({"AccessionNumber": "*0000000*"}, rare, 3),
        ({"PatientName": "*jane"}, jane, 3),
        ({"PatientName": "*e*"}, with_e, 3),
        ({"PatientName": "*jane*", "StudyDescription": "*chest*"}, chest, 3),
        ({"PatientName": "zol", "fuzzymatching": "true"}, rare, 2),
        ({"PatientName": "xaverius zolt", "fuzzymatching": "true"}, rare, 2),
        ({"PatientName": "jan", "fuzzymatching": "true"}, jane, 3),
        ({"PatientName": "nobody^*"}, lambda *_: False, 2),
        ({"PatientName": "*nobody*"}, lambda *_: False, 3),
    ],
)
async def test_page(storage: Storage, level: Level, parameters: dict[str, str], is_wanted: Any, most: int) -> None:
    """QIDO-120, D-43: 100 matches or any number of them, the page is the newest 100 and takes a few requests."""
    results, requests = await ask(storage, Query(level), **parameters)
    tag = "0020000E" if level is SERIES else "0020000D"
    assert [item[tag]["Value"][0] for item in results] == expected(parameters, level, is_wanted)
    assert requests <= most, (parameters, requests)
    print(level.name, parameters, requests)


@pytest.mark.parametrize("level", [STUDY, SERIES])
@pytest.mark.parametrize(
    ("parameters", "is_wanted", "most"),
    [
        ({"InstitutionalDepartmentName": "quaint ward"}, rare, 3),
        ({"InstitutionalDepartmentName": "quaint*"}, rare, 3),
        ({"InstitutionalDepartmentName": "*aint*"}, rare, 4),
        ({"InstitutionalDepartmentName": "ward*"}, common, 4),
        ({"InstitutionalDepartmentName": "*ward*"}, everything, 4),
        ({"InstitutionalDepartmentName": "*ward*", "PatientName": "*averi*"}, rare, 4),
        ({"AcquisitionDateTime": "1900-1999"}, rare, 3),
        ({"AcquisitionDateTime": "2000-"}, common, 4),
    ],
)
async def test_page_by_extended_query_tags(
    storage: Storage, level: Level, parameters: dict[str, str], is_wanted: Any, most: int
) -> None:
    """QIDO-54, QIDO-120: the list of the tags takes a request, the page no more than by other attributes."""
    if level is STUDY and "AcquisitionDateTime" in parameters:
        return  # it is one of series
    results, requests = await ask(storage, Query(level), **parameters)
    tag = "0020000E" if level is SERIES else "0020000D"
    assert [item[tag]["Value"][0] for item in results] == expected(parameters, level, is_wanted)
    assert requests <= most, (parameters, requests)
    print(level.name, parameters, requests)


async def test_patient_of_many_studies(storage: Storage) -> None:
    """What index rows do not tell takes a read of each result's study (D-45), or of its newest instance (QIDO-114)."""
    patient, count = f"patient-{generate_uid()[-12:]}", 12
    files = [builders.instance(rows=0, PatientID=patient, Modality="CT") for _ in range(count)]
    await store_files(storage, files)
    for level, include, most in (
        (STUDY, "StudyDescription,Modality,ReferringPhysicianName,PatientBirthDate,ModalitiesInStudy", 2),  # OHIF
        (SERIES, "Modality,RetrieveURL", 2),
        (STUDY, "NumberOfStudyRelatedInstances,NumberOfStudyRelatedSeries", 2 + count),
        (SERIES, "NumberOfSeriesRelatedInstances", 2 + count),
        (STUDY, "StudyTime", 2 + 2 * count),
        (STUDY, "all", 2 + 2 * count),
        (SERIES, "SeriesDescription", 2 + 2 * count),
        (Level.INSTANCE, "all", 1 + count),
    ):
        results, requests = await ask(storage, Query(level), PatientID=patient, includefield=include)
        assert len(results) == count
        assert requests <= most, (level, include, requests)
    _, requests = await ask(storage, Query(SERIES), PatientID=patient, Modality="CT", StudyDate="20240101-")
    assert requests <= 3


async def test_instances(storage: Storage) -> None:
    """A name takes its index row, the instance and the head of its study; instances of a study come with it."""
    study, series = generate_uid(), generate_uid()
    stored = await store_files(storage, [builders.instance(study, series, rows=0) for _ in range(120)])
    uid = stored.files[0].sop_instance
    for query, parameters, count, most in (
        (Query(Level.INSTANCE), {"SOPInstanceUID": uid}, 1, 3),
        (Query(Level.INSTANCE, study), {"SOPInstanceUID": uid}, 1, 3),
        (Query(Level.INSTANCE), {"SeriesInstanceUID": series}, 100, 2),
        (Query(Level.INSTANCE), {"StudyInstanceUID": study}, 100, 1),
        (Query(SERIES), {"SeriesInstanceUID": series}, 1, 3),
        (Query(STUDY), {"StudyInstanceUID": study}, 1, 1),
        (Query(SERIES, study), {}, 1, 1),
        (Query(Level.INSTANCE, study), {"offset": "20"}, 100, 1),
        (Query(Level.INSTANCE, study, series), {}, 100, 2),
        (Query(Level.INSTANCE, study, series), {"InstanceNumber": "1"}, 100, 3),  # one for the list of tags
        (Query(Level.INSTANCE), {}, 100, 4),  # of the newest, which are these
    ):
        results, requests = await ask(storage, query, **parameters)
        assert len(results) == count
        assert requests <= most, (query, parameters, requests)


async def test_instances_of_few_studies_among_many(storage: Storage) -> None:
    """QIDO-3, D-40: a request for each study that matches, and a few; rows of others lead nowhere."""
    attributes = {"StudyDescription": "Unusual", "StudyDate": "20100101", "InstitutionalDepartmentName": "Unusual ward"}
    files = [builders.instance(rows=0, PatientName=f"Quux{number}^Real", **attributes) for number in range(5)]
    await store_files(storage, files)
    for parameters in (
        {"PatientName": "*uux*"},
        {"PatientName": "quux*"},
        {"PatientName": "re", "fuzzymatching": "true", "StudyDescription": "un*"},
        {"StudyDate": "19000101-20991231", "StudyDescription": "*usual"},
        {"ModalitiesInStudy": "OT", "PatientName": "*^real"},
        {"InstitutionalDepartmentName": "*ual*"},
        {"InstitutionalDepartmentName": "*w*", "PatientName": "*uux*"},
    ):
        results, requests = await ask(storage, Query(Level.INSTANCE), **parameters)
        assert len(results) == len(files), parameters
        assert requests <= len(files) + 4, (parameters, requests)


async def test_two_extended_query_tags(storage: Storage) -> None:
    """QIDO-54: rows in the table of one do not tell of the other; what is rare is found first, whichever is named first."""
    attributes = {"AcquisitionDateTime": "20100101", "InstitutionalDepartmentName": "Strange ward"}
    files = [builders.instance(rows=0, **attributes) for _ in range(5)]
    await store_files(storage, files)
    parameters = {"AcquisitionDateTime": "1900-2099", "InstitutionalDepartmentName": "*range*"}
    for level, limit in ((SERIES, "100"), (SERIES, "5"), (Level.INSTANCE, "100")):
        for wanted in (parameters, dict(reversed(parameters.items()))):
            results, requests = await ask(storage, Query(level), **wanted, limit=limit)
            assert len(results) == len(files)
            assert requests <= 6 * int(limit)


async def test_newest_instances_behind_a_bulk_update(storage: Storage) -> None:
    """D-43: the entries that an update appends to the feed do not have their instances read."""
    study = generate_uid()
    await store_files(storage, [builders.instance(study, rows=0) for _ in range(110)])
    changes = {"00100020": {"vr": "LO", "Value": ["other"]}}
    assert await update_study(storage, StudyUpdate(uuid.uuid4().hex, 0, DEFAULT, study, changes)) == 110
    await store_files(storage, [builders.instance(rows=0)])
    results, requests = await ask(storage, Query(Level.INSTANCE), limit="10")
    assert [item["0020000D"]["Value"][0] == study for item in results] == [False, *[True] * 9]
    assert requests <= 8


async def test_unchanged_attributes_write_no_lookup_row(storage: Storage) -> None:
    """QIDO-110: a store into an existing series leaves the index of its study as it is, to the ETag."""
    study, series = generate_uid(), generate_uid()
    key = keys.study_partition(DEFAULT, study)

    async def etags() -> list[str]:
        wanted = rows_of(key, await storage.instances.head(key))
        found = await asyncio.gather(*(storage.wire.get_entity(*lookup) for lookup in wanted))
        return [entity.etag for entity in found if entity]

    await store_files(storage, [builders.instance(study, series, rows=0)])
    before = await etags()
    await store_files(storage, [builders.instance(study, series, rows=0)])
    assert await etags() == before
    assert len(before) > 20


async def test_new_series_writes_its_rows_together_with_those_of_its_study(storage: Storage) -> None:
    """A study and its first series share transactions; so do series that come in one request."""
    study = generate_uid()
    with counted(storage) as one:
        await store_files(storage, [builders.instance(rows=0)])
    with counted(storage) as ten:
        await store_files(storage, [builders.instance(study, rows=0) for _ in range(10)])
    assert one.transactions <= 30
    assert ten.transactions <= one.transactions + 9 * 3  # a file, and the rows of two UIDs
