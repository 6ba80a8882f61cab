"""Header smuggling by underscores: `X_Invopop_Tenant` for `X-Invopop-Tenant`.

The attacker sends a field whose name differs from a guarded one by `_` or `.` for `-`. The proxy
removes the guarded spelling only; a server behind it that folds names into variables, as CGI and
WSGI do, reads both as `HTTP_X_INVOPOP_TENANT`.

Django had to drop such names (CVE-2015-0219), nginx does by default. The gateway removes what it
removes in every spelling, and framing fields spelt so frame nothing.

Case 9.
"""

import pytest

from tests.support.world import KEY_A, World, request


@pytest.mark.parametrize(
    "spelling",
    ["Proxy_Authorization", "X_Invopop_Tenant", "x.invopop.tenant", "X_Forwarded_For", "X_Real_IP"],
)
def test_spelt_with_other_separators(world: World, spelling: str) -> None:
    """Guarded fields go no further in any spelling, and decide nothing here."""
    _, seen = world.passed(request("GET /x", f"{spelling}: globex"))
    assert not seen.all(spelling.lower())
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]


def test_a_coding_spelt_with_an_underscore(world: World) -> None:
    """`Transfer_Encoding` frames nothing and goes no further."""
    raw = request("POST /x", "Transfer_Encoding: chunked", "Content-Length: 1", body=b"Z")
    _, seen = world.passed(raw)
    assert (seen.body, seen.all("transfer_encoding")) == (b"Z", [])
