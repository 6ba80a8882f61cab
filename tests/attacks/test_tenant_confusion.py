"""Tenant confusion: a lawful caller that asks for another tenant's key.

The attacker is billing, with a good token for acme, and wants globex's invoices. They name globex
in every place that some system reads a tenant from: the header, the query, the path, a cookie,
`Host`, forwarding fields, or a header that contradicts the token's signed claim.

It is the confused deputy: a proxy that holds all keys, and takes the client's word for which to use
(CWE-441, CWE-639). The gateway takes the tenant from the signed claim, else from
`X-Invopop-Tenant`, else from the caller's own entry; a claim and a header that disagree, or a
tenant that is not the caller's, is 403. Nothing else names a tenant.

Cases 158 and 159.
"""

import pytest

from tests.attacks.callers import ANY
from tests.support.world import ISSUER, KEY_A, STRICT_ISSUER, TOK_A, TOK_S, World, request

NAMED = "X-Invopop-Tenant"
ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "other header": ("/x", ("X-Tenant: globex", "X-Tenant-Id: globex")),
    "query": ("/x?tenant=globex&X-Invopop-Tenant=globex", ()),
    "path": ("/globex/x", ()),
    "cookie": ("/x", ("Cookie: tenant=globex",)),
    "Host": ("/x", ()),
    "underscores": ("/x", ("X_Invopop_Tenant: globex",)),
    "empty header": ("/x", (f"{NAMED}:",)),
    "forwarded": ("/x", ("X-Forwarded-Host: globex.gw", "Forwarded: host=globex")),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_nothing_else_names_a_tenant(world: World, name: str) -> None:
    """A's token means A's key, whatever else a request says."""
    target, lines = ELSEWHERE[name]
    host = "globex.gw" if name == "Host" else "gw"
    _, seen = world.passed(request(f"GET {target}", *lines, host=host))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]


def claiming(world: World, subject: str, tenant: object, iss: str = ISSUER) -> str:
    """A token that the issuer really signed, with this tenant in it."""
    return world.issuer.token(world.issuer.claims(subject, iss=iss, tenant=tenant))


def refused(world: World, token: str, *lines: str) -> tuple[int, str | None]:
    """How a request is refused; the origin sees nothing of it."""
    reply = world.get("/x", *lines, token=token)
    assert not world.origin.requests
    return reply.status, reply.get("x-gateway-error")


def test_another_callers_tenant(world: World) -> None:
    """By header or by a claim that the issuer signed: the caller's entry decides."""
    denied = (403, "tenant_denied")
    assert refused(world, TOK_A, f"{NAMED}: globex") == denied
    assert refused(world, claiming(world, "billing", "globex")) == denied


def test_a_header_against_the_claim(world: World) -> None:
    """Though the caller may act for both: the two disagree, and neither is believed."""
    token = claiming(world, "shared", "acme")
    assert refused(world, token, f"{NAMED}: globex") == (403, "tenant_denied")


def test_a_header_in_place_of_a_required_claim(world: World) -> None:
    """Where the issuer must name the tenant, nobody else can."""
    token = claiming(world, "shared", None, STRICT_ISSUER)
    assert refused(world, token, f"{NAMED}: acme") == (403, "tenant_required")


def test_two_headers(world: World) -> None:
    """One for the proxy to check and one for the server to use: 400."""
    lines = (f"{NAMED}: acme", f"{NAMED}: globex")
    assert refused(world, TOK_S, *lines) == (400, "bad_request")


NAMES = (
    b"ACME", b"Acme", b"acme.", b"../acme", b"acme/../globex", b"*", b"acm?", b"acme*",
    b"acme,globex", b"acme globex", b"%61cme", b"acme%00", "ácme".encode(), "acmé".encode(),
    b"\xff", b"-acme", b"_", b".", b"a" * 129, b"a" * 10_240, b"acme\tx", b"TEST_KEY_A",
    b"/etc/passwd", b"other",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_a_name_that_is_looked_up(world: World, name: bytes) -> None:
    """No folding, no globs, no paths, no variables: a name is a tenant's, exactly, or denied."""
    reply = world.get("/x", NAMED.encode() + b": " + name, token=ANY)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "tenant_denied")
    assert not world.origin.requests
