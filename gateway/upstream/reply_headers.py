"""Which header fields of a reply are passed on, and what is put in their place.

Rule: names are lower-case; order and repeats are kept; the key is in none of them.
"""

import re
from typing import Final, NamedTuple

from gateway.model import Headers, Key
from gateway.secret import stands_in
from gateway.upstream.headers import HOP_BY_HOP, VIA, named_fields, spelt_with_dashes

REDACTED: Final = b"[redacted]"
# Instructions about the whole origin, which is ours, or to a proxy that serves files itself.
_REPLY_DROPPED: Final = HOP_BY_HOP | {
    b"accept-ch",
    b"alt-svc",
    b"clear-site-data",
    b"critical-ch",
    b"expect-ct",
    b"nel",
    b"public-key-pins",
    b"public-key-pins-report-only",
    b"refresh",
    b"report-to",
    b"reporting-endpoints",
    b"service-worker-allowed",
    b"set-login",
    b"strict-transport-security",
    b"x-archive-files",
    b"x-litespeed-location",
    b"x-reproxy-file",
    b"x-reproxy-url",
}
_FILE_REPLY_DROPPED: Final = _REPLY_DROPPED | {b"set-cookie", b"set-cookie2"}
_REPLY_DROPPED_PREFIXES: Final = (
    b"x-accel-",
    b"x-gateway-",
    b"x-lighttpd-send-",
    b"x-sendfile",
)
_REPLY_REWRITTEN: Final = frozenset({b"location", b"proxy-status", b"x-request-id"})
# Nothing in these two is tried twice: what may repeat cannot match what follows it.
_PROXY_STATUS_MEMBER: Final = re.compile(rb'\s*+"?invopop-gateway"?\s*+(?:;|$)', re.IGNORECASE)
# A member may hold commas within quoted strings (RFC 8941 3.3.3).
_LIST_MEMBER: Final = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.?+)*"?+)+')


class CleanReply(NamedTuple):
    """End-to-end reply headers; `echoed` says that one of them had held the key."""

    headers: Headers
    echoed: bool


def reply_headers(raw: Headers, key: Key, host: bytes, request_id: str) -> CleanReply:
    """The reply's headers as the caller gets them. `host` is the upstream's `Host` field value."""
    secret = key.secret.ascii
    echoed = False
    headers: Headers = []
    for name, said in _without_named(raw):
        value = said
        if said.find(secret) >= 0:  # `in` raises and catches a TypeError before it looks
            value, echoed = said.replace(secret, REDACTED), True
        if len(value) > len(secret) and stands_in(secret, value):  # escaped, or in base64
            value, echoed = REDACTED, True
        if len(name) >= len(secret) and secret.lower() in name.lower():
            echoed = True
        else:
            headers += passed_on(name, value, host)
    headers.append((b"x-request-id", request_id.encode("ascii")))
    headers.append(VIA)
    return CleanReply(headers, echoed)


def passed_on(name: bytes, value: bytes, host: bytes) -> Headers:
    """What becomes of a field of a reply that `Connection` does not name: one field, or none."""
    if name in _REPLY_REWRITTEN:
        return _rewritten(name, value, host)
    if name in _REPLY_DROPPED:
        return []
    if name.startswith(b"x-") and name.startswith(_REPLY_DROPPED_PREFIXES):
        return []
    return [(name, value)]


def keyless_reply_headers(raw: Headers, request_id: str) -> Headers:
    """A file host's reply headers as the caller gets them; `Location` stays as it is.

    `Set-Cookie` is dropped: a client would take it for a cookie of ours, and none is ever sent on.
    """
    headers: Headers = []
    for name, value in _without_named(raw):
        if name in _REPLY_REWRITTEN:
            headers += _rewritten(name, value, b"")
        elif not (name in _FILE_REPLY_DROPPED or name.startswith(_REPLY_DROPPED_PREFIXES)):
            headers.append((name, value))
    headers.append((b"x-request-id", request_id.encode("ascii")))
    headers.append(VIA)
    return headers


def relative_location(location: bytes, host: bytes) -> bytes:
    """A `Location` on the upstream's own origin as a relative reference; any other as it is.

    One whose path would then be read as an authority also stays as it is: `//`, a backslash, and a
    tab, which browsers take out.
    """
    origin = re.match(rb"(?:https:)?//([^/?#]*)", location, re.IGNORECASE)
    if origin is None or _without_default_port(origin[1]) != _without_default_port(host):
        return location
    rest = location[origin.end() :]
    path = re.split(rb"[?#]", rest, maxsplit=1)[0]
    if path.startswith(b"//") or b"\\" in path or b"\t" in path:
        return location
    return rest if path else b"/" + rest


def _without_named(headers: Headers) -> Headers:
    """The fields less those that `Connection` declares hop-by-hop."""
    named = named_fields(headers)
    if not named:
        return headers
    return [field for field in headers if spelt_with_dashes(field[0]) not in named]


def _rewritten(name: bytes, value: bytes, host: bytes) -> Headers:
    if name == b"location":
        return [(name, relative_location(value, host))]
    if name == b"x-request-id":
        return [(b"x-upstream-request-id", value)]
    members = [one for one in _LIST_MEMBER.findall(value) if not _PROXY_STATUS_MEMBER.match(one)]
    return [(name, b",".join(members).strip(b" \t"))] if members else []


def _without_default_port(authority: bytes) -> bytes:
    return authority.lower().removesuffix(b":443").removesuffix(b":")
