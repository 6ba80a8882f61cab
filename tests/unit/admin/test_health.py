"""Readiness: what makes it 503, and what only shows."""

import pytest

from gateway.admin.health import DRAINING, READY, STARTING, Finding, Health

WELL, PENDING, TROUBLED = Finding(True), Finding(False), Finding(True, "openbao unavailable")


@pytest.mark.parametrize(
    ("state", "finding", "status", "word"),
    [
        (STARTING, WELL, 503, "starting"),
        (READY, PENDING, 503, "starting"),
        (READY, WELL, 200, "ready"),
        (READY, TROUBLED, 200, "degraded"),
        (DRAINING, WELL, 503, "draining"),
        (DRAINING, TROUBLED, 503, "draining"),
    ],
)
def test_only_start_up_and_draining_are_unready(
    state: str, finding: Finding, status: int, word: str
) -> None:
    """Each store and issuer must have been tried once; later troubles are `degraded`, never 503."""
    code, report = Health(state, {"vault": lambda: finding}).report()
    assert (code, report["status"]) == (status, word)


def test_each_check_says_its_part() -> None:
    """The JSON names every check, and why one is degraded."""
    _, report = Health(READY, {"vault": lambda: TROUBLED, "issuers": lambda: WELL}).report()
    assert report["checks"] == {
        "configuration": {"status": "ok"},
        "draining": {"status": "ok"},
        "vault": {"status": "degraded", "reason": "openbao unavailable"},
        "issuers": {"status": "ok"},
    }
