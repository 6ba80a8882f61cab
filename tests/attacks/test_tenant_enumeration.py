"""Tenant enumeration: learning a company's customers from the errors of its proxy.

The attacker has any valid token and asks for one name after the other. If "no such tenant" can be
told from "not yours", by status, text, header or length, the list of customers can be guessed
(CWE-204).

Most services answer 404 to the one and 403 to the other. The gateway answers unknown, forbidden and
malformed names with the same bytes, and no name that a client made up becomes a metric's label.
"""

import pytest

from tests.attacks.callers import ANY, GLOB, shape
from tests.support.world import TOK_A, TOK_B, TOK_S, World, request

ASKED = [
    ("globex", TOK_A), ("ghost", TOK_A), ("ghost", ANY), ("..", ANY), ("acme-1", GLOB),
    ("acme", TOK_B), ("ghost", TOK_S), ("acme2", TOK_A), ("ACME", TOK_A), ("other", ANY),
]  # fmt: skip


def test_unknown_tenants_are_not_told_apart(world: World) -> None:
    """Byte for byte one answer but the time, for a request id that is the same."""
    answers = {
        shape(world, request("GET /x", "X-Request-Id: same", f"X-Invopop-Tenant: {name}", token=t))
        for name, t in ASKED
    }
    assert len(answers) == 1
    assert b"tenant_denied" in next(iter(answers))
    assert "ghost" not in world.gateway.metrics_text()


@pytest.mark.parametrize("path", ["/metrics", "/status", "/readyz", "/tenants", "/"])
def test_the_callers_port_has_no_lists(world: World, path: str) -> None:
    """What operators see is on another port; here a path is Invopop's or nobody's."""
    assert world.get(path, token=None).status == 401
    assert not world.origin.requests
