"""The pace of a caller: what is too slow, and whose time counts."""

from gateway.server.pace import Pace

RATE, GRACE = 100.0, 5.0


def test_a_caller_may_fall_behind_by_the_grace() -> None:
    """Small requests on slow links are over before it ends."""
    pace = Pace(RATE, GRACE)
    pace.turn(50.0)
    assert pace.moved(1, 54.0)
    assert pace.moved(1, 55.0)
    assert not pace.moved(1, 55.1)


def test_the_rate_is_an_average() -> None:
    """Pauses are made good by what comes behind them, as long as it comes in time."""
    pace = Pace(RATE, GRACE)
    pace.turn(0.0)
    for second in range(4, 400, 4):
        assert pace.moved(400, float(second))
    assert pace.moved(1, 400.0)
    assert not pace.moved(1, 402.0)


def test_what_moved_long_ago_excuses_no_trickle() -> None:
    """A gigabyte at the beginning is worth no more than the grace."""
    pace = Pace(RATE, GRACE)
    pace.turn(0.0)
    assert pace.moved(1 << 30, 1.0)
    assert pace.moved(1, 4.0)
    assert not pace.moved(1, 7.0)


def test_the_time_of_others_does_not_count() -> None:
    """Between `hold` and the next `turn` a caller need do nothing."""
    pace = Pace(RATE, GRACE)
    assert pace.moved(0, 1000.0)
    pace.turn(1000.0)
    pace.turn(1001.0)
    pace.hold(0, 1002.0)
    assert pace.moved(0, 9000.0)
    pace.turn(9000.0)
    assert pace.moved(0, 9003.0)
    assert not pace.moved(0, 9003.1)


def test_one_long_pause_is_not_a_trickle() -> None:
    """How long a caller may be silent is up to the timeouts; a second such pause is too much."""
    pace = Pace(RATE, GRACE)
    pace.turn(0.0)
    assert pace.moved(1, 60.0)
    assert not pace.moved(1, 120.0)


def test_without_a_rate_nothing_is_too_slow() -> None:
    """0 asks for nothing."""
    pace = Pace(0, GRACE)
    pace.turn(0.0)
    assert pace.moved(0, 1e9)
