"""Search over HTTP (QIDO-1 to QIDO-132, D-40 to D-48). Tests that look at everything have a partition of their own."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from pydicom.uid import generate_uid

from tests import builders
from tests.support.dicomweb import Uids, bulk_update, finished, started, store, value
from tests.support.host import Host

JSON = "application/dicom+json"
STUDY, SERIES, SOP = "0020000D", "0020000E", "00080018"
STUDY_DEFAULTS = {STUDY, "00080020", "00081030", "00080050", "00080090", "00100010", "00100020", "00100030"}
SERIES_DEFAULTS = {SERIES, "00080060", "00400244", "00081090"}
FULL = {
    "PerformedProcedureStepStartDate": "20240201",
    "ManufacturerModelName": "Model 5",
    "SpecificCharacterSet": "ISO_IR 192",
}


def fresh() -> str:
    return uuid.uuid4().hex[:16]


def partition() -> str:
    return f"/v2/partitions/{fresh()}"


def found(host: Host, path: str, tag: str = STUDY, /, **filters: str | list[str]) -> list[Any]:
    """The values of one attribute in the results; keyword arguments are query parameters."""
    response = host.get(f"{path}?{urlencode(filters, doseq=True)}", Accept=JSON)
    if response.status_code == 204:
        assert response.content == b""
        return []
    assert response.status_code == 200, response.text
    return [value(each, tag) for each in response.json()]


def detail(host: Host, path: str) -> str:
    response = host.get(path)
    assert response.status_code == 400, (path, response.status_code)
    assert response.headers["Content-Type"] == "application/problem+json"
    text: str = response.json()["detail"]
    return text


def test_six_routes(host: Host) -> None:
    """QIDO-1 to QIDO-6, QIDO-85 to QIDO-95: what each finds and returns."""
    base = partition()
    study, first, second = generate_uid(), generate_uid(), generate_uid()
    files = [
        builders.instance(study, first, **FULL),
        builders.instance(study, first, **FULL),
        builders.instance(study, second, **FULL),
        builders.instance(**FULL),
    ]
    assert store(host, *files, base=base).status_code == 200
    for path, count, tags in (
        ("/studies", 2, STUDY_DEFAULTS),
        ("/series", 3, STUDY_DEFAULTS | SERIES_DEFAULTS),
        ("/instances", 4, STUDY_DEFAULTS | SERIES_DEFAULTS | {SOP}),
        (f"/studies/{study}/series", 2, {STUDY} | SERIES_DEFAULTS),
        (f"/studies/{study}/instances", 3, {STUDY, SOP} | SERIES_DEFAULTS),
        (f"/studies/{study}/series/{first}/instances", 2, {STUDY, SERIES, SOP}),
    ):
        response = host.get(base + path, Accept=JSON)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == JSON
        results = response.json()
        assert [set(each) for each in results] == [tags] * count
        assert all(list(each) == sorted(each) for each in results)
        identities = {tuple(value(each, tag) for tag in (STUDY, SERIES, SOP) if tag in tags) for each in results}
        assert len(identities) == count


@pytest.mark.parametrize(
    ("keyword", "stored", "query", "tag"),
    [
        ("PatientName", "Éva^Müller", "eva^muller", "00100010"),
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada^tarou=山田^太郎=やまだ^たろう", "00100010"),
        ("PatientID", "A/b #c?d%e~f|g\"h'i&j+k", "a/B #c?d%e~f|g\"h'i&j+k", "00100020"),
        ("PatientID", "患者/一", "患者/一", "00100020"),
        ("PatientBirthDate", "19010203", "19010203", "00100030"),
        ("AccessionNumber", "Acc/9.1_-", "ACC/9.1_- ", "00080050"),
        ("ReferringPhysicianName", "Zoë^O'Neil", "ZOE^o'neil", "00080090"),
        ("StudyDate", "19990228", "19990228", "00080020"),
        ("StudyDescription", "Größe \u3042 = \u2264 5", "GRÖSSE \u3042 = \u2264 5", "00081030"),
        ("ModalitiesInStudy", "SM", "sm", "00080061"),
        ("Modality", "PX", "px", "00080060"),
        ("PerformedProcedureStepStartDate", "19981231", "19981231", "00400244"),
        ("ManufacturerModelName", "Type (1) [x] {y} *.^$".replace("*", ""), "type (1) [x] {y} .^$", "00081090"),
    ],
)
def test_every_attribute(host: Host, keyword: str, stored: str, query: str, tag: str) -> None:
    """QIDO-40 to QIDO-53, QIDO-60, QIDO-61, QIDO-94, D-47: by keyword in any case or by tag, padded or not."""
    base = partition()
    attribute = "Modality" if keyword == "ModalitiesInStudy" else keyword
    file = builders.instance(SpecificCharacterSet="ISO_IR 192", **{attribute: stored})
    other = builders.instance(**{attribute: "19000101" if "Date" in keyword else "OTHER"})
    assert store(host, file, other, base=base).status_code == 200
    is_study = keyword not in ("Modality", "PerformedProcedureStepStartDate", "ManufacturerModelName")
    paths = ["/studies", "/series", "/instances"] if is_study else ["/series", "/instances"]
    if not is_study:
        paths += [f"{Uids.of(file).study_path}/series", f"{Uids.of(file).study_path}/instances"]
    for path in paths:
        for name in (keyword, keyword.lower(), tag, tag.lower()):
            assert found(host, base + path, **{name: query}) == [Uids.of(file).study]
    assert found(host, base + paths[0], **{keyword: f"{query}\0"}) == [Uids.of(file).study]
    if attribute == keyword and not keyword.endswith("Name"):
        assert found(host, base + paths[0], tag, **{keyword: query}) == [stored]
    if "Date" not in keyword:
        assert found(host, base + paths[0], **{keyword: query[:-2] or "x"}) == []


def test_accents_count_outside_names(host: Host) -> None:
    """QIDO-60, QIDO-61."""
    base = partition()
    file = builders.instance(SpecificCharacterSet="ISO_IR 192", StudyDescription="Schädel", PatientName="Schädel")
    store(host, file, base=base)
    assert found(host, f"{base}/studies", StudyDescription="schadel") == []
    assert found(host, f"{base}/studies", StudyDescription="scha\u0308del") == [Uids.of(file).study]
    assert found(host, f"{base}/studies", PatientName="schadel") == [Uids.of(file).study]


def test_uids(host: Host) -> None:
    """QIDO-40, QIDO-49, QIDO-53, CL-2, D-40: one, or a list with commas, backslashes or repeated keys."""
    base = partition()
    files = [builders.instance() for _ in range(3)]
    store(host, *files, base=base)
    a, b, _ = uids = [Uids.of(file) for file in files]
    for each in uids:
        assert found(host, f"{base}/studies", StudyInstanceUID=each.study) == [each.study]
        assert found(host, f"{base}/series", SERIES, SeriesInstanceUID=each.series) == [each.series]
        assert found(host, f"{base}/instances", SOP, SOPInstanceUID=each.instance) == [each.instance]
    for level, keyword, tag, first, second in (
        ("studies", "StudyInstanceUID", STUDY, a.study, b.study),
        ("series", "SeriesInstanceUID", SERIES, a.series, b.series),
        ("instances", "SOPInstanceUID", SOP, a.instance, b.instance),
        ("instances", "SeriesInstanceUID", SERIES, a.series, b.series),
    ):
        for query in ([f"{first},{second}"], [f"{first}\\{second}"], [first, second]):
            assert sorted(found(host, f"{base}/{level}", tag, **{keyword: query})) == sorted([first, second])
    assert found(host, f"{base}/studies", StudyInstanceUID="1.2.3") == []


def test_uids_that_count(host: Host) -> None:
    """QIDO-40, CL-2: instances whose UIDs differ in the last digits are told apart."""
    base = partition()
    first = f"{generate_uid()[:50]}."
    uids = [f"{first}{number}" for number in (1, 2, 11, 12, 111, 112, 113)]
    store(host, *(builders.instance(sop=uid) for uid in uids), base=base)
    for uid in uids:
        assert found(host, f"{base}/instances", SOP, SOPInstanceUID=uid) == [uid]
    assert found(host, f"{base}/instances", SOP, SOPInstanceUID=f"{first}13") == []
    some = [uids[0], *uids[3:6]]
    assert sorted(found(host, f"{base}/instances", SOP, SOPInstanceUID=",".join(some))) == sorted(some)
    pages = [found(host, f"{base}/instances", SOP, SOPInstanceUID=some, limit=2, offset=offset) for offset in (0, 2)]
    assert sorted(pages[0] + pages[1]) == sorted(some)


def test_conditions_are_joined_by_and(host: Host) -> None:
    """QIDO-60: filters of several levels."""
    base = partition()
    file = builders.instance(PatientID="p", Modality="CT", AccessionNumber="a")
    store(host, file, builders.instance(PatientID="p", Modality="MR", AccessionNumber="a"), base=base)
    study = Uids.of(file).study
    assert found(host, f"{base}/studies", PatientID="p", ModalitiesInStudy="CT") == [study]
    assert found(host, f"{base}/series", AccessionNumber="a", Modality="CT") == [study]
    assert found(host, f"{base}/instances", PatientID="p", Modality="CT", SOPInstanceUID=Uids.of(file).instance) == [
        study
    ]
    assert found(host, f"{base}/instances", PatientID="q", SOPInstanceUID=Uids.of(file).instance) == []


@pytest.mark.parametrize("keyword", ["StudyDate", "PatientBirthDate", "PerformedProcedureStepStartDate"])
def test_date_ranges(host: Host, keyword: str) -> None:
    """QIDO-64, QIDO-67: inclusive at both ends, open at one."""
    base = partition()
    dates = ["19691231", "20231231", "20240101", "20240131", "20250630"]
    files = [builders.instance(**{keyword: date}) for date in dates]
    store(host, *files, base=base)
    tag = f"{builders.pydicom.datadict.tag_for_keyword(keyword):08X}"
    for query, expected in (
        ("20240101-20240131", dates[2:4]),
        ("20231231 - 20240101", dates[1:3]),
        ("20240101-", dates[2:]),
        ("-20231231", dates[:2]),
        ("20240101-20240101", dates[2:3]),
        ("20260101-20270101", []),
    ):
        assert sorted(found(host, f"{base}/series", tag, **{keyword: query})) == expected
    path = f"/v2/series?{keyword}="
    for bad in ("20240230", "2024-01-01", "202401", "x", "20240101-x"):
        expected_text = f"is invalid for attribute '{keyword}'. Date should be valid and formatted as yyyyMMdd."
        assert expected_text in detail(host, path + bad)
    assert "Both parts in the range cannot be empty." in detail(host, f"{path}-")
    assert "lesser than or equal to the second part" in detail(host, f"{path}20240102-20240101")


def test_fuzzy_matching(host: Host) -> None:
    """QIDO-75 to QIDO-79, D-46: consecutive words by their beginnings, as soon as the store was answered."""
    base = partition()
    file = builders.instance(
        PatientName="Jöhn^Doe Smith=山田", ReferringPhysicianName="Meier^Ute", SpecificCharacterSet="ISO_IR 192"
    )
    store(host, file, builders.instance(PatientName="Nobody", ReferringPhysicianName="Nobody"), base=base)
    study = Uids.of(file).study
    for name in ("joh", "do", "jo do", "JOHN^DOE", "Doe", "doe smi", "山", "smith 山田", "john doe smith"):
        assert found(host, f"{base}/studies", fuzzymatching="true", PatientName=name) == [study], name
    for name in ("ohn", "Doe John", "john smith", "joh doex"):
        assert found(host, f"{base}/studies", fuzzymatching="TRUE", PatientName=name) == [], name
    assert found(host, f"{base}/series", fuzzymatching="true", ReferringPhysicianName="ute") == [study]
    assert found(host, f"{base}/studies", fuzzymatching="false", PatientName="joh") == []
    assert "double quote" in detail(host, '/v2/studies?fuzzymatching=true&PatientName=a"b')
    assert found(host, f"{base}/studies", fuzzymatching="true", PatientID="471") == []


def test_wildcards(host: Host) -> None:
    """D-40: in AE, CS, LO, SH and PN, together with fuzzy matching as OHIF sends it."""
    base = partition()
    file = builders.instance(
        PatientName="Synthia^Müller", PatientID="A.SYN/9", AccessionNumber="ACC-77", StudyDescription="Head [1]",
        Modality="CT", SpecificCharacterSet="ISO_IR 192", ManufacturerModelName="Scan*ner",
    )  # fmt: skip
    store(host, file, builders.instance(PatientName="Other", PatientID="B", AccessionNumber="X"), base=base)
    study = Uids.of(file).study
    for query in (
        {"PatientName": "*syn*", "00100020": "*SYN*", "AccessionNumber": "*ACC*", "ModalitiesInStudy": "CT,MR"},
        {"PatientName": "*muller"},
        {"PatientName": "synthia^m?ller"},
        {"PatientName": "*syn*", "fuzzymatching": "true"},
        {"PatientID": "a.s*"},
        {"PatientID": "a.syn/?"},
        {"PatientID": "A.SYN/9*"},
        {"StudyDescription": "head [?]"},
        {"ModalitiesInStudy": "C?"},
        {"AccessionNumber": "acc-??"},
    ):
        assert found(host, f"{base}/studies", **query) == [study], query
    for query in ({"PatientID": "aXs*"}, {"PatientID": "a.syn/??"}, {"PatientName": "syn"}, {"StudyDescription": "?"}):
        assert found(host, f"{base}/studies", **query) == [], query
    assert found(host, f"{base}/series", Modality="?T", ManufacturerModelName="scan*") == [study]
    assert found(host, f"{base}/instances", PatientName="*syn*") == [study]


def test_modality_lists(host: Host) -> None:
    """QIDO-48, CL-2: a study with any of them, once."""
    base = partition()
    study = generate_uid()
    files = [builders.instance(study, Modality="CT"), builders.instance(study, Modality="MR")]
    store(host, *files, builders.instance(Modality="US"), base=base)
    assert found(host, f"{base}/studies", ModalitiesInStudy="CT,MR") == [study]
    assert found(host, f"{base}/studies", ModalitiesInStudy="MR") == [study]
    assert sorted(found(host, f"{base}/series", "00080060", Modality="CT,MR")) == ["CT", "MR"]


def test_attributes_of_the_metadata(host: Host) -> None:
    """CL-4, CL-3, and what wsidicom sends."""
    base = partition()
    study, series = generate_uid(), generate_uid()
    files = [
        builders.instance(study, series, InstanceNumber=n, SeriesNumber=7, SeriesDescription="Slides", Modality="SM")
        for n in (1, 2)
    ]
    store(host, *files, builders.instance(study, SeriesNumber=8), base=base)
    path = f"{base}/studies/{study}"
    assert found(host, f"{path}/series", SERIES, SeriesNumber="7") == [series]
    assert found(host, f"{path}/series", SERIES, SeriesDescription="sl*") == [series]
    assert found(host, f"{path}/instances", SOP, InstanceNumber="2", SeriesNumber="7") == [Uids.of(files[1]).instance]
    assert found(host, f"{path}/series/{series}/instances", "00200013", InstanceNumber="1") == [1]
    results = found(
        host, f"{path}/instances", "00083002", SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        SeriesInstanceUID=[series, "1.2"], Modality="SM", includefield="AvailableTransferSyntaxUID",
    )  # fmt: skip
    assert results == ["1.2.840.10008.1.2.1"] * 2


def test_nul_padding(host: Host) -> None:
    """QIDO-80: padded and not, stored and asked."""
    base = partition()
    file = builders.instance(Modality="CT\0\0", PatientID="pad\0", StudyDate="20240131\0\0")
    store(host, file, builders.instance(Modality="CT", PatientID="pad"), base=base)
    for query in ("CT", "CT\0", "CT "):
        assert len(found(host, f"{base}/series", Modality=query)) == 2
    assert len(found(host, f"{base}/studies", PatientID="pad\0")) == 2
    for query in ("20240131", "20240131\0", "20240131-20240131"):
        assert len(found(host, f"{base}/studies", StudyDate=query)) == 2
    assert sorted(found(host, f"{base}/series", "00080060", Modality="CT")) == ["CT", "CT\0\0"]


def test_blanks_in_front(host: Host) -> None:
    """QIDO-24, QIDO-60, PS3.5 6.2: padding of what is stored and of what is asked for."""
    base = partition()
    file = builders.instance(PatientID=" front", AccessionNumber="  1", PatientName=" Doe^Jane")
    assert store(host, file, base=base).status_code == 200
    for filters in ({"PatientID": "front"}, {"AccessionNumber": " 1"}, {"PatientName": "doe*"}):
        assert found(host, f"{base}/studies", **filters) == [Uids.of(file).study], filters


def test_included_fields(host: Host) -> None:
    """QIDO-23, QIDO-94, QIDO-101, QIDO-102, CL-3: by keyword or tag, in one parameter or several."""
    file = builders.instance(PatientComments="Remark")
    store(host, file)
    base = f"/v2/studies?StudyInstanceUID={Uids.of(file).study}"
    for fields in (
        "includefield=PatientComments,00100040&includefield=patientbirthname",
        "includefield=00104000%2C%2000100040&IncludeField=PixelData,00100010",
        "includefield=00104000&includefield=PatientSex&includefield=00091010",
    ):
        [result] = host.get(f"{base}&{fields}").json()
        assert set(result) == STUDY_DEFAULTS | {"00104000", "00100040"}
    [result] = host.get(f"{base}&includefield=SOPInstanceUID,Rows,Modality").json()
    assert (value(result, SOP), value(result, "00280010"), value(result, "00080060")) == (
        Uids.of(file).instance,
        4,
        "OT",
    )


@pytest.mark.parametrize("fields", ["all", "ALL,StudyInstanceUID", "all,all"])
def test_all_fields(host: Host, fields: str) -> None:
    """QIDO-97, D-41, D-42: with the defaults."""
    base = partition()
    file = builders.instance(
        **FULL, StudyID="1", PatientSex="F", PatientAge="030Y", StudyTime="10", SeriesDescription="d", SeriesTime="11"
    )
    store(host, file, base=base)
    study_all = STUDY_DEFAULTS | {"00080005", "00080030", "00100040", "00200010", "00101010"}
    series_all = SERIES_DEFAULTS | {"00080005", "0008103E", "00200011", "00080031"}
    instance_all = {SOP, "00080005", "00080016", "00200013", "00280010", "00280011", "00280100"}
    uids = Uids.of(file)
    for path, tags in (
        ("/studies", study_all),
        ("/series", study_all | series_all),
        ("/instances", study_all | series_all | instance_all),
        (f"{uids.study_path}/series", series_all | {STUDY}),
        (f"{uids.series_path}/instances", instance_all | {STUDY, SERIES}),
    ):
        [result] = host.get(f"{base}{path}?includefield={fields}").json()
        assert set(result) == tags


def test_counts_and_urls(host: Host) -> None:
    """QIDO-105 to QIDO-107, D-45."""
    base = partition()
    study, first = generate_uid(), generate_uid()
    ct = [builders.instance(study, first, Modality="CT") for _ in range(2)]
    store(host, *ct, builders.instance(study, Modality="MR"), base=base)
    fields = "includefield=00080061,00201206,00201208,00201209,00081190"
    [result] = host.get(f"{base}/studies?{fields}").json()
    assert result["00080061"] == {"vr": "CS", "Value": ["CT", "MR"]}
    assert (value(result, "00201206"), value(result, "00201208")) == (2, 3)
    assert value(result, "00081190") == f"{host.url}{base}/studies/{study}"
    [series] = host.get(f"{base}/studies/{study}/series?Modality=CT&{fields}").json()
    assert value(series, "00201209") == 2
    assert value(series, "00081190") == f"{host.url}{base}/studies/{study}/series/{first}"
    [instance] = host.get(f"{base}/instances?SOPInstanceUID={Uids.of(ct[0]).instance}&{fields}").json()
    assert value(instance, "00081190") == f"{host.url}{base}{Uids.of(ct[0]).instance_path}"


def test_newest_first_and_pages(host: Host) -> None:
    """QIDO-20, QIDO-21, QIDO-120 to QIDO-123, D-43: in the order of arrival backwards, each once, on all levels."""
    base = partition()
    studies = []
    for number in range(7):
        file = builders.instance(PatientID="page", AccessionNumber=str(number % 2))
        assert store(host, file, base=base).status_code == 200
        studies.append(Uids.of(file).study)
    store(host, builders.instance(studies[0], PatientID="page"), base=base)
    studies.reverse()
    for filters in ({}, {"PatientID": "page"}, {"StudyDate": "20240101-"}, {"PatientName": "doe*"}):
        for level in ("studies", "series"):
            pages: list[str] = []
            for offset in range(0, 12, 3):
                pages += found(host, f"{base}/{level}", limit="3", offset=str(offset), **filters)
            expected = studies if level == "studies" else [studies[-1], *studies]
            assert pages == expected
        pages = found(host, f"{base}/instances", limit="5", **filters)
        pages += found(host, f"{base}/instances", limit="5", offset="5", **filters)
        assert pages == [studies[-1], *studies]
    assert found(host, f"{base}/studies", offset="7") == []
    assert found(host, f"{base}/studies", limit="1") == studies[:1]


def test_pages_of_a_large_series(host: Host) -> None:
    """QIDO-120: what is not on the page is not read in full."""
    base = partition()
    study, series = generate_uid(), generate_uid()
    store(host, *[builders.instance(study, series, rows=0, InstanceNumber=n) for n in range(210)], base=base)
    path = f"{base}/studies/{study}/series/{series}/instances"
    numbers = found(host, path, "00200013", includefield="InstanceNumber", limit="3", offset="5")
    assert numbers == [204, 203, 202]
    assert found(host, path, "00200013", InstanceNumber="7") == [7]


def test_default_limit(host: Host) -> None:
    """QIDO-20."""
    base = partition()
    study = generate_uid()
    store(host, *[builders.instance(study, rows=0) for _ in range(105)], base=base)
    assert len(found(host, f"{base}/studies/{study}/instances")) == 100
    assert len(found(host, f"{base}/series", limit="200")) == 105
    assert len(set(found(host, f"{base}/instances", SOP, limit="101"))) == 101


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=0", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("limit=201", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("limit=-1", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("limit=x", "The query parameter 'Limit' is invalid. The value 'x'"),
        ("limit=", "The query parameter 'Limit' is invalid. The value ''"),
        ("offset=-1", "The query parameter 'Offset' is invalid."),
        ("offset=1.5", "The query parameter 'Offset' is invalid. The value '1.5'"),
        ("fuzzymatching=maybe", "The query parameter 'FuzzyMatching' is invalid."),
        ("PatientID=a&PatientID=b", "Invalid query: AttributeId 'PatientID' has been specified more than once."),
        ("PatientID=a&00100020=b", "Invalid query: AttributeId '00100020' has been specified more than once."),
        ("Modality=a&modality=b", "has been specified more than once."),
        ("PatientID=", "Invalid query: AttributeId 'PatientID' has empty string value that is not supported."),
        ("PatientName=%20", "Invalid query: AttributeId 'PatientName' has empty string value that is not supported."),
        ("StudyInstanceUID=1,,2", "has empty string value that is not supported."),
        ("Nonsense=1", "Invalid query: unknown query parameter 'Nonsense'. If the parameter is an attribute keyword, "),
        ("0010002=1", "Invalid query: unknown query parameter '0010002'."),
        ("0040A730.00080100=1", "Invalid query: unknown query parameter '0040A730.00080100'."),
        ("StudyTime=10", "Invalid query: AttributeId StudyTime is not queryable.  If the parameter is an attribute"),
        ("00091010=1", "Invalid query: AttributeId 00091010 is not queryable.  If the parameter is an attribute"),
        ("includefield=Nonsense", "Invalid query: IncludeField has unknown attribute 'Nonsense'."),
        ("includefield=PatientID,a.b", "Invalid query: IncludeField has unknown attribute 'a.b'."),
    ],
)
def test_wrong_queries(host: Host, query: str, text: str) -> None:
    """QIDO-20 to QIDO-33, QIDO-100."""
    assert text in detail(host, f"/v2/series?{query}")


@pytest.mark.parametrize(
    ("path", "keyword"),
    [
        ("/studies", "Modality"),
        ("/studies", "SOPInstanceUID"),
        ("/series", "SOPInstanceUID"),
        ("/studies/1.2/series", "PatientID"),
        ("/studies/1.2/series", "StudyInstanceUID"),
        ("/studies/1.2/instances", "StudyDate"),
        ("/studies/1.2/series/1.3/instances", "Modality"),
        ("/studies/1.2/series/1.3/instances", "SeriesInstanceUID"),
        ("/studies/1.2/instances", "PixelData"),
    ],
)
def test_attribute_of_another_level(host: Host, path: str, keyword: str) -> None:
    """QIDO-32, QIDO-35, QIDO-57."""
    assert f"Invalid query: AttributeId {keyword} is not queryable.  If" in detail(host, f"/v2{path}?{keyword}=1")


def test_accept(host: Host) -> None:
    """QIDO-9, D-3; what OHIF sends."""
    file = builders.instance()
    store(host, file)
    path = f"/v2/studies?StudyInstanceUID={Uids.of(file).study}"
    for accept in ("*/*", "", JSON, f"{JSON}, multipart/related; type=application/octet-stream", "application/*"):
        assert host.get(path, Accept=accept).headers["Content-Type"] == JSON
    assert host.get(path, Accept="text/html").status_code == 406
    assert host.get("/v2/studies?limit=x", Accept="text/html").status_code == 406
    assert host.get(f"{path}&accept=application%2Fdicom%2Bjson", Accept="text/html").status_code == 200


def test_paths_that_name_nothing(host: Host) -> None:
    """QIDO-10 to QIDO-12."""
    for path in ("/studies/1.2.3/series", "/studies/1.2.3/instances", "/studies/1.2.3/series/1.2/instances"):
        response = host.get(f"/v2{path}")
        assert (response.status_code, response.content) == (204, b"")
        assert "DICOM Identifier is invalid" in detail(host, f"/v2{path.replace('1.2.3', 'x')}")


def test_latest_value_wins(host: Host) -> None:
    """QIDO-110 to QIDO-113, QIDO-116, STOW-135, D-44: only values that are there; after a delete those of what remains."""
    base = partition()
    study, series = generate_uid(), generate_uid()
    old = builders.instance(study, series, PatientID="old", StudyDescription="first", Modality="CT")
    new = builders.instance(study, series, PatientID="new", StudyDescription=None, StudyDate="bad", Modality="MR")
    empty = builders.instance(study, series, PatientID="", Modality=None, StudyDescription=None, StudyDate=None)
    for file in (old, new, empty):
        store(host, file, base=base)
    assert found(host, f"{base}/studies", PatientID="new", StudyDescription="first", StudyDate="20240131") == [study]
    assert found(host, f"{base}/studies", PatientID="old") == []
    assert found(host, f"{base}/series", "00080060", Modality="MR") == ["MR"]
    assert found(host, f"{base}/series", Modality="CT") == []
    assert sorted(map(str, found(host, f"{base}/instances", "00100020", PatientID="new"))) == ["None", "new", "old"]
    for file in (new, empty):
        assert host.call("DELETE", f"{base}{Uids.of(file).instance_path}").status_code == 204
    assert found(host, f"{base}/studies", PatientID="old", ModalitiesInStudy="CT") == [study]
    assert found(host, f"{base}/studies", PatientID="new") == []
    assert host.call("DELETE", f"{base}/studies/{study}").status_code == 204
    assert found(host, f"{base}/studies") == []
    assert found(host, f"{base}/instances") == []


def test_after_bulk_update(host: Host) -> None:
    """QIDO-117, D-43: new values are found and returned on all levels, the place in the order stays."""
    base = partition()
    files = [builders.instance(PatientID="bulk"), builders.instance(PatientID="bulk")]
    for file in files:
        store(host, file, base=base)
    first, second = (Uids.of(file).study for file in files)
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Neu^Ute"}]}}
    finished(host, started(bulk_update(host, [first], changes, base)))
    for level in ("studies", "series", "instances"):
        names = found(host, f"{base}/{level}", "00100010", PatientName="neu^ute")
        assert names == [{"Alphabetic": "Neu^Ute"}]
        assert found(host, f"{base}/{level}", PatientName="Doe^Jane") == [second]
        assert found(host, f"{base}/{level}") == [second, first]


def test_compressed(host: Host) -> None:
    """CL-9."""
    base = partition()
    store(host, *[builders.instance() for _ in range(10)], base=base)
    response = host.get(f"{base}/studies", Accept_Encoding="gzip", Origin="http://viewer.example")
    assert response.headers["Content-Encoding"] == "gzip"
    assert {"Accept-Encoding", "Origin"} <= {name.strip() for name in response.headers["Vary"].split(",")}
    assert len(response.json()) == 10
    assert "Content-Encoding" not in host.get(f"{base}/studies", Accept_Encoding="gzip;q=0").headers


def test_first_value_is_indexed(host: Host) -> None:
    """QIDO-72: however many there are, and however long the padding is."""
    base = partition()
    names = [f"Many^{number}" for number in range(4000)]
    file = builders.instance(ReferringPhysicianName=names, StudyDescription="x" + "\0" * 50_001)
    assert store(host, file, base=base).status_code == 200
    assert found(host, f"{base}/studies", ReferringPhysicianName="many^0") == [Uids.of(file).study]
    assert found(host, f"{base}/studies", ReferringPhysicianName="many^1") == []
    [metadata] = host.get(f"{base}{Uids.of(file).study_path}/metadata").json()
    assert len(metadata["00080090"]["Value"]) == 4000


def test_values_that_go_beyond(host: Host) -> None:
    """QIDO-60: any text may be asked for; long values are told apart."""
    base = partition()
    files = [
        builders.instance(StudyDescription="é" * 60 + ending, SpecificCharacterSet="ISO_IR 192") for ending in "ab"
    ]
    store(host, *files, base=base)
    for file, ending in zip(files, "ab", strict=True):
        assert found(host, f"{base}/studies", StudyDescription="é" * 60 + ending) == [Uids.of(file).study]
    name = "=".join(["😀/" * 32] * 3)
    file = builders.instance(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    assert store(host, file, base=base).status_code == 200
    assert found(host, f"{base}/studies", PatientName=name) == [Uids.of(file).study]
    for text in ("😀" * 500, "x" * 3000, "\ud7ff*", "\U0010ffff*", "\uffff*", "\x01", "🎈*", "'", "' or 1 eq 1 or '"):
        for keyword in ("StudyDescription", "PatientName"):
            for fuzzy in ("", "&fuzzymatching=true"):
                response = host.get(f"{base}/studies?{keyword}={quote(text)}{fuzzy}")
                assert response.status_code == 204, (text[:10], response.text)
