"""Whatever a caller sends, the origin sees one key, and the right one: as a property."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.caller import NoReplyError
from tests.support.gateway import eventually
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, World, check_request, fields, request

TENANTS = {"acme": (TOK_A, KEY_A), "globex": (TOK_B, KEY_B)}
OK = fields("200 OK", "Content-Length: 0")
quickly = hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NAMES = [
    "Authorization", "Proxy-Authorization", "X-Invopop-Tenant", "Cookie", "Host", "Connection",
    "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Via", "Forwarded",
    "X-Forwarded-For", "X-Forwarded-Authorization", "X-Api-Key", "X-Original-URL", "Expect",
    "X-Request-Id", "Keep-Alive", "X-HTTP-Method-Override", "Max-Forwards", "X-Own",
]  # fmt: skip
VALUES = [
    "", f"Bearer {TOK_A}", f"Bearer {TOK_B}", "Bearer sk_evil", "acme", "globex", "close",
    "authorization", "Authorization, Host, Via", "keep-alive, X-Invopop-Tenant", "chunked", "0",
    "gw", "evil.example", "trailers", "h2c", "100-continue", "1.1 other", "a=b; c=d",
]  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all examples of a property."""
    with World(tmp_path_factory.mktemp("alone")) as made:
        yield made


@st.composite
def respelt(draw: st.DrawFn) -> str:
    """A field name in any case, with any of the separators that back ends fold to `-`."""
    name = draw(st.sampled_from(NAMES))
    letters = [draw(st.sampled_from([c.lower(), c.upper()])) for c in name]
    separator = draw(st.sampled_from(["-", "-", "-", "_", "."]))
    return "".join(letters).replace("-", separator)


LINES = st.lists(
    st.builds(lambda name, value: f"{name}: {value}", respelt(), st.sampled_from(VALUES)),
    max_size=6,
)


def shown(tenant: str, lines: list[str]) -> str:
    """Whose credential counts: a lawful one in Proxy-Authorization wins."""
    owners = {f"proxy-authorization: bearer {token}".lower(): name
              for name, (token, _) in TENANTS.items()}  # fmt: skip
    return next((owners[line.lower()] for line in lines if line.lower() in owners), tenant)


def judge(world: World, raw: bytes, tenant: str) -> None:
    """Sends, waits for the end, and holds what the origin saw against the tenant's key."""
    world.origin.start_over()
    connection = world.connect()
    connection.send(raw, lenient=True)
    try:
        status = connection.reply(timeout=5).status
    except NoReplyError:
        status = 0
    connection.close()
    seen = list(world.origin.requests)
    assert len(seen) == (1 if status == 200 else 0), (status, seen)
    for one in seen:
        assert one.all("authorization") == [f"Bearer {TENANTS[tenant][1]}"]
        assert one.all("host") == [world.origin.authority]
        for name in ("proxy-authorization", "x-invopop-tenant", "cookie", "connection"):
            assert not [n for n, _ in one.headers if n.replace("_", "-").replace(".", "-") == name]
        others = {key for _, key in TENANTS.values()} - {TENANTS[tenant][1]}
        assert not [key for key in others if key.encode() in one.raw]


@quickly
@given(tenant=st.sampled_from(sorted(TENANTS)), lines=LINES)
def test_any_headers(alone: World, tenant: str, lines: list[str]) -> None:
    """For any headers that a caller can send: one Authorization, with its tenant's key."""
    token = TENANTS[tenant][0]
    judge(alone, request("GET /x", *lines, token=token), shown(tenant, lines))


@quickly
@given(tenant=st.sampled_from(sorted(TENANTS)), lines=LINES, trailers=LINES)
def test_any_trailers(alone: World, tenant: str, lines: list[str], trailers: list[str]) -> None:
    """Case 13: and for any trailers."""
    body = "\r\n".join(["1", "Z", "0", *trailers, "", ""]).encode()
    raw = request("POST /x", "Transfer-Encoding: chunked", *lines, token=TENANTS[tenant][0],
                  body=body)  # fmt: skip
    judge(alone, raw, shown(tenant, lines))


@quickly
@given(noise=st.binary(max_size=60), at=st.integers(0, 80), drop=st.integers(0, 4))
def test_any_bytes(alone: World, noise: bytes, at: int, drop: int) -> None:
    """Case 8: and for a request with any bytes put into it: refused, or one request, A's."""
    raw = request("GET /x", "X-A: b", "Connection: close")
    raw = raw[:at] + noise + raw[at + drop :]
    if b"\r\n\r\n" not in raw or raw.endswith(b"\r\n\r\n\r\n"):
        raw += b"\r\n\r\n"
    alone.origin.start_over()
    connection = alone.connect()
    connection.send(raw, lenient=True)
    connection.finish()
    assert connection.closed(10)
    connection.close()
    seen = list(alone.origin.requests)
    assert len(seen) <= 1
    for one in seen:
        check_request(one)
        assert one.all("authorization") == [f"Bearer {KEY_A}"]


TURNS = st.lists(
    st.tuples(
        st.sampled_from(sorted(TENANTS)),
        st.sampled_from(["GET", "POST", "HEAD"]),
        st.sampled_from(["keep", "keep", "keep", "close"]),
        st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "404 No"]),
    ),
    min_size=2,
    max_size=8,
)


@quickly
@given(turns=TURNS)
def test_any_order_of_tenants(alone: World, turns: list[tuple[str, str, str, str]]) -> None:
    """Case 132: on shared connections, whatever came before, each request has its own key."""
    alone.origin.start_over()
    for number, (tenant, method, end, status) in enumerate(turns):
        alone.origin.answer(fields(status, "Content-Length: 0"), end=end)
        raw = request(f"{method} /{tenant}/{number}", token=TENANTS[tenant][0])
        assert alone.exchange(raw, method).status == int(status[:3])
        if end == "close":  # a POST that met it half closed could not be sent again
            eventually(lambda: not alone.origin.open_connections())
    for seen in alone.origin.requests:
        tenant = seen.target.split(b"/")[1].decode()
        assert seen.all("authorization") == [f"Bearer {TENANTS[tenant][1]}"]
    assert len(alone.origin.requests) == len(turns)


def test_nothing_is_left_over(alone: World) -> None:
    """After all those examples: nothing leaked, stuck or crashed."""
    alone.check_invariants()
