"""The answer where there is no key to give."""

import math

import pytest

from gateway.vault.key_ring import key_unavailable


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(0.0, 1), (-5.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (30.0, 30), (math.inf, 1), (-math.inf, 1)],
)
def test_retry_after_is_in_whole_seconds_at_least_one(retry_after: float, seconds: int) -> None:
    """Rounded up, so that whoever obeys does not come too early; without an end it is one."""
    fault = key_unavailable("denied", retry_after)
    assert fault.headers == [(b"retry-after", b"%d" % seconds)]


def test_the_log_learns_more_than_the_caller() -> None:
    """Why there is no key is the operator's business; the caller is told to come again."""
    fault = key_unavailable("denied", 1.0)
    assert (fault.key, fault.status, fault.cause) == ("key_unavailable", 503, "denied")
    assert fault.detail == "The tenant's key is unavailable now; try again after Retry-After."
