"""The attack table: for each attack its request and its answer. All fail closed, in one shape."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

import pytest

from tests.support import forgeries
from tests.support.caller import Reply
from tests.support.gateway import token_hash
from tests.support.world import (
    HS_SECRET,
    ISSUER,
    KEY_A,
    TOK_A,
    TOK_B,
    TOK_S,
    TOK_T,
    World,
    request,
)  # fmt: skip

ANY = "igw_sentinel-token-of-any-tenant-000000000"
GLOB = "igw_sentinel-token-of-a-glob-0000000000000"
EXPIRED_TOKEN = "igw_sentinel-token-of-expired-00000000000"
MOST_BYTES_OF_A_HEAD = 32768
EXPIRED = date(2020, 1, 1)
ID = "X-Request-Id: attack"


class Attack(NamedTuple):
    """What is sent, and how it is refused."""

    send: Callable[[World], bytes]
    status: int
    key: str


def sent(
    *lines: str | bytes, line: str = "GET /x", token: str | None = None
) -> Callable[[World], bytes]:
    """A request with these fields."""
    return lambda _: request(line, ID, *lines, token=token)


def refused(send: Callable[[World], bytes]) -> Attack:
    """401."""
    return Attack(send, 401, "unauthenticated")


def denied(*lines: str | bytes, token: str = TOK_A, line: str = "GET /x") -> Attack:
    """403, as for any tenant that is not the caller's."""
    return Attack(sent(*lines, token=token, line=line), 403, "tenant_denied")


def claim(**claims: object) -> Callable[[World], bytes]:
    """A token that the issuer really signed, with these claims."""

    def make(world: World) -> bytes:
        return request(
            "GET /x", ID, token=world.issuer.token(world.issuer.claims("billing", **claims))
        )

    return make


def claiming_tenant(
    tenant: object, *lines: str, subject: str = "shared", iss: str = ISSUER
) -> Callable[[World], bytes]:
    """A token whose tenant claim says this, with these fields beside it."""

    def make(world: World) -> bytes:
        claims = world.issuer.claims(subject, iss=iss, tenant=tenant)
        return request("GET /x", ID, *lines, token=world.issuer.token(claims))

    return make


MALFORMED: dict[str, tuple[str | bytes, ...]] = {
    "none": (), "empty": ("Authorization:",), "scheme only": ("Authorization: Bearer",),
    "spaces": ("Authorization: Bearer   ",), "two words": ("Authorization: Bearer a b",),
    "comma": ("Authorization: Bearer ,x",), "tab": ("Authorization: Bearer\t" + TOK_A,),
    "no space": ("Authorization: Bearer" + TOK_A,),
    "quoted": (f'Authorization: Bearer "{TOK_A}"',),
    "other scheme": (f"Authorization: Token {TOK_A}",),
    "digest": ("Authorization: Digest username=x",),
    "bare": (f"Authorization: {TOK_A}",),
    "basic, not base64": ("Authorization: Basic !!!",),
    "basic, no colon": ("Authorization: Basic eHh4",),
    "basic, no password": ("Authorization: Basic eDo=",),
    "basic, as user": ("Authorization: Basic aWd3Xzo=",),
    "non-ASCII": (b"Authorization: Bearer \xc3\xa9",),
    "in a cookie": (f"Cookie: token={TOK_A}",),
    "in another field": (f"X-Api-Key: {TOK_A}", f"X-Authorization: Bearer {TOK_A}"),
    "wrong beside right": (f"Authorization: Bearer {TOK_A}", "Proxy-Authorization: Bearer x"),
    "peer identity": ("X-Forwarded-Client-Cert: URI=spiffe://prod/billing",
                      "X-SSL-Client-Verify: SUCCESS", "X-Forwarded-User: billing"),
    "address": ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1"),
    "a key of ours": (f"Authorization: Bearer {KEY_A}",),
    "the issuer's secret": (f"Authorization: Bearer {HS_SECRET}",),
    "a hash of a token": (f"Authorization: Bearer {token_hash(TOK_A)[7:]}",),
    "a longer token": (f"Authorization: Bearer {TOK_A}x",),
    "a shorter token": (f"Authorization: Bearer {TOK_A[:-1]}",),
    "another case": (f"Authorization: Bearer {TOK_A.upper()}",),
    "expired": (f"Authorization: Bearer {EXPIRED_TOKEN}",),
}  # fmt: skip
CREDENTIALS = {f"case 144: {name}": refused(sent(*lines)) for name, lines in MALFORMED.items()}
CREDENTIALS["case 144: in the query"] = refused(sent(line=f"GET /x?access_token={TOK_A}"))
CREDENTIALS["case 144: twice"] = Attack(
    sent(f"Authorization: Bearer {TOK_B}", token=TOK_A), 400, "bad_request"
)
CREDENTIALS["valid, not configured"] = Attack(claim(sub="nobody"), 403, "caller_unknown")
CREDENTIALS["valid, an issuer that the caller does not list"] = Attack(
    claim(sub="tokens-only"), 403, "caller_unknown"
)

TENANTS: dict[str, Attack] = {
    **{f"case 158: {name}": attack for name, attack in {
        "another's": denied("X-Invopop-Tenant: globex"),
        "another's, respelt field": denied("x-INVOPOP-tenant: globex"),
        "nobody's": denied("X-Invopop-Tenant: ghost"),
        "nobody's, under a glob": denied("X-Invopop-Tenant: acme-9", token=GLOB),
        "nobody's, for a caller of any": denied("X-Invopop-Tenant: ghost", token=ANY),
        "with a body": denied("X-Invopop-Tenant: globex", line="POST /x"),
        "twice, equal": Attack(sent("X-Invopop-Tenant: acme", "X-Invopop-Tenant: acme",
                                    token=TOK_A), 400, "bad_request"),
        "none named": Attack(sent(token=TOK_S), 403, "tenant_required"),
        "empty": Attack(sent("X-Invopop-Tenant:", token=TOK_S), 403, "tenant_required"),
        "claim empty": refused(claiming_tenant("")),
        "claim a list": refused(claiming_tenant(["acme"])),
        "claim a glob": Attack(claiming_tenant("*"), 403, "tenant_denied"),
    }.items()},
}  # fmt: skip
PEERS = {
    f"case 156: {line}": denied(line, "X-Invopop-Tenant: globex", token=TOK_T)
    for line in ("X-Forwarded-User: ledger", "X-Real-IP: 127.0.0.1",
                 "X-Forwarded-Client-Cert: URI=spiffe://prod/ledger")
}  # fmt: skip
TABLE = {**CREDENTIALS, **TENANTS, **PEERS}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The gateway under attack; at the end nothing has leaked, and it still serves."""
    callers = {
        "any": {"tokens": [token_hash(ANY)], "issuers": [], "tenants": ["*"]},
        "glob": {"tokens": [token_hash(GLOB)], "issuers": [], "tenants": ["acme-*"]},
        "late": {"tokens": [{"hash": token_hash(EXPIRED_TOKEN), "expires": EXPIRED}], "issuers": [],
                 "tenants": ["acme"]},
    }  # fmt: skip
    with World(tmp_path_factory.mktemp("target"), {"callers": callers}) as made:
        yield made
        made.check_invariants()


def shape(world: World, raw: bytes) -> bytes:
    """Every byte of the answer, but the time; the connection's fate is seen in `Connection`."""
    connection = world.connect()
    connection.send(raw, lenient=True)
    reply = connection.reply()
    assert reply.complete
    connection.close()
    return re.sub(rb"(?m)^date: .*\r\n", b"", bytes(connection.received))


def check(world: World, raw: bytes, status: int, key: str) -> Reply:
    """Refused so, in our shape; nothing has reached the origin."""
    world.origin.start_over()
    connection = world.connect()
    connection.send(raw, lenient=True)
    reply = connection.reply()
    connection.close()
    assert (reply.status, reply.get("x-gateway-error")) == (status, key), reply
    assert reply.get("content-type") == "application/problem+json"
    assert reply.json()["key"] == key
    assert not world.origin.requests
    return reply


@pytest.mark.parametrize("name", TABLE)
def test_table(target: World, name: str) -> None:
    """Refused as the table says; one kind of refusal looks like every other of its kind."""
    attack = TABLE[name]
    raw = attack.send(target)
    check(target, raw, attack.status, attack.key)
    if attack.key == "unauthenticated":
        assert shape(target, raw) == shape(target, request("GET /x", ID, token=None))
    if attack.key == "tenant_denied" and not raw.startswith(b"POST"):
        assert shape(target, raw) == forbidden(target)


def forbidden(world: World) -> bytes:
    """A tenant that exists, and is another caller's."""
    return shape(world, request("GET /x", ID, "X-Invopop-Tenant: globex", token=TOK_A))


@pytest.fixture(scope="module")
def fresh() -> Iterator[dict[str, forgeries.Forge]]:
    """The forgeries of tokens, made for the present moment; other tests keep theirs."""
    with forgeries.made_now():
        yield forgeries.ATTACKS


# Cases 146 and 147 are in the gallery, `tests/attacks`.
REST = [name for name in forgeries.ATTACKS if name[:8] not in {"case 146", "case 147"}]


@pytest.mark.parametrize("name", REST)
def test_forged_tokens(target: World, fresh: dict[str, forgeries.Forge], name: str) -> None:
    """Cases 144, 145, 148-150: every forgery is 401, in the one shape that a missing token has."""
    raw = request("GET /x", ID, token=fresh[name](target.issuer))
    if len(raw) > MOST_BYTES_OF_A_HEAD:
        check(target, raw, 431, "headers_too_large")
        return
    check(target, raw, 401, "unauthenticated")
    assert shape(target, raw) == shape(target, request("GET /x", ID, token=None))
