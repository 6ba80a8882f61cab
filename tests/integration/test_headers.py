"""Which header fields pass, which are removed, and which are made here: both ways."""

import json

import pytest

from gateway import __version__
from tests.support.gateway import eventually
from tests.support.world import KEY_A, TOK_A, World, fields, request

FEW = {"host", "authorization", "via", "x-request-id", "user-agent"}
HOP_BY_HOP = {
    "Keep-Alive": "timeout=5",
    "Proxy-Connection": "x",
    "Proxy-Authenticate": "z",
    "TE": "trailers, gzip",
    "Trailer": "X",
    "Upgrade": "foo",
    "HTTP2-Settings": "AAMA",
}


def test_hop_by_hop_fields_end_here(world: World) -> None:
    """Case 36: no field about this connection reaches the next one."""
    sent = [f"{name}: {value}" for name, value in HOP_BY_HOP.items()]
    raw = request("GET /x", "Connection: close, X-Foo", "X-Foo: 1", "X-Extension: keep", *sent)
    _, seen = world.passed(raw)
    for name in (*HOP_BY_HOP, "X-Foo", "Connection"):
        assert not seen.all(name), name
    assert seen.get("x-extension") == "keep"


@pytest.mark.parametrize(
    "second",
    ["Authorization: Bearer wrong", f"authorization: Bearer {TOK_A}", "AUTHORIZATION: x"],
)
def test_two_authorizations(world: World, second: str) -> None:
    """Case 39: two credentials are one too many, in either order."""
    world.refused(request("GET /x", second), 400)
    world.refused(request("GET /x", second, f"Authorization: Bearer {TOK_A}", token=None), 400)


def test_two_proxy_authorizations(world: World) -> None:
    """Case 39: so it is with Proxy-Authorization."""
    line = f"Proxy-Authorization: Bearer {TOK_A}"
    world.refused(request("GET /x", line, line), 400)


SPOOFS = {
    "Forwarded": "for=6.6.6.6",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil",
    "X-Forwarded-Uri": "/health",
    "X_Forwarded_For": "6.6.6.6",
    "X.Forwarded.For": "6.6.6.6",
    "X-Forwarded-Client-Cert": "Hash=1",
    "X-SSL-Client-Cert": "x",
    "X-SSL-Client-S-DN": "CN=evil",
    "X-Real-IP": "6.6.6.6",
    "X-Original-URL": "/health",
    "X-Rewrite-URL": "/health",
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "Cookie": "sid=1",
    "COOKIE_": "sid=1",
    "Authorization_": "Bearer evil",
    "X-Invopop-Tenant": "acme",
}


def test_spoofed_fields_are_removed(world: World) -> None:
    """Cases 39, 41, 156: nothing that pretends to come from a proxy or to be identity goes up."""
    sent = [f"{name}: {value}" for name, value in SPOOFS.items() if not name.endswith("_")]
    _, seen = world.passed(request("GET /x", *sent))
    for name in SPOOFS:
        assert not seen.all(name), name
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]


@pytest.mark.parametrize("agent", ["kube-probe/1.29", "GoogleHC/1.0"])
@pytest.mark.parametrize("target", ["/x", "/healthz", "/livez", "/readyz", "/metrics", "/status"])
def test_no_path_or_agent_is_exempt(world: World, agent: str, target: str) -> None:
    """Case 42: there is no way past authentication on the callers' port."""
    raw = request(f"GET {target}", f"User-Agent: {agent}", token=None)
    assert world.exchange(raw).status == 401
    assert not world.origin.requests


def test_hop_by_hop_fields_of_a_reply(world: World) -> None:
    """Case 47: and none comes back, nor ends the caller's own connection."""
    world.origin.answer(
        fields("200 OK", "Connection: X-Hop, close", "X-Hop: secret", "Keep-Alive: timeout=5",
               "Proxy-Authenticate: Basic", "Proxy-Connection: x", "Upgrade: h2c",
               'Alt-Svc: h2="evil:443"', "X-Extension: keep", "Content-Length: 2") + b"ok"
    )  # fmt: skip
    connection = world.connect()
    connection.send(request("GET /x"))
    reply = connection.reply()
    assert (reply.body, reply.get("x-extension")) == (b"ok", "keep")
    for name in ("x-hop", "proxy-authenticate", "proxy-connection", "upgrade", "alt-svc"):
        assert not reply.all(name), name
    assert "timeout=5" not in reply.all("keep-alive")  # only our own
    assert "close" not in (reply.get("connection") or "")
    connection.send(request("GET /again"))
    assert connection.reply().status == 200


def test_date_and_server(world: World) -> None:
    """Case 48: the upstream's own Date and Server come through once; none is made up here."""
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    world.origin.answer(fields("200 OK", f"Date: {date}", "Server: origin", "Content-Length: 0"))
    reply = world.get("/x")
    assert (reply.all("date"), reply.all("server")) == ([date], ["origin"])
    refused = world.get("/x", token="wrong")
    assert len(refused.all("date")) <= 1
    assert not refused.all("server")


def test_odd_reply_headers_pass(world: World) -> None:
    """Cases 45, 50: raw bytes, 120 KB in one field, 300 fields, and repeats in order."""
    many = [f"X-Many-{i}: {i}" for i in range(100)]
    world.origin.answer(
        fields("200 OK", b"X-Raw: y\xffz", "Set-Cookie: a=1", "Set-Cookie: b=2", *many,
               "X-Long: " + "v" * 16_000, "Content-Length: 0")
    )  # fmt: skip
    reply = world.get("/x")
    assert reply.get("x-raw") == "y\xffz"
    assert reply.all("set-cookie") == ["a=1", "b=2"]
    assert len(str(reply.get("x-long"))) == 16_000
    assert reply.all("x-many-99") == ["99"]


@pytest.mark.parametrize("field", ["X-Long: " + "v" * 120_000, "\r\n".join(["X-M: 1"] * 300)])
def test_huge_reply_head(world: World, field: str) -> None:
    """Case 50: it passes whole or is a 502, never a hang and never an empty reply."""
    world.origin.answer(fields("200 OK", field, "Content-Length: 0"))
    reply = world.get("/x")
    if reply.status == 200:
        name = field.partition(":")[0].lower()
        passed = "\r\n".join(f"{name}: {value}" for value in reply.all(name))
        assert passed == field.lower()
    else:
        assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_protocol_error")


@pytest.mark.parametrize(
    "bad", [b"X[1]: v", b"X: a\x01b", b"X: a\x00b", b": v", b"X Y: v", b"nocolon"]
)
def test_unlawful_reply_header(world: World, bad: bytes) -> None:
    """Case 51: a reply that could not be passed on lawfully is a 502 with a body."""
    world.origin.answer(fields("200 OK", bad, "Content-Length: 0"))
    reply = world.get("/x")
    assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_protocol_error")


def test_end_to_end_fields_are_untouched(world: World) -> None:
    """Case 54: what is the caller's and Invopop's business passes as it was written."""
    sent = {
        "X-CamelCase": "v", "Idempotency-Key": "k-1", "traceparent": "00-" + "a" * 32 + "-01",
        "tracestate": "a=b", "Accept-Language": "es", "If-None-Match": '"e"', "Range": "bytes=0-1",
        "Content-Encoding": "x", "Accept": "a/b;q=0.5", "User-Agent": "me/1", "Origin": "https://x",
        "X-Empty": "", "Cache-Control": "no-cache", "Referer": "https://internal/",
    }  # fmt: skip
    _, seen = world.passed(request("GET /x", *(f"{k}: {v}" for k, v in sent.items())))
    assert {name: seen.get(name) for name in sent} == sent


def test_nothing_is_added(world: World) -> None:
    """Case 177: the origin sees the caller's fields and the few documented ones, no more."""
    _, seen = world.passed(request("GET /x"))
    assert {name for name, _ in seen.headers} == FEW


@pytest.mark.parametrize("own", ["req-1", "a" * 128, "!~"])
def test_request_id_is_kept(world: World, own: str) -> None:
    """A caller's own request id of visible ASCII goes up and comes back."""
    reply, seen = world.passed(request("GET /x", f"X-Request-Id: {own}"))
    assert (seen.all("x-request-id"), reply.all("x-request-id")) == ([own], [own])


@pytest.mark.parametrize("own", ["", "a" * 129, "a b", b"\xff", "a\tb"])
def test_request_id_is_replaced(world: World, own: str | bytes) -> None:
    """Case 173: an id that could not stand in a log line is replaced by one of ours."""
    value = own.encode() if isinstance(own, str) else own
    reply, seen = world.passed(request("GET /x", b"X-Request-Id: " + value))
    (made,) = seen.all("x-request-id")
    assert reply.all("x-request-id") == [made]
    assert made.encode("latin-1") != value
    assert 1 <= len(made) <= 128


def test_upstreams_own_marks(world: World) -> None:
    """What only the gateway may say is dropped from a reply; its request id gets another name."""
    world.origin.answer(
        fields("200 OK", "X-Gateway-Error: fake", "X-Gateway-Attempts: 9", "X-Request-Id: theirs",
               "Proxy-Status: invopop-gateway; error=x", "Proxy-Status: other; error=y",
               "Via: 1.1 cdn", "Content-Length: 0")
    )  # fmt: skip
    reply = world.get("/x", "X-Request-Id: mine")
    assert not reply.all("x-gateway-error") + reply.all("x-gateway-attempts")
    assert (reply.all("x-request-id"), reply.all("x-upstream-request-id")) == (["mine"], ["theirs"])
    assert reply.all("proxy-status") == ["other; error=y"]
    assert ", ".join(reply.all("via")) == "1.1 cdn, 1.1 invopop-gateway"


def test_long_target(world: World) -> None:
    """Case 53: 8 KiB pass whole; a target over the limit is refused, never truncated."""
    target = "/x?q=" + "v" * 8192
    _, seen = world.passed(request(f"GET {target}"))
    assert seen.target == target.encode()
    world.origin.forget()
    world.refused(request("GET /x?q=" + "v" * 70_000), 400, 414, 431)


def test_a_request_without_user_agent_is_sent_with_ours(world: World) -> None:
    """Invopop's edge refuses some that have none; one that the caller sends stays."""
    _, seen = world.passed(request("GET /x"))
    assert seen.all("user-agent") == [f"invopop-gateway/{__version__}"]
    world.origin.forget()
    _, seen = world.passed(request("GET /x", "User-Agent: billing/2"))
    assert seen.all("user-agent") == ["billing/2"]


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_refusal_by_invopops_edge_is_named(world: World, pieces: int) -> None:
    """It passes as it is, also if its body comes after its head; log, metric and page name it."""
    before = world.gateway.metric("upstream_errors_total", kind="edge_refused")
    head = fields("403 Forbidden", "Content-Type: text/plain", "Content-Length: 16")
    body, name = b"error code: 1010", f"edge-{pieces}"
    if pieces == 1:
        world.origin.answer(head + body)
        reply = world.get("/x", f"X-Request-Id: {name}")
    else:
        with world.origin.holding(head, body) as held:
            connection = world.connect()
            connection.send(request("GET /x", f"X-Request-Id: {name}"))
            eventually(lambda: world.origin.requests)
            held.release()
            reply = connection.reply()
    assert (reply.status, reply.body, reply.get("x-gateway-error")) == (403, body, None)
    assert world.gateway.exchange(name)["cause"] == "edge_refused"
    assert world.gateway.metric("upstream_errors_total", kind="edge_refused") == before + 1
    status = json.loads(world.gateway.admin("/status")[1])
    failed = next(one for one in status["failures"] if one["request_id"] == name)
    assert "User-Agent" in failed["advice"]


def test_another_403_is_invopops_own(world: World) -> None:
    """Of any length, and nothing is counted or waited for."""
    before = world.gateway.metric("upstream_errors_total", kind="edge_refused")
    for number, body in enumerate((b"", b"no", b"x" * 100_000)):
        head = fields("403 Forbidden", f"Content-Length: {len(body)}")
        world.origin.answer(head + body)
        reply = world.get("/x", f"X-Request-Id: other-{number}")
        assert (reply.status, reply.body) == (403, body)
        assert "cause" not in world.gateway.exchange(f"other-{number}")
    assert world.gateway.metric("upstream_errors_total", kind="edge_refused") == before
