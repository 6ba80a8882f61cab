"""What was refused or is away after the start: degraded, with the reason and what to do."""

import pytest

from gateway.admin.concerns import health_concerns
from gateway.admin.health import ComponentHealth, Health


def test_a_refused_reload_is_degraded() -> None:
    """200, and again `ready` once a reload has taken effect."""
    health = Health("ready", {})
    health.reload_refused = True
    readiness = health.readiness()
    assert (readiness.status, readiness.state) == (200, "degraded")
    assert readiness.as_json()["checks"] == {
        "configuration": {"status": "degraded", "reason": "the last reload was refused"},
        "draining": {"status": "ok"},
    }
    health.reload_refused = False
    assert health.readiness().state == "ready"


def test_what_is_not_in_use_has_no_check() -> None:
    """Without a shared storage nothing is said of one."""
    readiness = Health("ready", {"rate_storage": lambda: None}).readiness()
    assert "rate_storage" not in readiness.as_json()["checks"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("rate_storage", "limits.storage"), ("traces", "tracing.endpoint"), ("vault", "key_refresh")],
)
def test_each_trouble_says_what_to_do(name: str, remedy: str) -> None:
    """On the status page, in words."""
    trouble = ComponentHealth(tried=True, trouble="unavailable")
    readiness = Health("ready", {name: lambda: trouble}).readiness()
    (concern,) = health_concerns(readiness.state, readiness.checks)
    assert remedy in concern.advice
