"""Header laws as tables: what crosses, what stays behind, what is put in its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import __version__
from gateway.model import Headers, Inbound, Key, Peer
from gateway.secret import Secret
from gateway.upstream.headers import USER_AGENT, has_own_via, outbound_headers
from gateway.upstream.reply_headers import reply_headers
from tests.support.growth import growth

SECRET = "key_" + "a1B2" * 9
KEY = Key("acme", "key", Secret(SECRET))
HOST = b"api.invopop.com"
ADDED = [
    (b"authorization", b"Bearer " + SECRET.encode()),
    (b"x-request-id", b"req-1"),
    (b"via", b"1.1 invopop-gateway"),
]


def inbound(headers: Headers, method: str = "GET", length: int | None = 0) -> Inbound:
    return Inbound(method, b"/x", b"/x", headers, Peer(""), length, "req-1", proxy_form=False)


def out(headers: Headers, method: str = "GET", length: int | None = 0) -> Headers:
    """What goes up of these, without our `User-Agent`: see `test_a_request_without_user_agent`."""
    sent = outbound_headers(inbound(headers, method, length), HOST, KEY)
    return [field for field in sent if field != USER_AGENT]


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ([], [f"invopop-gateway/{__version__}".encode()]),
        ([(b"user-agent", b"billing/1")], [b"billing/1"]),
        ([(b"user-agent", b"")], [b""]),
        ([(b"user-agent", b"a"), (b"user-agent", b"b")], [b"a", b"b"]),
        ([(b"user-agent", b"a"), (b"connection", b"user-agent")], [USER_AGENT[1]]),
        ([(b"x-user-agent", b"a")], [USER_AGENT[1]]),
    ],
)
def test_a_request_without_user_agent_gets_ours(said: Headers, sent: list[bytes]) -> None:
    """One that has its own keeps it."""
    headers = outbound_headers(inbound(said), HOST, KEY)
    assert [value for name, value in headers if name == b"user-agent"] == sent


def back(headers: Headers) -> Headers:
    return reply_headers(headers, KEY, HOST, "req-1").headers


@pytest.mark.parametrize(
    ("method", "length", "framing"),
    [
        ("GET", 0, []),
        ("HEAD", 0, []),
        ("DELETE", 0, []),
        ("OPTIONS", 0, []),
        ("POST", 0, [(b"content-length", b"0")]),
        ("PUT", 0, [(b"content-length", b"0")]),
        ("PATCH", 0, [(b"content-length", b"0")]),
        ("POST", 7, [(b"content-length", b"7")]),
        ("DELETE", 3, [(b"content-length", b"3")]),
        ("POST", None, [(b"transfer-encoding", b"chunked")]),
        ("GET", None, [(b"transfer-encoding", b"chunked")]),
    ],
)
def test_framing(method: str, length: int | None, framing: Headers) -> None:
    """Cases 32, 33: exactly the framing field that the body needs, whatever the caller spelt."""
    said = [(b"content-length", b"99"), (b"transfer-encoding", b"x"), (b"content_length", b"9")]
    assert out(said, method, length) == [(b"host", HOST), *framing, *ADDED]


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"proxy-authorization",
        b"x-invopop-tenant",
        b"cookie",
        b"host",
        b"expect",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-whatever",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-client-cert",
        b"x-forwarded-uri",
        b"x-real-ip",
        b"x-ssl-client-cert",
        b"x-forwarded",
        b"x-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"x-cluster-client-ip",
        b"x-http-method-override",
        b"x-http-method",
        b"x-http-verb",
        b"x-method",
        b"x-original-uri",
        b"x-original-method",
        b"x-original-host",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-override-method",
        b"x-override-url",
        b"x-envoy-original-path",
        b"x-middleware-subrequest",
        b"x-accel-mapping",
        b"x-sendfile-type",
        b"proxy",
        b"client-cert",
        b"x-arr-clientcert",
        b"x-amzn-mtls-clientcert-leaf",
        b"x-auth-request-user",
        b"x-remote-user",
        b"x-remote-addr",
        b"x-originating-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-appengine-user-ip",
        b"x-nf-client-connection-ip",
        b"x-vercel-forwarded-for-ip",
        b"cloudfront-viewer-address",
        b"front-end-https",
        b"x-request-timeout",
        b"x-request-id",
    ],
)
def test_fields_that_never_leave(name: bytes) -> None:
    """Cases 9, 36, 39, 41, 66, 156: in every spelling that a CGI-like server reads as the same."""
    spellings = {name, name.replace(b"-", b"_"), name.replace(b"-", b".")}
    said = [(spelling, b"evil") for spelling in sorted(spellings)]
    assert out(said) == [(b"host", HOST), *ADDED]


def test_end_to_end_fields_pass_in_order_with_repeats() -> None:
    """Cases 17, 54: everything else passes byte for byte, obs-text and underscores included."""
    said = [
        (b"accept", b"a"),
        (b"x-y", b"\xff"),
        (b"accept", b"b"),
        (b"traceparent", b"00-1"),
        (b"idempotency-key", b"k"),
        (b"x-zip", b"1"),
        (b"x-skip", b"1"),
        (b"x_custom", b"1"),
        (b"via", b"1.0 edge"),
    ]
    assert out(said) == [(b"host", HOST), *said, *ADDED]


@pytest.mark.parametrize(
    "lines",
    [
        [b"x-foo"],
        [b"", b"X-Foo"],
        [b"close", b"keep-alive , X-FOO"],
        [b"x_foo"],
        [b"X-Foo\t, ,"],
    ],
)
def test_what_connection_names_is_removed(lines: list[bytes]) -> None:
    """Cases 36, 38: on one line or several, in any case."""
    said = [(b"connection", line) for line in lines]
    said += [(b"x-foo", b"1"), (b"x_foo", b"1"), (b"x-bar", b"2")]
    assert out(said) == [(b"host", HOST), (b"x-bar", b"2"), *ADDED]


def test_connection_cannot_name_what_the_gateway_adds() -> None:
    """Case 37: stripping comes before injection."""
    named = b"Authorization, Host, Content-Length, X-Request-Id, Via"
    sent = out([(b"connection", named)], "POST", 3)
    assert sent == [(b"host", HOST), (b"content-length", b"3"), *ADDED]


NAMES = st.one_of(
    st.sampled_from(
        [b"authorization", b"Authorization".lower(), b"authorization_", b"proxy_authorization"]
    ),
    st.sampled_from([b"connection", b"host", b"content-length", b"transfer_encoding"]),
    st.from_regex(rb"[a-z0-9_.-]{1,12}", fullmatch=True),
)
VALUES = st.one_of(
    st.sampled_from([b"authorization", b"close, host", b"Bearer x", b"chunked", b""]),
    st.binary(max_size=12).filter(lambda value: not set(value) & set(b"\r\n\0")),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.sampled_from([0, 5, None]))
def test_exactly_one_credential_whatever_comes_in(headers: Headers, length: int | None) -> None:
    """Cases 37, 39: always one host, one framing, one authorization, and it is the key."""
    names = [
        name.translate(bytes.maketrans(b"_.", b"--")) for name, _ in out(headers, "GET", length)
    ]
    assert names.count(b"authorization") == 1
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert not {b"connection", b"cookie", b"proxy-authorization", b"te"} & set(names)
    assert (b"authorization", b"Bearer " + SECRET.encode()) in out(headers, "GET", length)


@pytest.mark.parametrize(
    ("via", "own"),
    [
        (b"1.1 invopop-gateway", True),
        (b"1.0 a, 1.1 Invopop-Gateway", True),
        (b"HTTP/1.1 invopop-gateway (x), 1.1 b", True),
        (b"1.0 a (b, c),,\t1.1 \t invopop-gateway\t, 1.1 b", True),
        (b"invopop-gateway", False),
        (b"1.1 a (x, 1.1 invopop-gateway)", False),
        (b"1.1 invopop-gateway2", False),
        (b"1.1 my.invopop-gateway", False),
        (b"1.1 invopop-gateway:80", False),
        (b"1.1 edge", False),
    ],
)
def test_loops_are_seen(via: bytes, own: bool) -> None:
    """A request that bears our own Via has been here; a similar name has not."""
    assert has_own_via([(b"accept", b"1.1 invopop-gateway"), (b"via", via)]) is own


def hostile(length: int) -> list[bytes]:
    """Lists of that length that a careless pattern goes through again and again."""
    return [
        piece * (length // len(piece)) + end
        for piece in (b",", b", ", b" ", b"a", b'"', b'",', b'"\\', b",a ", b'a"', b"\\")
        for end in (b"", b'"', b",", b"invopop-gatewa")
    ]


def read_as_list(values: list[bytes]) -> None:
    """What a stranger's Via and an origin's Proxy-Status go through."""
    for value in values:
        assert not has_own_via([(b"via", value)])
        back([(b"proxy-status", value)])


def test_hostile_lists_cost_what_their_length_costs() -> None:
    """A stranger's Via holds nobody up, nor does what an origin makes of Proxy-Status."""
    assert growth(read_as_list, hostile(2**14), hostile(2**17)) < 24


RETURNED = [(b"x-request-id", b"req-1"), (b"via", b"1.1 invopop-gateway")]


def test_a_rewritten_field_keeps_its_place_among_the_others() -> None:
    """One on the upstream's origin leads back through the gateway; the rest is as it came."""
    said = [(b"x-a", b"1"), (b"location", b"https://api.invopop.com/new"), (b"x-b", b"2")]
    assert back(said) == [said[0], (b"location", b"/new"), said[2], *RETURNED]


def test_reply_loses_what_is_hop_by_hop() -> None:
    """Case 47: also Alt-Svc, which would lead callers past the gateway."""
    said = [
        (b"connection", b"X-Hop, close"),
        (b"x-hop", b"secret"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-authenticate", b"Basic"),
        (b"transfer-encoding", b"chunked"),
        (b"trailer", b"X-T"),
        (b"upgrade", b"h2c"),
        (b"alt-svc", b'h2="evil:443"'),
        (b"clear-site-data", b'"*"'),
        (b"strict-transport-security", b"max-age=1"),
        (b"refresh", b"0; url=https://evil"),
        (b"x-accel-redirect", b"/etc/passwd"),
        (b"x-accel-buffering", b"no"),
        (b"x-sendfile", b"/etc/passwd"),
        (b"x-sendfile-temporary", b"/etc/passwd"),
        (b"x-lighttpd-send-file", b"/etc/passwd"),
        (b"x-gateway-error", b"fake"),
        (b"x-gateway-attempts", b"9"),
        (b"x-extension", b"keep"),
        (b"content-length", b"5"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"via", b"1.1 cdn"),
    ]
    assert back(said) == [*said[18:], *RETURNED]


def test_upstreams_request_id_gets_another_name() -> None:
    """The caller can quote both ids."""
    assert back([(b"x-request-id", b"up-9")]) == [(b"x-upstream-request-id", b"up-9"), *RETURNED]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b"invopop-gateway; error=x", []),
        (b"invopop-gateway", []),
        (
            b'cdn; details="a, invopop-gateway; b", invopop-gateway; error=y',
            [b'cdn; details="a, invopop-gateway; b"'],
        ),
        (b'"invopop-gateway"; error=x, cdn', [b"cdn"]),
        (b'invopop-gateway; a="\\", b", cdn', [b"cdn"]),
        (b'cdn; a="torn, invopop-gateway', [b'cdn; a="torn, invopop-gateway']),
        (b'invopop-gateway; error=x, cdn; a="torn\\', [b'cdn; a="torn\\']),
        (b"cdn; fwd=miss", [b"cdn; fwd=miss"]),
        (b"X; a, invopop-gateway; b, Y; c=X", [b"X; a, Y; c=X"]),
        (b"invopop-gateway-2; error=x", [b"invopop-gateway-2; error=x"]),
    ],
)
def test_a_proxy_status_named_like_ours_is_dropped(value: bytes, left: list[bytes]) -> None:
    """Only this gateway says what this gateway did."""
    expected = [(b"proxy-status", one) for one in left]
    assert back([(b"proxy-status", value)]) == [*expected, *RETURNED]


def test_an_echoed_key_is_redacted_and_reported() -> None:
    """The key never reaches a caller in a header, whatever the upstream does."""
    said = [(b"x-debug", b"auth=Bearer " + SECRET.encode() + b"; x"), (b"x-ok", b"1")]
    headers, echoed = reply_headers(said, KEY, HOST, "req-1")
    assert echoed
    assert headers == [(b"x-debug", b"auth=Bearer [redacted]; x"), (b"x-ok", b"1"), *RETURNED]
    assert reply_headers([(b"x-ok", b"1")], KEY, HOST, "req-1").echoed is False


@pytest.mark.parametrize("around", [b"%b", b"x-%b", b"x-%b-y"])
def test_a_field_with_the_key_in_its_name_is_left_out(around: bytes) -> None:
    """Field names have no case, so a key that lost its capitals is the key."""
    for key in (SECRET.encode(), SECRET.lower().encode()):
        said = [(around % key, b"1"), (b"x-ok", b"1")]
        assert reply_headers(said, KEY, HOST, "req-1") == ([(b"x-ok", b"1"), *RETURNED], True)


@pytest.mark.parametrize("name", [b"location", b"x-request-id", b"proxy-status"])
def test_an_echo_in_a_rewritten_field_is_redacted_too(name: bytes) -> None:
    """No field is an exception."""
    assert SECRET.encode() not in repr(back([(name, b"x" + SECRET.encode())])).encode()
