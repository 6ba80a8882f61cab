"""On whose behalf: only a verified identity, and what it may name, decides whose key is used."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.caller import Reply
from tests.support.world import KEY_A, KEY_B, STRICT_ISSUER, TOK_A, TOK_B, TOK_S, World, request

NAMED = "X-Invopop-Tenant"


def denied(reply: Reply, key: str = "tenant_denied", status: int = 403) -> None:
    """Refused with this key."""
    assert (reply.status, reply.get("x-gateway-error")) == (status, key)


@pytest.mark.parametrize("tenant", ["globex", "unknown", "acm", "acme2"])
def test_tenant_of_somebody_else(world: World, tenant: str) -> None:
    """Case 158: one that exists and one that does not are refused in the very same words."""
    reply = world.get("/x", f"{NAMED}: {tenant}", "X-Request-Id: same")
    denied(reply)
    assert not world.origin.requests
    told = (reply.body, sorted(h for h in reply.headers if h[0] != "date"))
    assert told == world.constants.setdefault("tenant_denied", told)


@pytest.mark.parametrize(("tenant", "key"), [("acme", KEY_A), ("globex", KEY_B)])
def test_header_chooses_among_ones_own(world: World, tenant: str, key: str) -> None:
    """A caller of several tenants names one; the header goes no further."""
    _, seen = world.passed(request("GET /x", f"{NAMED}: {tenant}", token=TOK_S))
    assert seen.all("authorization") == [f"Bearer {key}"]
    assert not seen.all(NAMED)


def test_tenant_must_be_named(world: World) -> None:
    """A caller of several tenants that names none is told so."""
    denied(world.get("/x", token=TOK_S), "tenant_required")
    denied(world.get("/x", f"{NAMED}:", token=TOK_S), "tenant_required")


def test_two_tenant_headers(world: World) -> None:
    """Two of them are ambiguous, even if equal."""
    lines = (f"{NAMED}: acme", f"{NAMED}: acme")
    denied(world.get("/x", *lines, token=TOK_S), "bad_request", 400)


ODD: list[str | bytes] = [
    "ACME", "Acme", "a cme", b"\xc3\x85", b"A\xcc\x8a", "../globex", "*", "globex-*", "a" * 10_000,
    "a" * 129, ".acme", "-acme", "acme/globex", "acme,globex", "acme;globex", "%61cme", "acme\tx",
    "other", b"acme\xa0", "{tenant}", "tenants.acme", "_acme",
]  # fmt: skip


@pytest.mark.parametrize("tenant", ODD, ids=lambda t: repr(t)[:20])
def test_odd_tenant_names(world: World, tenant: str | bytes) -> None:
    """Case 159: an exact match or a refusal: no case folding, no normal forms, no look-up."""
    value = tenant if isinstance(tenant, bytes) else tenant.encode()
    denied(world.get("/x", f"{NAMED}: ".encode() + value, token=TOK_S))
    assert not world.origin.requests


def test_nul_in_a_tenant_name(world: World) -> None:
    """Case 159: a control character is no header value at all."""
    world.refused(request("GET /x", b"X-Invopop-Tenant: acme\0globex", token=TOK_S), 400)


def test_spaces_around_a_tenant_name(world: World) -> None:
    """Case 159: white space around a value is not part of it (RFC 9110 section 5.5)."""
    assert world.get("/x", f"{NAMED}:   acme \t", token=TOK_S).status == 200


CLAIMS: dict[str, tuple[object, tuple[str, ...], int, str | None]] = {
    "named": ("globex", (), 200, None),
    "repeated": ("globex", (f"{NAMED}: globex",), 200, None),
    "contradicted": ("globex", (f"{NAMED}: acme",), 403, "tenant_denied"),
    "not its own": ("initech", (), 403, "tenant_denied"),
    "malformed": ("../acme", (), 403, "tenant_denied"),
    "empty": ("", (), 401, "unauthenticated"),
    "number": (7, (), 401, "unauthenticated"),
    "list": (["acme"], (), 401, "unauthenticated"),
    "absent, by header": (None, (f"{NAMED}: globex",), 200, None),
    "absent, nowhere": (None, (), 403, "tenant_required"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claim(world: World, name: str) -> None:
    """The token's own claim decides; a header can only repeat it."""
    claim, lines, status, key = CLAIMS[name]
    token = world.issuer.token(world.issuer.claims("shared", tenant=claim))
    reply = world.get("/x", *lines, token=token)
    assert (reply.status, reply.get("x-gateway-error")) == (status, key)
    if status == 200:
        assert world.origin.requests[0].get("authorization") == f"Bearer {KEY_B}"


def test_required_claim(world: World) -> None:
    """Where the claim is required, its absence is 403, whatever the header says."""
    with_it = world.issuer.claims("shared", iss=STRICT_ISSUER, tenant="acme")
    assert world.get("/x", token=world.issuer.token(with_it)).status == 200
    without = world.issuer.token(world.issuer.claims("shared", iss=STRICT_ISSUER))
    denied(world.get("/x", f"{NAMED}: acme", token=without), "tenant_required")


def test_logged_tenant_is_the_requests(world: World) -> None:
    """Case 162: of many at once, each log record has its own caller and tenant."""
    tokens = {"acme": TOK_A, "globex": TOK_B}

    def ask(number: int) -> bool:
        tenant = ("acme", "globex")[number % 2]
        name = f"bleed-{tenant}-{number}"
        assert world.get("/x", f"X-Request-Id: {name}", token=tokens[tenant]).status == 200
        return bool(world.gateway.exchange(name)["tenant"] == tenant)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_many_callers_at_once(world: World) -> None:
    """Case 161: interleaved, with leaving callers among them, each request has its own key."""
    tokens = {b"acme": (TOK_A, KEY_A), b"globex": (TOK_B, KEY_B)}

    def ask(number: int) -> None:
        for turn in range(20):
            tenant = (b"acme", b"globex")[(number + turn) % 2]
            connection = world.connect()
            connection.send(request(b"GET /" + tenant, token=tokens[tenant][0]))
            if (number + turn) % 5 == 0:
                connection.reset()
            else:
                assert connection.reply().status == 200

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(32)))
    for seen in world.origin.requests:
        assert seen.all("authorization") == [f"Bearer {tokens[seen.target[1:]][1]}"]
