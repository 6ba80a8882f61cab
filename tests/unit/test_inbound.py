"""What the caller sent: the head judged in order, the body read once and counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.errors import CallerError
from gateway.inbound import (
    REPLAY_LIMIT,
    Head,
    InboundBody,
    RequestIds,
    read_inbound,
    request_id_of,
)
from gateway.model import CALLER_LEFT, Inbound, Peer
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
    assert RequestIds()().endswith("0" * 15 + "1")


@pytest.mark.parametrize("field", [b"authorization", b"proxy-authorization"])
def test_a_request_id_that_is_the_credential_is_replaced(field: bytes) -> None:
    """It would be logged and sent to Invopop; whether the credential is valid does not matter."""
    token = b"igw_some-token"
    headers = [(b"x-request-id", b"id-" + token), (field, b"Bearer " + token)]
    assert request_id_of(headers, lambda: "fresh") == "fresh"
    assert request_id_of(headers[:1], lambda: "fresh") == "id-igw_some-token"


def receiver(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    queue = list(messages)

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    return receive


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def taken(body: InboundBody) -> bytes:
    return b"".join([chunk async for chunk in body])


@pytest.mark.parametrize(
    "messages",
    [[part(b"abc", more=False)], [part(b"a"), part(b"b"), part(b"c", more=False)]],
    ids=["at once", "bit by bit"],
)
async def test_a_small_body_is_waited_for(messages: list[dict[str, Any]]) -> None:
    """What has arrived whole needs no iteration, and can be sent any number of times."""
    body = InboundBody(receiver(*messages), 0)
    assert (body.complete, body.ready) == (False, None)
    await body.prefetch()
    assert body.ready == b"abc"
    assert await taken(body) == await taken(body) == b"abc"


async def test_of_a_large_body_only_its_beginning_is_waited_for() -> None:
    """64 KiB are enough to begin; the rest is read when it is asked for."""
    half = b"x" * (REPLAY_LIMIT // 2)
    queue = [part(half), part(half), part(b"y", more=False)]
    body = InboundBody(receiver(*queue), 0)
    await body.prefetch()
    assert (body.received, body.complete, body.ready) == (REPLAY_LIMIT, False, None)
    assert await taken(body) == half + half + b"y"


async def test_a_body_is_replayed_up_to_its_limit() -> None:
    """A second iteration gives the kept bytes again and then goes on reading."""
    messages = part(b"a" * 10), part(b"b" * 10), part(b"", more=False)
    body = InboundBody(receiver(*messages), 0)
    first = aiter(body)
    assert await anext(first) == b"a" * 10
    assert body.replayable
    assert await taken(body) == b"a" * 10 + b"b" * 10
    assert body.received == 20


async def test_a_large_body_is_not_kept() -> None:
    """Past 64 KiB nothing is held once it leaves: it streams once, whole, its beginning included.

    An attempt that took none of it, for want of a connection, does not count.
    """
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(big), part(b"y", more=False)), 0)
    await body.prefetch()
    assert (body.replayable, body.ready) == (True, None)
    chunks = aiter(body)
    assert (await anext(chunks), body.replayable) == (big, False)
    assert [chunk async for chunk in chunks] == [b"y"]
    with pytest.raises(RuntimeError, match=r"^a body that was not kept cannot be sent again$"):
        await taken(body)


async def test_a_large_body_that_nobody_waited_for_comes_whole() -> None:
    """Read chunk by chunk from the start, nothing is added or lost; then it is gone."""
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(b"a"), part(big), part(b"y", more=False)), 0)
    assert await taken(body) == b"a" + big + b"y"
    with pytest.raises(RuntimeError):
        await taken(body)


async def test_a_large_body_that_came_at_once_is_not_kept() -> None:
    """Though it is complete: what can be sent again is at most 64 KiB."""
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(big, more=False)), 0)
    await body.prefetch()
    assert body.ready is None
    assert await taken(body) == big
    assert not body.replayable


async def test_a_body_never_passes_its_limit() -> None:
    """A chunked body that grows past the limit fails at the chunk that crosses it."""
    body = InboundBody(receiver(part(b"x" * 6), part(b"x" * 6, more=False)), 10)
    chunks = aiter(body)
    assert await anext(chunks) == b"x" * 6
    with pytest.raises(CallerError) as caught:
        await anext(chunks)
    assert caught.value.key == "body_too_large"
    assert caught.value.detail == "A body may have at most 10 bytes."


async def test_limits_hold_to_the_byte() -> None:
    """A body of just the limit passes, and one of just 64 KiB is kept."""
    body = InboundBody(receiver(part(b"x" * REPLAY_LIMIT, more=False)), REPLAY_LIMIT)
    assert await taken(body) == await taken(body) == b"x" * REPLAY_LIMIT


async def test_a_message_may_leave_out_what_is_empty() -> None:
    """ASGI: without `body` there are no bytes, without `more_body` it is the last one."""
    body = InboundBody(receiver({"type": "http.request"}), 0)
    assert await taken(body) == b""
    assert (body.complete, body.ready) == (True, b"")


async def test_a_caller_that_leaves_ends_the_body_as_a_cancellation() -> None:
    """A disconnect is never taken for the body's end."""
    body = InboundBody(receiver(part(b"x"), {"type": "http.disconnect"}), 0)
    with pytest.raises(asyncio.CancelledError, match=CALLER_LEFT):
        await taken(body)
