"""Readiness: what makes it 503, and what only shows."""

from typing import Literal

import pytest

from gateway.admin.health import ComponentHealth, Health

WELL, PENDING = ComponentHealth(tried=True), ComponentHealth(tried=False)
TROUBLED = ComponentHealth(tried=True, trouble="openbao unavailable")


@pytest.mark.parametrize(
    ("state", "component", "status", "word"),
    [
        ("starting", WELL, 503, "starting"),
        ("ready", PENDING, 503, "starting"),
        ("ready", WELL, 200, "ready"),
        ("ready", TROUBLED, 200, "degraded"),
        ("draining", WELL, 503, "draining"),
        ("draining", TROUBLED, 503, "draining"),
    ],
)
def test_only_start_up_and_draining_are_unready(
    state: Literal["starting", "ready", "draining"],
    component: ComponentHealth,
    status: int,
    word: str,
) -> None:
    """Each store and issuer must have been tried once; later troubles are `degraded`, never 503."""
    readiness = Health(state, {"vault": lambda: component}).readiness()
    assert (readiness.status, readiness.state) == (status, word)


def test_one_untried_component_outweighs_another_ones_trouble() -> None:
    """Not ready yet is said before not well."""
    health = Health("ready", {"vault": lambda: TROUBLED, "issuers": lambda: PENDING})
    assert health.readiness().state == "starting"


def test_each_check_says_its_part() -> None:
    """The JSON names every check, and why one is degraded."""
    health = Health("ready", {"vault": lambda: TROUBLED, "issuers": lambda: WELL})
    assert health.readiness().as_json() == {
        "status": "degraded",
        "checks": {
            "configuration": {"status": "ok"},
            "draining": {"status": "ok"},
            "vault": {"status": "degraded", "reason": "openbao unavailable"},
            "issuers": {"status": "ok"},
        },
    }
