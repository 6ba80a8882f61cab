"""The benchmark's own arithmetic: what it reads from wrk, and what it makes of it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.bench.load import Sample, parse_report
from tests.bench.machine import BenchError
from tests.bench.picture import draw
from tests.bench.results import Figures, Results, _table, middle, ratios

_WRK = """\
Running 2s test @ http://127.0.0.1:51839/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   538.05ms  373.58ms   1.97s    80.49%
  Latency Distribution
     50%  481.31us
     75%  689.07ms
     99%    1.97s\x20
  8200 requests in 2.03s, 23.62KB read
Requests/sec:   4039.38
Transfer/sec:     11.63KB
"""
_ABOUT = {
    "processor": "<CPU> & cores",
    "kernel": "Linux",
    "python": "3.11",
    "date": "2026-11-22",
    "rounds": 3,
}


def _results() -> Results:
    rivals = {
        name: Figures(
            {1: Sample(cpu, 10, p50, 9, 0), 32: Sample(cpu, 10, p50, 9, 0)},
            {1024: Sample(cpu * 2, 10, p50, 9, 0)},
            1,
            2,
        )
        for name, cpu, p50 in (("gateway-jwt", 90, 40), ("envoy-jwt-cached", 60, 50))
    }
    return Results(_ABOUT, rivals, {}, None, None)


def test_a_report_of_wrk_is_read_in_microseconds() -> None:
    """Latencies come in us, ms and s, and with trailing blanks."""
    assert parse_report(_WRK) == (8200, 4039.38, 481.31, 1_970_000.0, "")


@pytest.mark.parametrize(
    "complaint", ["Non-2xx or 3xx responses: 7", "Socket errors: connect 0, read 3, write 0"]
)
def test_failed_requests_do_not_go_unnoticed(complaint: str) -> None:
    """A run in which requests failed says so: its figures are not used."""
    assert parse_report(_WRK.replace("Requests/sec", f"  {complaint}\nRequests/sec")).failed


def test_no_report_is_an_error() -> None:
    """What is not a report is shown, never taken for zero."""
    with pytest.raises(BenchError, match="unable to connect"):
        parse_report("unable to connect to 127.0.0.1:1")


def test_rounds_count_by_their_median() -> None:
    """One disturbed round changes nothing."""
    calm, disturbed = Sample(100, 10, 1, 2, 0), Sample(900, 1, 9, 9, 1)
    assert middle([calm, disturbed, calm]) == calm


def test_ratios_are_ours_over_theirs() -> None:
    """Less than 1 is better than the other in cost and latency."""
    found = ratios(_results())
    assert found["gateway-jwt / envoy-jwt-cached: CPU per request"] == 1.5
    assert found["gateway-jwt / envoy-jwt-cached: CPU per POST of 1 KiB"] == 1.5
    assert found["gateway-jwt / envoy-jwt-cached: p50 at 1 connection"] == 0.8


def test_each_figure_is_below_its_heading() -> None:
    """POSTs and memory, too."""
    table = _table(_results())
    cells = {str(column.header): str(next(iter(column.cells))) for column in table.columns}
    assert cells["32 connections"].startswith("90 · ")
    assert cells["POST 1 KiB, 32"].startswith("180 · ")
    assert cells["RSS MiB idle → loaded"] == "0 → 0"


def test_the_picture_is_well_formed(tmp_path: Path) -> None:
    """Names with special characters do not break it, and each rival has its bars."""
    draw(_results(), tmp_path / "results.svg")
    bars = ET.parse(tmp_path / "results.svg").getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 4
