"""Steps as drawings."""

import re
from dataclasses import replace

import pytest

from gateway.admin.charts import HEIGHT, WIDTH, Chart, charts
from gateway.admin.history import STEPS
from gateway.admin.view import IntervalRow, Traffic
from tests.support.example_status import AT

QUIET = IntervalRow(at=AT, requests=0, refused=0, failed=0, p50=None, p95=None)
BUSY = IntervalRow(at=AT, requests=200, refused=10, failed=2, p50=0.002, p95=0.04)


def traffic(*steps: IntervalRow) -> Traffic:
    """A minute as busy as one step."""
    return Traffic(20.0, 1200, 60, 12, 0.002, 0.04, 0.0003, 10.0, steps)


def points(chart: Chart, line: int = 0) -> list[list[tuple[float, float]]]:
    """Each unbroken run of a line's points."""
    runs = chart.lines[line].path.split("M")[1:]
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", r)] for r in runs]


def test_the_newest_step_is_at_the_right() -> None:
    """A young gateway's few steps stand at the end of the quarter of an hour."""
    requests, _, _ = charts(traffic(BUSY, BUSY))
    ((first, last),) = points(requests)
    assert WIDTH - 10 < last[0] < WIDTH
    assert first[0] == last[0] - 10


def test_a_full_window_spans_the_width() -> None:
    """Ninety steps, from the left edge to the right."""
    requests, _, _ = charts(traffic(*[BUSY] * STEPS))
    (run,) = points(requests)
    assert len(run) == STEPS
    assert (run[0][0], run[-1][0]) == (5, WIDTH - 5)


def test_a_step_without_a_value_is_a_gap() -> None:
    """Nothing was forwarded: no latency and no error rate, but a request rate of zero."""
    requests, errors, latency = charts(traffic(BUSY, QUIET, BUSY, BUSY))
    assert [len(run) for run in points(requests)] == [4]
    assert [len(run) for run in points(errors)] == [1, 2]
    assert [len(run) for run in points(latency)] == [1, 2]
    assert points(requests)[0][1][1] == HEIGHT


def test_a_lone_point_is_drawn() -> None:
    """A line of no length shows by its round end."""
    _, _, latency = charts(traffic(BUSY))
    assert latency.lines[0].path.endswith("h.01")


@pytest.mark.parametrize(
    ("requests", "top"), [(0, "1/s"), (3, "1/s"), (11, "1.5/s"), (200, "20/s"), (4321, "500/s")]
)
def test_axes_end_at_round_numbers(requests: int, top: str) -> None:
    """The highest value fits below a number that can be read at a glance."""
    chart, _, _ = charts(traffic(replace(BUSY, requests=requests)))
    assert chart.top == top
    for run in points(chart):
        assert all(0 <= y <= HEIGHT for _, y in run)


def test_the_error_axis_ends_at_a_hundred_percent() -> None:
    """However bad it is."""
    _, errors, _ = charts(traffic(replace(BUSY, failed=200, refused=0)))
    assert errors.top == "100 %"


def test_without_traffic_charts_say_so() -> None:
    """No line is drawn through nothing."""
    for chart in charts(traffic()):
        assert chart.empty
        assert not any(line.path for line in chart.lines)
    assert not any(chart.empty for chart in charts(traffic(BUSY)))


def test_charts_are_told_in_words() -> None:
    """What a screen reader says of each: what it shows, and its extremes."""
    requests, errors, latency = charts(traffic(BUSY, QUIET))
    assert "highest 20.0" in requests.summary
    assert "1.0 % failed, 5.0 % refused" in errors.summary
    assert "highest median 2 ms, highest p95 40 ms" in latency.summary
