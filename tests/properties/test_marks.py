"""Marks of lookup rows: the service never leaves out a row that matches (shared/storage/marks.py)."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.dicom.searchable import ExtendedAttribute, Level
from shared.errors import BadRequest
from shared.services import plan
from shared.services.query import Query, parse
from shared.storage.marks import marks
from shared.storage.query_tags import READY, QueryTag
from shared.storage.study_rows import Summary

texts = st.text(st.sampled_from("abAB ^=é日\u0301'*?"), min_size=1, max_size=40)
dates = st.dates(date(1000, 1, 1)).map("{:%Y%m%d}".format)
long_texts = st.text(min_size=200, max_size=400).filter(str.strip)


def passes(summary: Summary, query: Query) -> bool:
    """What the Table service makes of the filter."""
    row = marks(summary)
    [tag, *_] = [*plan.extended(query), None]
    condition = re.sub(r"(\w+) eq true", lambda found: str(row.get(found[1], False)), plan.marked(query, tag))
    condition = re.sub(r"(d\w+) ([gl]e) '([\d.]+)'", lambda found: _compared(row, found), condition)
    return not condition or bool(eval(condition))


def _compared(row: object, found: re.Match[str]) -> str:
    assert isinstance(row, dict)
    name, operator, value = found.groups()
    return str(name in row and (row[name] >= value if operator == "ge" else row[name] <= value))


@given(
    st.one_of(texts, long_texts), st.lists(st.tuples(st.integers(0, 40), st.sampled_from("*?")), max_size=3), st.data()
)
def test_no_match_is_left_out(value: str, holes: list[tuple[int, str]], data: st.DataObject) -> None:
    """D-40, QIDO-60 to QIDO-76: of wildcards, fuzzy and plain filters alike."""
    wanted = list(value)
    for place, wildcard in holes:
        wanted[place % len(wanted) : place % len(wanted) + (1 if wildcard == "?" else 3)] = wildcard
    keyword, vr = data.draw(st.sampled_from([("PatientName", "PN"), ("StudyDescription", "LO"), ("PatientID", "LO")]))
    fuzzy = data.draw(st.sampled_from(["true", "false"]))
    try:
        query = parse(Query(Level.STUDY), [(keyword, "".join(wanted)), ("fuzzymatching", fuzzy)])
    except BadRequest:
        assume(False)
    element = {"vr": vr, "Value": [{"Alphabetic": value} if vr == "PN" else value]}
    [condition] = query.conditions
    if condition.accepts(element):
        assert passes({condition.attribute.key: element}, query)


@given(dates, dates, st.data())
def test_dates(value: str, other: str, data: st.DataObject) -> None:
    """QIDO-67: a date passes if, and only if, it is in the range, whatever VR the file gave it."""
    for wanted in (value, other, f"{min(value, other)}-{max(value, other)}", f"{other}-", f"-{other}"):
        query = parse(Query(Level.STUDY), [("StudyDate", wanted)])
        element = {"vr": data.draw(st.sampled_from(["DA", "LO"])), "Value": [value]}
        assert passes({"00080020": element}, query) == query.conditions[0].accepts(element)


@given(st.dates(date(1000, 1, 1)), st.times(), st.dates(date(1000, 1, 1)), st.times(), st.data())
def test_extended_query_tags(day: date, clock: time, other: date, late: time, data: st.DataObject) -> None:
    """EQT-50, QIDO-64 to QIDO-70: rows in the table of a tag are marked by its value, too."""
    vr, form = data.draw(
        st.sampled_from([("DA", "%Y%m%d"), ("DT", "%Y%m%d%H%M%S"), ("DT", "%Y"), ("TM", "%H%M"), ("IS", "%j")])
    )
    value, wanted = (f"{datetime.combine(*pair):{form}}" for pair in ((day, clock), (other, late)))
    tag = ExtendedAttribute(0x0008002A, vr, Level.STUDY, 7)
    filters = [value, wanted]
    if vr != "IS":
        filters += [f"{min(value, wanted)}-{max(value, wanted)}", f"{wanted}-", f"-{wanted}"]
    for text in filters:
        query = parse(Query(Level.STUDY), [("0008002A", text)], [QueryTag(tag, status=READY)])
        element = {"vr": vr, "Value": [value]}
        assert passes({tag.key: element}, query) == query.conditions[0].accepts(element)


def test_as_many_comparisons_as_the_service_takes() -> None:
    """A filter has at most 15."""
    names = ["PatientName", "PatientID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName"]
    dates = [("StudyDate", "20240101-20240201"), ("PatientBirthDate", "19000101-")]
    dates += [("PerformedProcedureStepStartDate", "-20240101"), ("AcquisitionDateTime", "2024-2025")]
    tag = ExtendedAttribute(0x0008002A, "DT", Level.STUDY, 7)
    filters = [*((name, "*long enough*") for name in names), *dates]
    query = parse(Query(Level.SERIES), filters, [QueryTag(tag, status=READY)])
    keys_and_more = 3 + 1
    assert len(re.findall(" eq | ge | le ", plan.marked(query, tag))) + keys_and_more <= 15
