"""Extended query tags over HTTP (EQT-1 to EQT-112, D-64, D-80 to D-83, QIDO-54 to QIDO-70, QIDO-130 to QIDO-132)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from pydicom.uid import generate_uid

from devhost.azurite import Azurite
from shared.dicom import tags
from shared.dicom.updatable import UPDATABLE
from tests import builders
from tests.support.dicomweb import Uids, bulk_update, finished, started, store, value
from tests.support.host import Host, running_host

TAGS = "/v2/extendedquerytags"
STUDY, SOP = "0020000D", "00080018"
BY_DEFAULT = {0x00080050, 0x00080090, 0x00081030, 0x00100010, 0x00100020, 0x00100030}
"""What an update changes, and can be searched by without an extended query tag."""
CREATOR = (0x00091010 & 0xFFFF0000 | 0x10, "LO", "TEST CREATOR")


@pytest.fixture(scope="module")
def host(own_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A service of their own for these tests: each re-index goes through all that is stored."""
    with running_host(own_azurite.connection_string, tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture(autouse=True)
def no_tags(host: Host) -> Iterator[None]:
    """The list of tags belongs to the whole service: each test leaves it empty."""
    yield
    for tag in host.get(f"{TAGS}?limit=200").json():
        assert host.call("DELETE", f"{TAGS}/{tag['path']}").status_code == 204


def post(host: Host, body: Any, content_type: str = "application/json") -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body)
    while True:
        response = host.call("POST", TAGS, data, Content_Type=content_type)
        if response.status_code != 409 or "Location" not in response.headers:
            return response
        finished(host, response.headers["Location"].rsplit("/", 1)[1])


def entry(path: str, level: str = "study", **more: str) -> dict[str, str]:
    return {"path": path, "level": level, **more}


def add(host: Host, *entries: dict[str, str]) -> dict[str, Any]:
    state = finished(host, started(post(host, list(entries))))
    assert state["status"] == "succeeded"
    return state


def patch(host: Host, path: str, body: Any) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return host.call("PATCH", f"{TAGS}/{path}", data, Content_Type="application/json")


def query(host: Host, path: str, **filters: str) -> requests.Response:
    return host.get(f"{path}?{urlencode(filters)}", Accept="application/dicom+json")


def found(host: Host, path: str, tag: str = STUDY, /, **filters: str) -> list[Any]:
    response = query(host, path, **filters)
    assert response.status_code in (200, 204), response.text
    return [value(each, tag) for each in response.json()] if response.content else []


def detail(response: requests.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    text: str = response.json()["detail"]
    return text


def partition() -> str:
    return f"/v2/partitions/{uuid.uuid4().hex[:16]}"


def test_life_of_a_tag(host: Host) -> None:
    """EQT-1 to EQT-5, EQT-8, EQT-9, EQT-40, EQT-41, EQT-70, EQT-72, EQT-73, EQT-80, EQT-85, EQT-107, OPS-10 to OPS-16."""
    base, file = partition(), builders.instance(PatientSex="F")
    study = Uids.of(file).study
    store(host, file, base=base)
    assert "is not queryable" in detail(query(host, f"{base}/studies", PatientSex="F"))
    response = post(host, [entry("patientsex", "Study")])
    assert response.status_code == 202
    operation = response.json()["id"]
    assert uuid.UUID(operation).hex == operation
    assert response.json()["href"] == response.headers["Location"] == f"{host.url}/v2/operations/{operation}"
    state = finished(host, operation)
    assert (state["type"], state["status"], state["percentComplete"]) == ("reindex", "succeeded", 100)
    assert state["resources"] == [f"{host.url}{TAGS}/00100040"]
    assert "results" not in state
    tag = {"path": "00100040", "vr": "CS", "level": "study", "status": "ready", "queryStatus": "enabled"}
    assert host.get(TAGS).json() == [tag]
    for path in ("00100040", "PatientSex"):
        assert host.get(f"{TAGS}/{path}").json() == tag
    assert found(host, f"{base}/studies", PatientSex="F") == [study]
    assert found(host, f"{base}/studies", **{"00100040": "M"}) == []
    response = host.call("DELETE", f"{TAGS}/PatientSex")
    assert (response.status_code, response.content) == (204, b"")
    assert "is not queryable" in detail(query(host, f"{base}/studies", PatientSex="F"))
    assert host.get(TAGS).json() == []
    add(host, entry("00100040", "SERIES", vr="cs"))
    assert host.get(f"{TAGS}/00100040").json() == tag | {"level": "series"}
    assert found(host, f"{base}/series", PatientSex="F") == [study]


def test_tags_are_not_usable_before_they_are_ready(host: Host) -> None:
    """EQT-25, EQT-72, EQT-87, QIDO-55: until its operation has succeeded; other tags have to wait."""
    base = partition()
    store(host, *(builders.instance(rows=0, PatientAge="030Y") for _ in range(60)), base=base)
    response = post(host, [entry("PatientAge")])
    operation = started(response)
    tag = host.get(f"{TAGS}/PatientAge").json()
    refused = host.call("POST", TAGS, json.dumps([entry("nonsense")]), Content_Type="application/json")
    search = query(host, f"{base}/studies", PatientAge="030Y", limit="200")
    if host.get(f"/v2/operations/{operation}").status_code == 202:
        assert tag["status"] == "adding"
        assert tag["operation"] == {"id": operation, "href": f"{host.url}/v2/operations/{operation}"}
        assert detail(refused, 409) == f"There is already an active re-index operation with ID '{operation}'."
        assert refused.headers["Location"] == response.headers["Location"]
        assert "is not queryable" in detail(search)
    finished(host, operation)
    assert len(found(host, f"{base}/studies", PatientAge="030Y", limit="200")) == 60


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "The field '$' in request body is invalid: The syntax of the request body is invalid."),
        (entry("PatientSex"), "The field '$' in request body is invalid: "),
        (b"", "The field '$' in request body is invalid: "),
        ([1], "The field '$[0]' in request body is invalid: "),
        ([{"path": 1, "level": "study"}], "The field '$[0].path' in request body is invalid: "),
        (
            [{"level": "study"}],
            "The field '[0].Path' in request body is invalid: The Dicom Tag Property Path must be specified and must not "
            "be null, empty or whitespace.",
        ),
        (
            [entry(" "), {"path": "PatientSex", "level": None}],
            "The field '[1].Level' in request body is invalid: The Dicom Tag Property Level must be specified and must "
            "not be null, empty or whitespace.",
        ),
        (
            [{"path": "PatientSex", "Level": "Studys"}],
            "The field '$[0].Level' in request body is invalid: Expected value 'Studys' to be one of the following "
            "values: ['Instance', 'Series', 'Study']",
        ),
        (
            [entry("Nonsense")],
            "The extended query tag 'Nonsense' is invalid as it cannot be parsed into a valid Dicom Tag.",
        ),
        (
            [entry("00080007")],
            "The extended query tag '00080007' is invalid as it cannot be parsed into a valid Dicom Tag.",
        ),
        ([entry("00081140.00080050")], "cannot be parsed into a valid Dicom Tag."),
        ([entry("PatientName")], "The query tag 'PatientName' is already supported."),
        ([entry("00080061")], "The query tag '00080061' is already supported."),
        ([entry("PatientSex", privateCreator="X")], "is a standard tag. The private creator must be empty."),
        ([entry("00091010", vr="LO")], "The private creator for the private tag '00091010' is missing."),
        ([entry("00090010", privateCreator="X")], "identifies a private creator."),
        ([entry("00091010", vr="LO", privateCreator="x" * 65)], "is not a valid LO value."),
        ([entry("00091010", vr="LO", privateCreator="a\\b")], "is not a valid LO value."),
        ([entry("PatientSex", vr="XX")], "The VR code 'XX' for tag 'PatientSex' is invalid."),
        ([entry("PatientSex", vr="LO")], "The VR code 'LO' is incorrectly specified for 'PatientSex'."),
        ([entry("00091010", privateCreator="X")], "The VR for the tag '00091010' is missing."),
        ([entry("PatientComments")], "The VR code 'LT' specified for tag 'PatientComments' is not supported."),
        ([entry("ReferencedStudySequence")], "The VR code 'SQ' specified for tag"),
        ([entry("00091010", vr="UN", privateCreator="X")], "The VR code 'UN' specified for tag"),
        (
            [entry("PatientSex"), entry("PATIENTSEX")],
            "The extended query tag 'PATIENTSEX' has been specified before.",
        ),
        ([entry("PatientSex"), entry("00100040")], "has been specified by its tag and by its keyword."),
        ([], "The extended query tag(s) is missing."),
        (
            [entry(f"0009{n:04X}", vr="LO", privateCreator="X") for n in range(0x1000, 0x1081)],
            "Extended query tags exceeds max allowed count '128'.",
        ),
    ],
)
def test_invalid_bodies(host: Host, body: Any, text: str) -> None:
    """EQT-21 to EQT-38, D-81: nothing is added."""
    assert text in detail(post(host, body))
    assert host.get(TAGS).json() == []


def test_other_media_types(host: Host) -> None:
    """EQT §2: application/json is required."""
    assert post(host, [entry("PatientSex")], "text/plain").status_code == 415
    assert post(host, [], "application/json; charset=utf-8").status_code == 400


def test_one_existing_tag_refuses_all(host: Host) -> None:
    """EQT-39, EQT-42."""
    add(host, entry("PatientSex"))
    text = detail(post(host, [entry("PatientAge"), entry("00100040", "instance")]), 409)
    assert text == "One or more extended query tags already exist."
    assert [tag["path"] for tag in host.get(TAGS).json()] == ["00100040"]


def test_as_many_tags_as_there_may_be(host: Host) -> None:
    """EQT-2, EQT-7, EQT-38, EQT-71: 128 in one request; pages in the order of creation."""
    paths = [f"0009{n:04X}" for n in range(0x1080, 0x1000, -1)]
    add(host, *(entry(path, "instance", vr="IS", privateCreator="X") for path in paths))
    assert [tag["path"] for tag in host.get(f"{TAGS}?limit=200").json()] == paths
    assert [tag["path"] for tag in host.get(TAGS).json()] == paths[:100]
    assert [tag["path"] for tag in host.get(f"{TAGS}?offset=126&limit=1").json()] == paths[126:127]
    assert host.get(f"{TAGS}?offset=128").json() == []
    assert {tag["privateCreator"] for tag in host.get(TAGS).json()} == {"X"}
    assert "max allowed count" in detail(post(host, [entry("PatientSex")]))


@pytest.mark.parametrize("path", [TAGS, f"{TAGS}/PatientSex/errors"])
def test_paging_parameters(host: Host, path: str) -> None:
    """EQT-7."""
    text = "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."
    for limit in ("0", "201", "-1"):
        assert detail(host.get(f"{path}?limit={limit}")) == text
    assert "'x'" in detail(host.get(f"{path}?LIMIT=x"))
    assert "Offset" in detail(host.get(f"{path}?offset=-1"))


def test_paths_of_tags(host: Host) -> None:
    """EQT-8, EQT-99, EQT-106."""
    enable = json.dumps({"queryStatus": "enabled"})
    for path, status in (("00100040", 404), ("PatientSex", 404), ("nonsense", 400), ("00100040.00100040", 400)):
        for method, below, body in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("GET", "/errors", None),
            ("PATCH", "", enable),
        ):
            response = host.call(method, f"{TAGS}/{path}{below}", body, Content_Type="application/json")
            assert response.status_code == status, (method, path)
    text = "The specified extended query tag with tag path 00100040 cannot be found."
    assert detail(host.get(f"{TAGS}/PatientSex"), 404) == text


VALUES: list[tuple[str, str, str, list[str], list[str]]] = [
    ("DestinationAE", "AE", "STORE_SCP", ["STORE_SCP", "store_scp", "STORE_SCP ", "STO*"], ["STORE"]),
    ("PatientAge", "AS", "030Y", ["030Y", "030y"], ["030M"]),
    ("BodyPartExamined", "CS", "HEAD", ["head", "HE?D", "*EA*", "HEAD\0"], ["HEA", "HEADX"]),
    (
        "SeriesDate",
        "DA",
        "20240131",
        ["20240131", "20240101-20240131", "-20240131", "20240131-"],
        ["20240130", "20250101-"],
    ),
    ("SliceThickness", "DS", "2.50", ["2.5", "+2.50", "25e-1"], ["2", "-2.5"]),
    (
        "AcquisitionDateTime",
        "DT",
        "20240131101112.5+0100",
        ["20240131101112.5", "20240131101112.500", "2024-2025", "202401311011-202401311012"],
        ["20240131101112", "20240131", "-2024"],
    ),
    ("ExposureTimeInms", "FD", "0.1", ["0.1", "1e-1", "0.10"], ["0.2"]),
    ("ExaminedBodyThickness", "FL", "0.1", ["0.1", "0.100"], ["0.11"]),
    ("SeriesNumber", "IS", "03", ["3", "0003", "+3"], ["33", "-3"]),
    ("InstitutionName", "LO", "St. Mary's", ["st. mary's", "st.*"], ["St Mary's"]),
    ("OperatorsName", "PN", "Müller^Jörg", ["Müller^Jörg", "muller^jorg", "MULLER*"], ["Müller", "Jörg"]),
    ("StationName", "SH", "CT 1/2", ["CT 1/2", "ct 1/2"], ["CT 1"]),
    ("ReferencePixelX0", "SL", "-5", ["-5", "-05"], ["5"]),
    ("TagAngleSecondAxis", "SS", "-7", ["-7"], ["7"]),
    ("StudyTime", "TM", "1011", ["1011", "101100", "101100.0", "10-11", "-1011"], ["10", "101101", "1012-"]),
    ("FrameOfReferenceUID", "UI", "1.2.3", ["1.2.3", "1.9,1.2.3"], ["1.2"]),
    ("RegionFlags", "UL", "70000", ["70000", "070000"], ["7"]),
    ("SamplesPerPixel", "US", "1", ["1", "01"], ["2"]),
]


def test_every_vr(host: Host) -> None:
    """EQT-50 to EQT-56, D-80, D-40, QIDO-60 to QIDO-70, QIDO-80: values of each VR are found as its rules say."""
    base = partition()
    numbers = {"FD": float, "FL": float, "SL": int, "SS": int, "UL": int, "US": int}
    content = {name: numbers.get(vr, str)(text) for name, vr, text, _, _ in VALUES if name != "SamplesPerPixel"}
    file = builders.instance(SpecificCharacterSet="ISO_IR 192", **content)
    assert store(host, file, base=base).status_code == 200
    add(
        host,
        *(
            entry(name, level, vr=vr)
            for (name, vr, *_), level in zip(VALUES, ["study", "series", "instance"] * 6, strict=True)
        ),
    )
    for name, vr, _, finding, missing in VALUES:
        for text in finding:
            assert found(host, f"{base}/instances", **{name: text}) == [Uids.of(file).study], (name, text)
        for text in missing:
            assert found(host, f"{base}/instances", **{name: text}) == [], (name, text)
        if vr in ("DA", "DT", "TM", "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"):
            assert name in detail(query(host, f"{base}/instances", **{name: "x"}))
    assert "contains offset" in detail(query(host, f"{base}/instances", AcquisitionDateTime="20240131101112+0100"))
    assert "be empty" in detail(query(host, f"{base}/instances", StudyTime="-"))
    assert "lesser" in detail(query(host, f"{base}/instances", StudyTime="12-11"))
    for text, hits in (("jo", 1), ("mul jorg", 1), ("jorg mul", 0), ("org", 0)):
        assert len(found(host, f"{base}/instances", OperatorsName=text, fuzzymatching="true")) == hits


def test_levels_and_routes(host: Host) -> None:
    """EQT-60 to EQT-62, QIDO-54, QIDO-55, QIDO-94, QIDO-111: where a tag of each level can be a filter; latest wins."""
    base, study, series = partition(), generate_uid(), generate_uid()
    first = builders.instance(study, series, PatientAge="030Y", BodyPartExamined="HEAD", SliceThickness="1")
    second = builders.instance(study, series, PatientAge="040Y", BodyPartExamined="NECK", SliceThickness="2")
    third = builders.instance(study, generate_uid())
    for file in (first, second, third):
        store(host, file, base=base)
    add(host, entry("PatientAge"), entry("BodyPartExamined", "series"), entry("SliceThickness", "instance"))
    below, deepest = f"{base}/studies/{study}", f"{base}/studies/{study}/series/{series}"
    for path, hits in (("/studies", 1), ("/series", 2), ("/instances", 3)):
        assert len(found(host, base + path, PatientAge="040Y")) == hits
        assert found(host, base + path, PatientAge="030Y") == []
    for path, hits in (
        (f"{base}/series", 1),
        (f"{base}/instances", 2),
        (f"{below}/series", 1),
        (f"{below}/instances", 2),
    ):
        assert len(found(host, path, BodyPartExamined="NECK")) == hits
        assert found(host, path, BodyPartExamined="HEAD") == []
    for path in (f"{base}/instances", f"{below}/instances", f"{deepest}/instances"):
        assert found(host, path, SOP, SliceThickness="1.0") == [Uids.of(first).instance]
    for path, name in (("/studies", "BodyPartExamined"), ("/studies", "SliceThickness"), ("/series", "SliceThickness")):
        assert f"AttributeId {name} is not queryable." in detail(query(host, base + path, **{name: "1"}))
    [result] = query(
        host, f"{base}/series", PatientAge="040Y", BodyPartExamined="neck", PatientID="patient-4711"
    ).json()
    assert (value(result, "00101010"), value(result, "00180015")) == ("040Y", "NECK")
    [result] = query(
        host, f"{base}/studies", PatientID="patient-4711", PatientAge="040Y", includefield="00180015"
    ).json()
    assert value(result, "00101010") == "040Y"
    assert found(host, f"{base}/series", PatientAge="040Y", BodyPartExamined="HEAD") == []


def test_private_tags(host: Host) -> None:
    """EQT-65, QIDO-34: found by group, element and creator, whichever block the creator has reserved."""
    base = partition()
    element = (0x00091010, "SH", "secret")
    here = builders.instance(elements=[CREATOR, element])
    moved = builders.instance(elements=[(0x00090042, "LO", "TEST CREATOR"), (0x00094210, "SH", "secret")])
    other = builders.instance(elements=[(0x00090010, "LO", "ANOTHER"), element])
    store(host, here, moved, base=base)
    add(host, entry("00091010", "instance", vr="SH", privateCreator="TEST CREATOR"), entry("00090011", "study"))
    store(host, other, builders.instance(elements=[(0x00090011, "LO", "ME")]), base=base)
    assert set(found(host, f"{base}/instances", **{"00091010": "SECRET"})) == {
        Uids.of(here).study,
        Uids.of(moved).study,
    }
    assert len(found(host, f"{base}/studies", **{"00090011": "me"})) == 1


def test_errors_of_a_reindex(host: Host) -> None:
    """EQT-6, EQT-75, EQT-82, EQT-90, EQT-91, EQT-95, QIDO-130, QIDO-131, DEL-10, D-19: counted, listed, forgotten."""
    base, sex = partition(), "00100040"
    bad = [builders.instance(elements=[(0x00100040, "LO", f"not a code {n}")], PatientSex=None) for n in range(3)]
    good = builders.instance(PatientSex="F")
    for file in (*bad, good):
        assert store(host, file, base=base).status_code == 200
    add(host, entry("PatientSex"))
    tag = host.get(f"{TAGS}/{sex}").json()
    assert (tag["status"], tag["queryStatus"]) == ("ready", "disabled")
    assert tag["errors"] == {"count": 3, "href": f"{host.url}{TAGS}/{sex}/errors"}
    errors = host.get(f"{TAGS}/PatientSex/errors").json()
    assert {e["sopInstanceUid"] for e in errors} == {Uids.of(file).instance for file in bad}
    assert [e["createdTime"] for e in errors] == sorted(e["createdTime"] for e in errors)
    [error] = [e for e in errors if e["sopInstanceUid"] == Uids.of(bad[0]).instance]
    assert (error["studyInstanceUid"], error["seriesInstanceUid"]) == (Uids.of(bad[0]).study, Uids.of(bad[0]).series)
    assert (error["partitionName"], error["errorMessage"]) == (
        base.rsplit("/", 1)[1],
        "Value representation is not expected.",
    )
    assert host.get(f"{TAGS}/{sex}/errors?offset=1&limit=1").json() == errors[1:2]
    text = detail(query(host, f"{base}/studies", PatientSex="F"))
    assert text == "Invalid query: Query is disabled on specified attribute 'PatientSex'."
    assert patch(host, sex, {"queryStatus": "ENABLED"}).json() == tag | {"queryStatus": "enabled"}
    response = query(host, f"{base}/studies", patientsex="F", PatientID="patient-4711")
    assert [value(item, STUDY) for item in response.json()] == [Uids.of(good).study]
    assert response.headers["erroneous-dicom-attributes"] == "patientsex"
    empty = query(host, f"{base}/studies", **{sex: "X"})
    assert (empty.status_code, empty.headers["erroneous-dicom-attributes"]) == (204, sex)
    assert "erroneous-dicom-attributes" not in query(host, f"{base}/studies", PatientID="patient-4711").headers
    for count, file in zip((2, 1, 0), bad, strict=True):
        uids = Uids.of(file)
        if count:
            assert host.call("DELETE", f"{base}{uids.instance_path}").status_code == 204
        else:
            new = builders.instance(uids.study, uids.series, uids.instance)
            assert store(host, new, base=base, method="PUT").status_code == 200
        assert host.get(f"{TAGS}/{sex}").json().get("errors", {"count": 0})["count"] == count
    assert host.get(f"{TAGS}/{sex}/errors").json() == []
    response = query(host, f"{base}/studies", PatientSex="F")
    assert response.status_code == 200
    assert "erroneous-dicom-attributes" not in response.headers


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("PatientBirthTime", (0x00100032, "TM", "10-11"), "Value cannot be parsed as a valid time."),
        ("SeriesDate", (0x00080021, "DA", "20240231"), "Value cannot be parsed as a valid date."),
        ("AcquisitionDateTime", (0x0008002A, "DT", "20240231"), "Value cannot be parsed as a valid date time."),
    ],
)
def test_values_that_only_the_strict_rules_refuse(host: Host, name: str, bad: Any, message: str) -> None:
    """EQT §7, EQT-82: stored without a warning, but not to be indexed."""
    base, file = partition(), builders.instance(elements=[bad])
    assert store(host, file, base=base).status_code == 200
    state = add(host, entry(name, "instance"))
    assert state["status"] == "succeeded"
    errors = host.get(f"{TAGS}/{name}/errors").json()
    assert [(e["sopInstanceUid"], e["errorMessage"]) for e in errors] == [(Uids.of(file).instance, message)]
    assert (
        host.call("DELETE", f"{base}{Uids.of(file).study_path}").status_code == 204
    )  # other tests add tags like these


def test_values_with_warnings_are_not_considered(host: Host) -> None:
    """EQT-83, EQT-84, EQT-111, QIDO-112, QIDO-132, STOW-82: dropped at the store, before or after the tag, and no error."""
    base = partition()

    def warned() -> bytes:
        return builders.instance(elements=[(0x00100040, "CS", "lower case")], PatientSex=None)

    assert store(host, warned(), base=base).status_code == 202
    store(host, builders.instance(PatientSex=None), base=base)
    store(host, builders.instance(PatientSex=""), base=base)
    add(host, entry("PatientSex"))
    assert store(host, warned(), base=base).status_code == 202
    response = query(host, f"{base}/studies", PatientSex="lower case")
    assert response.status_code == 204
    assert "erroneous-dicom-attributes" not in response.headers
    tag = host.get(f"{TAGS}/PatientSex").json()
    assert (tag["queryStatus"], tag.get("errors")) == ("enabled", None)


def test_padding_with_nulls(host: Host) -> None:
    """QIDO-80: stored with or without, before or after the tag: found with and without."""
    base = partition()
    padded = [builders.instance(elements=[(0x00180015, "CS", text)]) for text in ("HEAD\0\0", "HEAD")]
    assert store(host, *padded, base=base).status_code == 200
    add(host, entry("BodyPartExamined", "series"))
    more = [builders.instance(elements=[(0x00180015, "CS", text)]) for text in ("HEAD\0\0", "HEAD")]
    assert store(host, *more, base=base).status_code == 200
    for text in ("HEAD", "HEAD\0", "HEAD\0\0"):
        assert set(found(host, f"{base}/series", BodyPartExamined=text)) == {Uids.of(f).study for f in (*padded, *more)}


def test_bulk_updates_are_indexed(host: Host) -> None:
    """UPD-58, D-64, D-63, QIDO-117: tags of every level on attributes that an update changes."""
    base, study = partition(), generate_uid()
    names = {"PatientAge": "study", "PatientSex": "series", "PatientWeight": "instance", "BodyPartExamined": "study"}
    add(host, *(entry(name, level) for name, level in names.items()))
    files = [
        builders.instance(study, PatientAge="030Y", PatientSex="F", PatientWeight="70", BodyPartExamined="HEAD")
        for _ in range(3)
    ]
    store(host, *files, base=base)
    changes = {
        "00101010": {"vr": "AS", "Value": ["040Y"]},
        "00100040": {"vr": "CS"},
        "00101030": {"vr": "DS", "Value": [80]},
    }
    while (response := bulk_update(host, [study], changes, base=base)).status_code == 409:
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    assert finished(host, started(response))["status"] == "succeeded"
    for filters, hits in (
        ({"PatientAge": "040Y"}, 3),
        ({"PatientAge": "030Y"}, 0),
        ({"PatientSex": "F"}, 0),
        ({"PatientWeight": "80"}, 3),
        ({"PatientWeight": "70"}, 0),
        ({"BodyPartExamined": "HEAD", "PatientWeight": "80.0"}, 3),
    ):
        assert len(found(host, f"{base}/instances", **filters)) == hits, filters


def test_every_attribute_that_an_update_changes_is_found(host: Host) -> None:
    """UPD-53, UPD-80, D-64, D-68: by its new value, and not by its old one; PatientComments have no VR to search by."""
    texts = {"PN": "Roe^{}", "DA": "1980010{}", "TM": "10111{}", "AS": "04{}Y", "DS": "{}.5", "CS": "V{}"}
    searched = {tag: vr for tag, vr in UPDATABLE.items() if vr != "LT"}
    assert len(searched) == 35
    base, study = partition(), generate_uid()

    def text(tag: int, number: int) -> str:
        return texts.get(searched[tag], f"{tag:08x} {{}}").format(number)

    add(host, *(entry(f"{tag:08X}") for tag in searched if tag not in BY_DEFAULT))
    old: dict[str, Any] = {tags.keyword_of(tag): text(tag, 1) for tag in searched}
    assert store(host, builders.instance(study, **old), base=base).status_code == 200
    changes = {
        f"{tag:08X}": {"vr": vr, "Value": [{"Alphabetic": text(tag, 2)} if vr == "PN" else text(tag, 2)]}
        for tag, vr in searched.items()
    }
    while (response := bulk_update(host, [study], changes, base=base)).status_code == 409:
        finished(host, response.headers["Location"].rsplit("/", 1)[1])
    assert finished(host, started(response))["status"] == "succeeded"
    for tag in searched:
        keyword = tags.keyword_of(tag)
        assert found(host, f"{base}/studies", **{keyword: text(tag, 1)}) == [], keyword
        assert found(host, f"{base}/studies", **{keyword: text(tag, 2)}) == [study], keyword


def test_query_status(host: Host) -> None:
    """EQT-75, EQT-95 to EQT-98, QIDO-55."""
    add(host, entry("PatientSex"))
    assert patch(host, "00100040", {"QueryStatus": "Disabled"}).json()["queryStatus"] == "disabled"
    assert "Query is disabled on specified attribute '00100040'" in detail(
        query(host, "/v2/studies", **{"00100040": "F"})
    )
    assert patch(host, "PatientSex", {"queryStatus": "enabled"}).json()["queryStatus"] == "enabled"
    wrong = (
        "The field '$.queryStatus' in request body is invalid: The value is not valid. "
        'It need to be one of "Disabled","Enabled".'
    )
    for body, text in (
        ({"queryStatus": "on"}, wrong),
        ({"queryStatus": None}, wrong),
        ({"queryStatus": "Enabled", "level": "x"}, 'The field is not supported: "level".'),
        ({}, "The field '$.queryStatus' in request body is invalid"),
        (b"", "in request body is invalid"),
        ([], "in request body is invalid"),
    ):
        assert text in detail(patch(host, "PatientSex", body))


def test_partitions_and_tags(host: Host) -> None:
    """PART-4, QIDO-7: the list is one for all partitions, results never cross them."""
    first, second = partition(), partition()
    for base in (first, second):
        store(host, builders.instance(PatientSex="F"), base=base)
    add(host, entry("PatientSex"))
    assert (
        len(found(host, f"{first}/studies", PatientSex="F"))
        == len(found(host, f"{second}/studies", PatientSex="F"))
        == 1
    )
    assert host.get(f"{first}/extendedquerytags").status_code == 404


def test_values_that_cannot_be_indexed_are_refused_by_version_1(host: Host) -> None:
    """VER-20, EQT-111: 409 in v1, a warning in v2."""
    add(host, entry("PatientAge"))
    file = builders.instance(PatientAge="old")
    assert store(host, file, base="/v1").status_code == 409
    assert store(host, file).status_code == 202
