"""The index of an archive of many studies, without the studies."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import batched

from shared.dicom.searchable import ExtendedAttribute, Level
from shared.storage import keys
from shared.storage.lookups import TAG_TABLE, LookupKey, rows_of
from shared.storage.partitions import DEFAULT
from shared.storage.query_tags import READY, QueryTag
from shared.storage.storage import Storage
from shared.storage.study_head import StudyHead
from shared.storage.study_rows import SeriesRow, StudyRow, Summary, TagValue

DAY = 86_400_000_000
FIRST_DAY = 1_600_000_000_000_000
STUDIES_A_DAY = 200
RARE = 100

WARD = ExtendedAttribute(0x00081040, "LO", Level.STUDY, 1)
ACQUIRED = ExtendedAttribute(0x0008002A, "DT", Level.SERIES, 2)
"""Extended query tags: InstitutionalDepartmentName and AcquisitionDateTime."""

_FAMILY, _GIVEN = ["Doe", "Roe", "Meier", "Garcia", "Tanaka"], ["Jane", "John", "Ute", "Luis", "Kenji"]
_STUDIES_AT_ONCE = 2000


def archive(studies: int) -> Iterator[tuple[str, StudyHead, bool]]:
    """Studies of one series each, oldest first, of which about `RARE` are rare: they have values that no others have."""
    chance = random.Random(studies)
    for number in range(studies):
        is_rare = number % (studies // RARE) == 0
        yield *_study(number, chance, is_rare=is_rare), is_rare


def _study(number: int, chance: random.Random, *, is_rare: bool) -> tuple[str, StudyHead]:
    study, series = f"1.2.{number}", f"1.2.{number}.1"
    day = number // STUDIES_A_DAY
    name = f"{chance.choice(_FAMILY)}{chance.randrange(10**4)}^{chance.choice(_GIVEN)}"
    created = FIRST_DAY + number * (DAY // STUDIES_A_DAY)
    summary = {
        **_element("00080020", "DA", f"19{number % 28:02d}0101" if is_rare else f"20{day % 28:02d}0{day % 9 + 1}15"),
        **_element("00080050", "SH", "A00000000" if is_rare else f"A{number:07d}"),
        **_element("00080061", "CS", "PX" if is_rare else chance.choice(["CT", "MR"])),
        **_element("00080090", "PN", {"Alphabetic": "Roe^Richard"}),
        **_element("00081030", "LO", "Quaint study" if is_rare else f"Study of {chance.choice(['head', 'chest'])}"),
        **_element("00100010", "PN", {"Alphabetic": f"Xaverius{number % 7}^Zoltan" if is_rare else name}),
        **_element("00100020", "LO", "RARE" if is_rare else f"P{number}"),
        **_element("00100030", "DA", "19700102"),
    }
    of_series = _element("00080060", "CS", "PX" if is_rare else "CT")
    ward = _tag(WARD, created, "Quaint ward" if is_rare else f"Ward {number % 50}")
    acquired = _tag(ACQUIRED, created, f"19{number % 28:02d}0101" if is_rare else f"20{day % 28:02d}0{day % 9 + 1}15")
    head = StudyHead(StudyRow(created, created, created, 1, 1, summary, (series, f"{series}.1"), tags=ward))
    head.series[series] = SeriesRow(series, created, created, 1, 1, of_series, f"{series}.1", tags=acquired)
    return keys.study_partition(DEFAULT, study), head


def _element(key: str, vr: str, value: object) -> Summary:
    return {key: {"vr": vr, "Value": [value]}}


def _tag(attribute: ExtendedAttribute, version: int, value: str) -> dict[int, TagValue]:
    return {attribute.id: TagValue(version, attribute.key, {"vr": attribute.vr, "Value": [value]})}


async def load(storage: Storage, studies: Iterable[tuple[str, StudyHead, bool]]) -> None:
    """Writes the lookup rows. Of studies that are not rare only those that share partitions: the others are in nobody's way."""
    for attribute in (WARD, ACQUIRED):
        await storage.query_tags.create_table(attribute)
    tags = await storage.query_tags.read()
    tags.tags = [QueryTag(attribute, status=READY) for attribute in (WARD, ACQUIRED)]
    tags.next_id, tags.version = 3, 1
    await storage.query_tags.save(tags)
    for some in batched(studies, _STUDIES_AT_ONCE, strict=False):
        rows: dict[LookupKey, str] = {}
        for key, head, is_rare in some:
            rows |= {lookup: text for lookup, text in rows_of(key, head).items() if is_rare or _is_shared(lookup)}
        await storage.lookups.write(rows)


def _is_shared(lookup: LookupKey) -> bool:
    table, partition_key, _ = lookup
    return table.startswith(
        ("lookupstudies", "lookupseries", "lookupStudyDate", "lookupModalitiesInStudy", TAG_TABLE)
    ) or (table == "lookupPatientName" and partition_key.endswith(tuple(f"~{name.lower()}" for name in _GIVEN)))
