"""What the benchmark makes of its measurements."""

import json
from xml.etree import ElementTree

from bench.chart import bars
from bench.measure import Figures, Line
from bench.report import COLUMNS, HEAD, json_text, text
from bench.servers import Spent


def line() -> Line:
    ours = Figures([90, 100, 120], [float(n) for n in range(1, 101)], Spent(1.5, 70, 0, 10240), items=10, growth=3)
    return Line("store", {"service": ours, "Orthanc": Figures([50], [20.0], Spent(0.5), items=10)})


def test_figures() -> None:
    figures = line().figures["service"]
    assert (figures.rate, figures.spread) == (100, 0.15)
    assert (figures.latency(0.5), figures.latency(0.95)) == (51, 96)
    assert line().ratio("service", "Orthanc") == 2
    assert Line("store", {"service": figures}).ratio("service", "Orthanc") is None


def test_line_as_text_and_as_json() -> None:
    ours, theirs = text(line()).splitlines()
    assert ours.split() == [
        "store",
        "service",
        "100.0",
        "15",
        "51.0",
        "96.0",
        "150.0",
        "3",
        "7.00",
        "0.0",
        "1.0",
        "2.00",
    ]
    assert theirs.split() == ["Orthanc", "50.0", "0", "20.0", "20.0", "50.0", "0"]
    assert len(HEAD) == len(ours)
    parsed = json.loads(json_text([line()]))["lines"]
    assert [item["server"] for item in parsed] == ["service", "Orthanc"]
    assert [parsed[0][name] for name in COLUMNS] == [100, 0.15, 51, 96, 150, 3, 7, 0, 1, 2]
    assert parsed[1]["requests"] is None


def test_chart_has_a_bar_for_each_ratio() -> None:
    """Also when the service is exactly as fast, and at the scale of one line alone."""
    for ratios in ([("a < b", 0.1), ("c", 83.0), ("d", 1.0)], [("a", 1.0)], []):
        chart = ElementTree.fromstring(bars(ratios))
        rows = chart.findall("{*}rect")[1:]
        assert len(rows) == len(ratios)
        assert all(float(row.attrib["x"]) >= 0 for row in rows)
