"""Which header fields pass, which are removed, and which are made here: both ways."""

import pytest

from tests.support.world import KEY_A, TOK_A, World, fields, request

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
    "named",
    ["Authorization", "Host", "Content-Length", "X-Request-Id", "Via", "authorization, close"],
)
def test_connection_cannot_name_what_is_ours(world: World, named: str) -> None:
    """Case 37: naming a field in Connection removes neither the key nor the framing."""
    raw = request("POST /x", f"Connection: {named}", "Content-Length: 1", body=b"Z")
    _, seen = world.passed(raw, "POST")
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert (seen.body, seen.all("host")) == (b"Z", [world.origin.authority])
    assert seen.get("via") == "1.1 invopop-gateway"
    assert len(seen.all("x-request-id")) == 1
    assert not seen.all("connection")


def test_connection_in_odd_forms(world: World) -> None:
    """Case 38: several lines, empty ones and any case name fields just the same."""
    raw = request("GET /x", "Connection: ", "Connection: X-Foo,,", "CONNECTION: x-bAR , keep-alive",
                  "X-Foo: 1", "x-Bar: 2")  # fmt: skip
    _, seen = world.passed(raw)
    assert not seen.all("x-foo") + seen.all("x-bar")


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


@pytest.mark.parametrize(
    "spelling", ["Proxy_Authorization", "X_Invopop_Tenant", "x.invopop.tenant"]
)
def test_spelt_with_other_separators(world: World, spelling: str) -> None:
    """Case 9: a back end that folds `_` and `.` to `-` is told nothing either."""
    _, seen = world.passed(request("GET /x", f"{spelling}: globex"))
    assert not seen.all(spelling)


def test_forwarded_address_is_not_believed(world: World) -> None:
    """Case 41: the logged peer is the one of the connection."""
    reply = world.exchange(request("GET /x", "X-Forwarded-For: 6.6.6.6"))
    assert "6.6.6.6" not in str(world.gateway.exchange(str(reply.get("x-request-id"))))


@pytest.mark.parametrize("agent", ["kube-probe/1.29", "GoogleHC/1.0"])
@pytest.mark.parametrize("target", ["/x", "/healthz", "/livez", "/readyz", "/metrics", "/status"])
def test_no_path_or_agent_is_exempt(world: World, agent: str, target: str) -> None:
    """Case 42: there is no way past authentication on the callers' port."""
    raw = request(f"GET {target}", f"User-Agent: {agent}", token=None)
    assert world.exchange(raw).status == 401
    assert not world.origin.requests


def test_no_cookie_jar(world: World) -> None:
    """Case 44: a cookie set for one caller is never sent for another."""
    world.origin.answer(fields("200 OK", "Set-Cookie: sid=SECRET; Path=/", "Content-Length: 0"))
    assert world.get("/1").get("set-cookie") == "sid=SECRET; Path=/"
    world.get("/2")
    assert not world.origin.requests[1].all("cookie")


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
    for name in ("x-hop", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade",
                 "alt-svc"):  # fmt: skip
        assert not reply.all(name), name
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
    assert {name for name, _ in seen.headers} == {"host", "authorization", "via", "x-request-id"}


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


def test_echoed_key_is_redacted(world: World) -> None:
    """A reply header that holds the key loses it, and that is counted."""
    before = world.gateway.metric("key_echo_total")
    world.origin.answer(fields("200 OK", f"X-Debug: was {KEY_A}!", "Content-Length: 0"))
    assert world.get("/x").get("x-debug") == "was [redacted]!"
    assert world.gateway.metric("key_echo_total") == before + 1


LIMITS = {
    "long value": ("X: " + "v" * 65_536,),
    "many": tuple(f"X-{i}: v" for i in range(200)),
    "very many": tuple("X: v" for _ in range(200_000)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_head_over_the_limits(world: World, name: str) -> None:
    """Case 52: refused while it is read, not after."""
    connection = world.connect()
    connection.send(request("GET /x", *LIMITS[name]), lenient=True)
    reply = connection.reply()
    assert (reply.status, reply.get("x-gateway-error")) == (431, "headers_too_large")
    assert connection.closed()
    assert not world.origin.requests


def test_endless_field_needs_no_memory(world: World) -> None:
    """Case 52: 16 MiB of one unfinished header leave the resident set where it was."""
    before = world.gateway.resident_bytes()
    connection = world.connect()
    connection.send(request("GET /x")[:-2] + b"X: " + b"v" * (16 << 20), lenient=True)
    assert connection.reply().status == 431
    assert world.gateway.resident_bytes() - before < 8 << 20


def test_long_target(world: World) -> None:
    """Case 53: 8 KiB pass whole; a target over the limit is refused, never truncated."""
    target = "/x?q=" + "v" * 8192
    _, seen = world.passed(request(f"GET {target}"))
    assert seen.target == target.encode()
    world.origin.forget()
    world.refused(request("GET /x?q=" + "v" * 70_000), 400, 414, 431)
