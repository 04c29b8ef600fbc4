"""Search against a naive filter over everything, page by page and at every level, and while everything changes."""

from __future__ import annotations

import asyncio
import json
import random
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom.searchable import Level
from shared.services import bulk_update, candidates, delete, query_tags
from shared.services.bulk_update import StudyUpdate
from shared.services.query import Query, parse
from shared.services.search import search
from shared.storage import lookup_tables
from shared.storage.storage import Storage
from tests import builders
from tests.support.dicomweb import Uids
from tests.support.query_tags import add_tags, remove_tags
from tests.support.services import store_files

# keyword -> (VR, level, values that instances have). Extended query tags are the last of each level.
ATTRIBUTES: dict[str, tuple[str, Level, list[str]]] = {
    "PatientName": ("PN", Level.STUDY, ["Doe^Jane", "Döe^John", "Meier^Ute Maria", "山田^太郎"]),
    "PatientID": ("LO", Level.STUDY, ["P-1", "p-2", "Q/7"]),
    "PatientBirthDate": ("DA", Level.STUDY, ["19700102", "20001231"]),
    "AccessionNumber": ("SH", Level.STUDY, ["A1", "A2", "B*1"]),
    "ReferringPhysicianName": ("PN", Level.STUDY, ["Roe^Richard", "Doe^Jane"]),
    "StudyDate": ("DA", Level.STUDY, ["20240101", "20240131", "20250630"]),
    "StudyDescription": ("LO", Level.STUDY, ["Chest", "Head", "x" * 64]),
    "PatientSex": ("CS", Level.STUDY, ["F", "M"]),
    "Modality": ("CS", Level.SERIES, ["CT", "MR", "PX"]),
    "PerformedProcedureStepStartDate": ("DA", Level.SERIES, ["20240101", "20240202"]),
    "ManufacturerModelName": ("LO", Level.SERIES, ["Model 5", "Scanner"]),
    "BodyPartExamined": ("CS", Level.SERIES, ["HEAD", "CHEST"]),
    "AcquisitionNumber": ("IS", Level.INSTANCE, ["3", "03", "-7"]),
}
TAGS = (("PatientSex", "study"), ("BodyPartExamined", "series"), ("AcquisitionNumber", "instance"))
UID_TAGS = ("0020000D", "0020000E", "00080018")
UID_NAMES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
UPDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "PatientName": ("Dupont^Marie", {"vr": "PN", "Value": [{"Alphabetic": "Dupont^Marie"}]}),
    "PatientID": ("P-1", {"vr": "LO", "Value": ["P-1"]}),
    "PatientSex": ("M", {"vr": "CS", "Value": ["M"]}),
    "AccessionNumber": ("", {"vr": "SH"}),
}
PATHS = {"PatientName": "00100010", "PatientID": "00100020", "PatientSex": "00100040", "AccessionNumber": "00080050"}

type Identity = tuple[str, ...]
type Values = dict[str, str]


@pytest.fixture(scope="module")
def azurite(own_azurite: Azurite) -> Azurite:
    """An emulator of their own for these tests: a re-index goes through all that is stored."""
    return own_azurite


@pytest.fixture
async def storage(storage: Storage) -> AsyncIterator[Storage]:
    """Without extended query tags before and after."""
    yield storage
    await remove_tags(storage)


def folded(text: str, vr: str) -> str:
    text = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in text if vr != "PN" or not unicodedata.combining(c))


def matches(name: str, value: str, wanted: str, *, fuzzy: bool) -> bool:
    """QIDO-60 to QIDO-76, D-40, as a reader of the rules would check one value."""
    vr = ATTRIBUTES[name][0]
    if vr == "IS":
        return int(value) == int(wanted)
    if vr == "DA":
        first, _, last = wanted.partition("-") if "-" in wanted else (wanted, "", wanted)
        return (first or "0") <= value <= (last or "9")
    value, wanted = folded(value, vr), folded(wanted, vr)
    if "*" in wanted or "?" in wanted:
        pattern = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
        return re.fullmatch(pattern, value) is not None
    if vr == "PN" and fuzzy:
        found, starts = re.split("[ ^=]", value), re.split("[ ^]", wanted)
        return any(
            len(found) - n >= len(starts) and all(found[n + k].startswith(starts[k]) for k in range(len(starts)))
            for n in range(len(found))
        )
    return any(value == one for one in (wanted.split(",") if name == "Modality" else [wanted]))


@dataclass
class Model:
    """All instances, oldest first, and the order in which studies and series have come to be."""

    instances: dict[Identity, Values] = field(default_factory=dict)
    order: list[Identity] = field(default_factory=list)

    def add(self, identity: Identity, values: Values) -> None:
        self.instances[identity] = values
        self.order += [identity[:n] for n in (1, 2, 3) if identity[:n] not in self.order]

    def remove(self, identity: Identity) -> None:
        for known in [known for known in self.instances if known[: len(identity)] == identity]:
            del self.instances[known]
        self.order = [known for known in self.order if self.below(known)]

    def below(self, identity: Identity) -> list[Values]:
        return [values for known, values in self.instances.items() if known[: len(identity)] == identity]

    def search(self, scope: Identity, level: Level, filters: Values, *, fuzzy: bool) -> list[Identity]:
        """What matches, newest first."""
        return [
            identity
            for identity in reversed(self.order)
            if len(identity) == level and identity[: len(scope)] == scope and self.accepts(identity, filters, fuzzy)
        ]

    def accepts(self, identity: Identity, filters: Values, fuzzy: bool) -> bool:
        for name, wanted in filters.items():
            if name in UID_NAMES:
                if identity[UID_NAMES.index(name)] not in wanted.split("\\"):
                    return False
            elif name == "ModalitiesInStudy":
                if not any(matches("Modality", value, wanted, fuzzy=False) for value in self.modalities(identity[0])):
                    return False
            else:
                value = self.below(identity[: ATTRIBUTES[name][1]])[-1][name]  # of the newest instance (QIDO-111)
                if not value or not matches(name, value, wanted, fuzzy=fuzzy):
                    return False
        return True

    def modalities(self, study: str) -> list[str]:
        series = [identity for identity in self.order if len(identity) == 2 and identity[0] == study]
        return sorted({self.below(identity)[-1]["Modality"] for identity in series})


@dataclass
class World:
    host: Storage
    random: random.Random
    partition: str = field(default_factory=lambda: f"p{uuid.uuid4().hex}")
    model: Model = field(default_factory=Model)
    studies: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(6)])
    series: list[str] = field(default_factory=lambda: [generate_uid() for _ in range(3)])

    async def change(self) -> None:
        stored = list(self.model.instances)
        kind = self.random.choices(["store", "delete", "update"], [8, 2 if stored else 0, 1 if stored else 0])[0]
        if kind == "store":
            await self.store(self.random.choice(self.studies))
        elif kind == "delete":
            identity = self.random.choice(stored)[: self.random.choice([1, 2, 3, 3])]
            await delete.delete(self.host, self.partition, *identity)
            self.model.remove(identity)
        else:
            await self.update(self.random.choice(stored)[0])

    async def store(self, study: str) -> None:
        files: list[bytes] = []
        for _ in range(self.random.choice([1, 2, 4])):
            values = {name: self.random.choice(values) for name, (_, _, values) in ATTRIBUTES.items()}
            files.append(
                builders.instance(
                    study, self.random.choice(self.series), rows=0, SpecificCharacterSet="ISO_IR 192", **values
                )
            )
            uids = Uids.of(files[-1])
            self.model.add((uids.study, uids.series, uids.instance), values)
        assert len((await store_files(self.host, files, self.partition)).stored) == len(files)

    async def update(self, study: str) -> None:
        names = self.random.sample(list(UPDATES), 2)
        changes = {PATHS[name]: UPDATES[name][1] for name in sorted(names, key=PATHS.__getitem__)}
        update = StudyUpdate(uuid.uuid4().hex, 0, self.partition, study, changes)
        assert await bulk_update.update_study(self.host, update)
        for values in self.model.below((study,)):
            values |= {name: UPDATES[name][0] for name in names}

    def query(self) -> tuple[Identity, Level, Values, bool]:
        """A search: what its path names, its level and its filters."""
        level = self.random.choice(list(Level))
        stored = self.random.choice([*self.model.instances, (generate_uid(), generate_uid(), generate_uid())])
        scope = stored[: self.random.choice([0, 0, 0, *range(level)])]
        names = [name for name, (_, own, _) in ATTRIBUTES.items() if len(scope) < own <= level]
        names += ["ModalitiesInStudy"] if not scope else []
        names += [UID_NAMES[n - 1] for n in range(len(scope) + 1, level + 1)] if self.random.random() < 0.2 else []
        chosen = self.random.sample(names, min(len(names), self.random.choice([0, 1, 1, 2, 3])))
        return scope, level, {name: self.wanted(name, stored) for name in chosen}, self.random.random() < 0.4

    def wanted(self, name: str, stored: Identity) -> str:
        if name in UID_NAMES:
            other = self.random.choice([*self.model.instances, stored])
            place = UID_NAMES.index(name)
            return self.random.choice([stored[place], f"{stored[place]}\\{other[place]}"])
        vr, _, values = ATTRIBUTES["Modality" if name == "ModalitiesInStudy" else name]
        value = self.random.choice(values)
        if vr == "DA":
            return self.random.choice([value, f"{value[:4]}0101-", f"-{value}", "20240101-20241231"])
        if vr == "IS":
            return value
        if vr == "PN":
            return self.random.choice(
                [value.upper(), "do", "jane", "ute mar", "*o*", "*meier*", "d?e^j*", "太", "*田*"]
            )
        if "Modalit" in name and self.random.random() < 0.3:
            return "CT,PX"
        return self.random.choice([value, value.lower(), f"{value[0]}*", f"*{value[1:]}", f"*{value[-1]}*", "*"])

    async def check(self) -> None:
        """A random search, page by page."""
        scope, level, filters, fuzzy = self.query()
        expected = self.model.search(scope, level, filters, fuzzy=fuzzy)
        limit = self.random.choice([1, 2, 5, 200])
        tags = await query_tags.read(self.host)
        for offset in range(0, len(expected) + 1, limit):
            query = Query(level, *scope)
            parameters = [*filters.items(), ("limit", str(limit)), ("offset", str(offset))]
            parameters += [("fuzzymatching", str(fuzzy)), ("includefield", "00201208,00201206,00201209,00080061")]
            parsed = parse(query, [(k, v) for k, v in parameters], tags)
            results = [json.loads(item) for item in await search(self.host, self.partition, parsed, "")]
            shown = UID_TAGS[:level]
            page = [(*scope, *(each[tag]["Value"][0] for tag in shown[len(scope) :])) for each in results]
            assert page == expected[offset : offset + limit], (scope, level, filters, fuzzy, limit, offset)
            for identity, item in zip(page, results, strict=True):
                self.check_computed(identity, item)

    def check_computed(self, identity: Identity, item: dict[str, Any]) -> None:
        """QIDO-105 to QIDO-107, D-45."""
        below = [known for known in self.model.instances if known[0] == identity[0]]
        assert item["00201208"]["Value"] == [len(below)]
        assert item["00201206"]["Value"] == [len({known[1] for known in below})]
        if len(identity) > 1:
            assert item["00201209"]["Value"] == [sum(known[1] == identity[1] for known in below)]
        else:
            assert item["00080061"]["Value"] == self.model.modalities(identity[0])


@pytest.mark.parametrize("seed", range(4))
async def test_searches_equal_a_naive_filter(storage: Storage, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """QIDO-1 to QIDO-123, D-40 to D-48, EQT-60 to EQT-63: also where an index is so long that pages are not read to its end."""
    world = World(storage, random.Random(seed))
    if seed % 2:
        monkeypatch.setattr(lookup_tables, "_MOST_ROWS", 3)
        for name in ("_MOST_ROWS", "_FEW_ROWS", "_STUDIES_AT_ONCE", "_INSTANCES_AT_ONCE"):
            monkeypatch.setattr(candidates, name, world.random.choice([1, 2, 3]))
    await storage.partitions.ensure(world.partition)
    await add_tags(storage, *TAGS)
    for _ in range(7):
        for _ in range(4):
            await world.change()
        for _ in range(12):
            await world.check()


async def test_answered_changes_are_seen(storage: Storage, other_host: Storage) -> None:
    """D-45, D-46, QIDO-105 to QIDO-107: counts, modalities and names are exact as soon as a change is answered.

    Whatever others do meanwhile to other studies that share the same index rows.
    """
    partition, patient = f"p{uuid.uuid4().hex}", uuid.uuid4().hex
    await storage.partitions.ensure(partition)

    async def results(host: Storage, level: Level, **parameters: str) -> list[dict[str, Any]]:
        query = parse(Query(level), list(parameters.items()))
        return [json.loads(item) for item in await search(host, partition, query, "")]

    async def check(study: str, name: str, modalities: list[str]) -> None:
        """`modalities` has one for each instance, which is one of each series."""
        fields = "ModalitiesInStudy,NumberOfStudyRelatedInstances,NumberOfStudyRelatedSeries"
        host = random.choice([storage, other_host])
        for filters in ({"PatientID": patient}, {"PatientName": f"*{name[2:]}*"}, {"StudyDate": "20240101-"}):
            found = await results(host, Level.STUDY, limit="200", includefield=fields, **filters)
            mine = [item for item in found if item["0020000D"]["Value"] == [study]]
            assert len(mine) == bool(modalities)
            assert len({item["0020000D"]["Value"][0] for item in found}) == len(found)
            for item in mine:
                assert item["00080061"]["Value"] == sorted(set(modalities))
                assert item["00201206"]["Value"] == item["00201208"]["Value"] == [len(modalities)]
                assert item["00100010"]["Value"] == [{"Alphabetic": name}]
        found = await results(host, Level.SERIES, limit="200", PatientID=patient, StudyInstanceUID=study)
        assert sorted(item["00080060"]["Value"][0] for item in found) == sorted(modalities)
        found = await results(host, Level.SERIES, limit="200", PatientName=name)
        assert sorted(item["00080060"]["Value"][0] for item in found) == sorted(modalities)
        assert len(await results(host, Level.INSTANCE, limit="200", PatientName=name)) == len(modalities)

    async def work(number: int) -> None:
        chance, study = random.Random(number), generate_uid()
        name = f"Name{number}^A"
        stored: list[tuple[str, str]] = []
        for step in range(6):
            host = chance.choice([storage, other_host])
            if stored and chance.random() < 0.3:
                file, _ = stored.pop(chance.randrange(len(stored)))
                await delete.delete(host, partition, study, file)
            elif stored and chance.random() < 0.3:
                name = f"Name{number}^{'BCDEFGH'[step]}"
                changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
                assert await bulk_update.update_study(host, StudyUpdate(uuid.uuid4().hex, 0, partition, study, changes))
            else:
                files = [
                    builders.instance(study, rows=0, PatientID=patient, PatientName=name, Modality=modality)
                    for modality in chance.choices(["CT", "MR", "PX"], k=2)
                ]
                await asyncio.gather(*(store_files(host, [file], partition) for file in files))
                stored += [(Uids.of(file).series, modality_of(file)) for file in files]
            await check(study, name, [modality for _, modality in stored])

    await asyncio.gather(*(work(number) for number in range(5)))


def modality_of(file: bytes) -> str:
    return str(pydicom.dcmread(BytesIO(file)).Modality)
