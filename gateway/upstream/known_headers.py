"""Which fields cross the gateway, of requests and replies that have most in common: decided once.

Rule: the same as `headers` would decide. What is kept for the next one has nothing of a key, nor of
a value that varies.
"""

from typing import Final

from gateway.known_head import KnownReply, KnownRequest, ReplyLines, position
from gateway.model import Headers, Inbound, Key, Reply
from gateway.secret import stands_in
from gateway.upstream.headers import (
    EXPECTS_BODY,
    USER_AGENT,
    VIA,
    carried_positions,
    named_fields,
    spelt_with_dashes,
)
from gateway.upstream.reply_headers import passed_on

_VIA: Final = b": ".join(VIA)
_USER_AGENT: Final = b": ".join(USER_AGENT)


def outbound_lines(inbound: Inbound, known: KnownRequest, host: bytes, key: Key) -> list[bytes]:
    """The same as `outbound_headers`, as lines."""
    if known.carried_for != host:
        _encode_carried(inbound, known, host)
    lines = known.carried.copy()
    headers = inbound.headers
    for at, index in known.holes:
        lines[index] = b": ".join(headers[at])
    length = inbound.content_length
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or inbound.method in EXPECTS_BODY:
        lines.append(b"content-length: %d" % length)
    if known.adds_agent:
        lines.append(_USER_AGENT)
    lines.append(b"authorization: Bearer " + key.secret.ascii)
    lines.append(b"x-request-id: " + inbound.request_id.encode("ascii"))
    lines.append(_VIA)
    return lines


def _encode_carried(inbound: Inbound, known: KnownRequest, host: bytes) -> None:
    headers = inbound.headers
    known.carried, known.holes, known.carried_for = [b"host: " + host], [], host
    known.adds_agent = True
    for at in carried_positions(headers):
        if at in known.lines.varying:
            known.holes.append((at, len(known.carried)))
        known.carried.append(b": ".join(headers[at]))
        if headers[at][0] == b"user-agent":
            known.adds_agent = False


def pass_on(reply: Reply, known: KnownReply, host: bytes, request_id: str) -> None:
    """Gives a reply that does not echo the key what `reply_headers` would, also as lines."""
    raw = reply.headers
    kept = known.passed
    if kept is None:
        kept = _decide_passed(raw, known, host)
    headers, lines = kept.copy(), known.encoded.copy()
    for at, index in known.places:
        field = headers[index] = (kept[index][0], raw[at][1])
        lines[index] = b": ".join(field)
    encoded_id = request_id.encode("ascii")
    headers.append((b"x-request-id", encoded_id))
    lines.append(b"x-request-id: " + encoded_id)
    headers.append(VIA)
    lines.append(_VIA)
    length = headers[known.length_place][1] if known.length_place >= 0 else None
    reply.headers = headers
    reply.lines = ReplyLines(lines, length, known.dated)


def _decide_passed(headers: Headers, known: KnownReply, host: bytes) -> Headers:
    passed: Headers = []
    named = named_fields(headers)
    for at, (name, value) in enumerate(headers):
        fields = [] if spelt_with_dashes(name) in named else passed_on(name, value, host)
        if fields and at in known.lines.varying:
            known.places.append((at, len(passed)))
        passed += fields
    known.dated = position(passed, b"date") != -1
    known.length_place = position(passed, b"content-length")
    known.encoded = [b": ".join(field) for field in passed]
    known.passed = passed
    return passed


def echoes(head: bytes, headers: Headers, key: Key) -> bool:
    """Whether the key may be in a reply's head, of which these are the fields."""
    secret = key.secret.ascii
    if head.lower().find(secret.lower()) >= 0:
        return True
    for _, value in headers:  # noqa: SIM110 - on each request's way
        if len(value) > len(secret) and stands_in(secret, value):
            return True
    return False
