"""What the caller's head says, judged in order."""

import pytest

from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.errors import CallerError
from gateway.inbound import Head, RequestIds, read_inbound, request_id_of
from gateway.model import Inbound, Peer
from gateway.upstream.target import Authority

UPSTREAM = Authority(b"api.invopop.com", 443)
Headers = list[tuple[bytes, bytes]]


def read(
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    target: bytes = b"/utils/v1/ping",
    length: int | None = 0,
) -> Head:
    scope = {
        "method": method,
        "headers": list(headers),
        "extensions": {
            TARGET: target,
            PEER: Peer("10.0.0.7"),
            CONTENT_LENGTH: length,
        },
    }
    return read_inbound(scope, "r1", UPSTREAM)


@pytest.mark.parametrize(
    ("headers", "method", "target", "status", "key"),
    [
        ([], "CONNECT", b"evil:443", 405, "method_not_allowed"),
        ([], "TRACE", b"/x", 405, "method_not_allowed"),
        ([], "get", b"/x", 405, "method_not_allowed"),
        ([], "G(T", b"/x", 400, "bad_request"),
        ([], "OPTIONS", b"*", 405, "method_not_allowed"),
        ([], "GET", b"/a/../b", 400, "bad_request"),
        ([], "GET", b"http://evil.test/x", 421, "misdirected"),
        ([(b"x-request-timeout", b"-1")], "GET", b"/x", 400, "bad_request"),
        ([(b"x-request-timeout", b"0")], "GET", b"/x", 400, "bad_request"),
        ([(b"x-request-timeout", b"soon")], "GET", b"/x", 400, "bad_request"),
        ([(b"x-request-timeout", b"1"), (b"x-request-timeout", b"2")], "GET", b"/x", 400,
         "bad_request"),
        ([(b"via", b"1.1 invopop-gateway")], "GET", b"/x", 508, "loop_detected"),
        ([(b"via", b"1.0 edge, 1.1 invopop-gateway (x)")], "GET", b"/x", 508, "loop_detected"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_head_is_said(
    headers: Headers, method: str, target: bytes, status: int, key: str
) -> None:
    """Each unlawful head has its status and key, before anything else looks at it."""
    with pytest.raises(CallerError) as caught:
        read(*headers, method=method, target=target)
    assert (caught.value.status, caught.value.key) == (status, key)


def test_the_target_is_judged_before_the_loop() -> None:
    """Of several faults the earlier in the contract's order answers."""
    with pytest.raises(CallerError) as caught:
        read((b"via", b"1.1 invopop-gateway"), target=b"/../x")
    assert caught.value.key == "bad_request"


def test_a_lawful_head_gives_its_parts() -> None:
    """Target and path stay as sent; credentials, tenant and deadline are taken out."""
    trace = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
    head = read(
        (b"authorization", b"Bearer t"),
        (b"x-invopop-tenant", b"acme"),
        (b"x-request-timeout", b"2.5"),
        (b"traceparent", trace),
        (b"accept", b"*/*"),
        method="POST",
        target=b"/silo/v1/entries?a=%zz",
        length=12,
    )
    assert head.inbound == Inbound(
        method="POST",
        target=b"/silo/v1/entries?a=%zz",
        path=b"/silo/v1/entries",
        headers=head.inbound.headers,
        peer=Peer("10.0.0.7"),
        content_length=12,
        request_id="r1",
        proxy_form=False,
    )
    assert len(head.inbound.headers) == 5
    assert head.credential == b"Bearer t"
    assert (head.tenant_headers, head.timeout) == ((b"acme",), 2.5)
    assert head.trace is not None
    assert head.trace.trace_id == "ab" * 16


def test_a_head_that_asks_for_nothing() -> None:
    """What is absent is told as such."""
    assert read() == Head(
        Inbound("GET", b"/utils/v1/ping", b"/utils/v1/ping", [], Peer("10.0.0.7"), 0, "r1", False),
        None,
        (),
        (),
        None,
        None,
    )


@pytest.mark.parametrize("value", [b"Bearer mine", b"Bearer unused", b"\xff", b""])
def test_proxy_authorization_wins(value: bytes) -> None:
    """Whatever it is; `Authorization` beside it is not even read."""
    shown = [(b"authorization", b"Bearer theirs"), (b"proxy-authorization", value)]
    assert read(*shown).credential == value
    assert read(*shown).unread == (b"Bearer theirs",)
    assert read(*reversed(shown)).credential == value


def test_a_proxys_client_shows_its_credential_in_another_header() -> None:
    """The absolute form becomes the plain one, and the proxy's credential decides."""
    head = read(
        (b"authorization", b"Bearer theirs"),
        (b"proxy-authorization", b"Bearer mine"),
        target=b"http://api.invopop.com/x?y",
    )
    assert (head.inbound.target, head.inbound.proxy_form) == (b"/x?y", True)
    assert head.credential == b"Bearer mine"


def test_a_deadline_may_be_a_fraction_of_a_second() -> None:
    """Any positive decimal, however small."""
    assert read((b"x-request-timeout", b"0.000001")).timeout == 0.000001
    assert read((b"x-request-timeout", b"1")).timeout == 1.0


TOLD = [
    ((b"x-request-timeout", b"0"), "X-Request-Timeout must be one positive number of seconds."),
    ((b"via", b"1.1 invopop-gateway"), "This request has already passed through the gateway."),
]


@pytest.mark.parametrize(("header", "detail"), TOLD)
def test_a_caller_is_told_what_is_wrong(header: tuple[bytes, bytes], detail: str) -> None:
    """In words that hold nothing of what was sent."""
    with pytest.raises(CallerError) as caught:
        read(header)
    assert caught.value.detail == detail


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([b"abc-123"], "abc-123"),
        ([b"x" * 128], "x" * 128),
        ([b"x" * 129], None),
        ([b""], None),
        ([b"a b"], None),
        ([b"", b"abc"], "abc"),
        ([b"a b", b"abc-123"], "abc-123"),
        ([b"caf\xc3\xa9"], None),
        ([], None),
    ],
)
def test_a_request_id_is_kept_if_it_is_visible_ascii(values: list[bytes], kept: str | None) -> None:
    """1 to 128 visible ASCII characters are kept; anything else is replaced by a fresh id."""
    fresh = RequestIds()
    found = request_id_of([(b"x-request-id", value) for value in values], fresh)
    assert found == kept if kept else len(found) == 32
    assert fresh() != fresh()


def test_fresh_request_ids_count_on() -> None:
    """32 hex digits: those of the process, then a count, so none occurs twice."""
    fresh = RequestIds()
    made = [fresh() for _ in range(9000)]
    assert [int(each[16:], 16) for each in made] == list(range(1, 9001))
    assert {len(each) for each in made} == {32}
    assert {each[:16] for each in made} == {made[0][:16]}
    assert RequestIds()()[:16] != made[0][:16]


@pytest.mark.parametrize("field", [b"authorization", b"proxy-authorization"])
def test_a_request_id_that_is_the_credential_is_replaced(field: bytes) -> None:
    """It would be logged and sent to Invopop; whether the credential is valid does not matter."""
    token = b"igw_some-token"
    headers = [(b"x-request-id", b"id-" + token), (field, b"Bearer " + token)]
    assert request_id_of(headers, lambda: "fresh") == "fresh"
    assert request_id_of(headers[:1], lambda: "fresh") == "id-igw_some-token"
