"""Which header fields cross the gateway, and what is put in their place, in both directions.

Rule: names are lower-case; order and repeats are kept; the key is the only credential that leaves.
"""

import re
from typing import Final, NamedTuple

from gateway import __version__
from gateway.model import CREDENTIAL_FIELDS, Headers, Inbound, Key
from gateway.secret import stands_in

NAME: Final = b"invopop-gateway"
VIA: Final = (b"via", b"1.1 " + NAME)
USER_AGENT: Final = (b"user-agent", NAME + b"/" + __version__.encode("ascii"))
REDACTED: Final = b"[redacted]"

# RFC 9110 7.6.1, and what only makes sense between two neighbours.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Fields in which proxies say where a request comes from, or who sent it. Callers write them here:
# all untrue.
_CLIENT: Final = frozenset(
    {
        b"ali-cdn-real-ip",
        b"cdn-real-ip",
        b"cdn-src-ip",
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-pseudo-ipv4",
        b"client-cert",
        b"client-cert-chain",
        b"client-ip",
        b"cloudfront-viewer-address",
        b"do-connecting-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded",
        b"forwarded-for",
        b"forwarded-for-ip",
        b"front-end-https",
        b"incap-client-ip",
        b"real-ip",
        b"remote-addr",
        b"remote-ip",
        b"remote-user",
        b"true-client-ip",
        b"wl-proxy-client-ip",
    }
)
# Fields that make some servers serve another request than the one that the policy allowed.
_OVERRIDES: Final = frozenset(
    {
        b"base-url",
        b"proxy",
        b"request-uri",
        b"x-host",
        b"x-http-host-override",
        b"x-http-path-override",
        b"x-path-info",
        b"x-proxy-url",
        b"x-replaced-path",
        b"x-request-method",
        b"x-request-path",
        b"x-request-uri",
        b"x-request-url",
        b"x-script-name",
        b"x-verb",
    }
)
_REQUEST_DROPPED: Final = _HOP_BY_HOP.union(CREDENTIAL_FIELDS, _CLIENT, _OVERRIDES) | {
    b"content-length",
    b"cookie",
    b"cookie2",
    b"expect",
    b"host",
    b"x-invopop-tenant",
    b"x-request-id",
    b"x-request-timeout",
}
_REQUEST_DROPPED_PREFIXES: Final = (
    b"proxy-",
    b"x-accel-",
    b"x-amzn-mtls-",
    b"x-arr-clientcert",
    b"x-auth-request-",
    b"x-authenticated-",
    b"x-client-cert",
    b"x-envoy-",
    b"x-forward",
    b"x-http-method",
    b"x-http-verb",
    b"x-method",
    b"x-middleware-",
    b"x-original-",
    b"x-override-",
    b"x-real-",
    b"x-remote-",
    b"x-rewrite-",
    b"x-sendfile",
    b"x-ssl-",
)
# Of names that begin with `x-`: client addresses.
_REQUEST_DROPPED_SUFFIXES: Final = (b"-ip", b"-ips", b"-ipv4", b"-ipv6", b"-clientip", b"-socketip")
_HAVE_PREFIXES: Final = (b"x-", b"proxy-")  # most fields need no look at the longer list
# Instructions about the whole origin, which is ours, or to a proxy that serves files itself.
_REPLY_DROPPED: Final = _HOP_BY_HOP | {
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

_NAMES_NOTHING: Final = ([b"keep-alive"], [b"close"])

# CGI-like servers read all three spellings as one name.
_DASHES: Final = bytes.maketrans(b"_.", b"--")
# Without a body these say so (RFC 9110 8.6); to the others a body is strange, so they say nothing.
_EXPECTS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
# Nothing in these three is tried twice: strangers send the first, and it is read before they prove
# who they are.
_VIA_MEMBER: Final = re.compile(
    rb"(?:^|,)[ \t]*+[^\s,]++[ \t]++invopop-gateway[ \t]*+(?:$|[,(])", re.IGNORECASE
)
_PROXY_STATUS_MEMBER: Final = re.compile(rb'\s*+"?invopop-gateway"?\s*+(?:;|$)', re.IGNORECASE)
# A member may hold commas within quoted strings (RFC 8941 3.3.3).
_LIST_MEMBER: Final = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.?+)*+"?+)++')


class CleanReply(NamedTuple):
    """End-to-end reply headers; `echoed` says that one of them had held the key."""

    headers: Headers
    echoed: bool


def has_own_via(headers: Headers) -> bool:
    """Whether a request has been through this gateway before: a loop (RFC 9110 7.6.3)."""
    return any(name == b"via" and _VIA_MEMBER.search(value) for name, value in headers)


def outbound_headers(inbound: Inbound, host: bytes, key: Key) -> Headers:
    """The headers that go upstream: what the caller may say, and exactly one `authorization`.

    Invopop's edge refuses some clients that do not say what they are.
    """
    headers = _carried(inbound, host)
    for field in headers:
        if field[0] == b"user-agent":
            break
    else:
        headers.append(USER_AGENT)
    headers.append((b"authorization", b"Bearer " + key.secret.reveal().encode("ascii")))
    headers.append((b"x-request-id", inbound.request_id.encode("ascii")))
    headers.append(VIA)
    return headers


def keyless_headers(inbound: Inbound, host: bytes) -> Headers:
    """The headers that go to a file host: what the caller may say, and nothing of our own."""
    headers = _carried(inbound, host)
    headers.append(VIA)
    return headers


def _carried(inbound: Inbound, host: bytes) -> Headers:
    """What the caller may say, behind `Host`, with its framing.

    What `Connection` names is removed before anything is added, so that it cannot name that.
    """
    headers = [(b"host", host)]
    for field in _without_named(inbound.headers):
        name = field[0].translate(_DASHES)
        if name in _REQUEST_DROPPED:
            continue
        if name.startswith(_HAVE_PREFIXES) and (
            name.startswith(_REQUEST_DROPPED_PREFIXES) or name.endswith(_REQUEST_DROPPED_SUFFIXES)
        ):
            continue
        headers.append(field)
    length = inbound.content_length
    if length is None:
        headers.append((b"transfer-encoding", b"chunked"))
    elif length or inbound.method in _EXPECTS_BODY:
        headers.append((b"content-length", b"%d" % length))
    return headers


def reply_headers(raw: Headers, key: Key, host: bytes, request_id: str) -> CleanReply:
    """The reply's headers as the caller gets them. `host` is the upstream's `Host` field value."""
    secret = key.secret.reveal().encode("ascii")
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
        elif name in _REPLY_REWRITTEN:
            headers += _rewritten(name, value, host)
        elif name not in _REPLY_DROPPED and not (
            name.startswith(b"x-") and name.startswith(_REPLY_DROPPED_PREFIXES)
        ):
            headers.append((name, value))
    headers.append((b"x-request-id", request_id.encode("ascii")))
    headers.append(VIA)
    return CleanReply(headers, echoed)


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
    """The fields less those that `Connection` declares hop-by-hop (RFC 9110 7.6.1)."""
    lines = [value for name, value in headers if name == b"connection"]
    if not lines or lines in _NAMES_NOTHING:
        return headers
    parts = b",".join(lines).lower().translate(_DASHES).split(b",")
    named = {part.strip(b" \t") for part in parts}
    return [field for field in headers if field[0].translate(_DASHES) not in named]


def _rewritten(name: bytes, value: bytes, host: bytes) -> Headers:
    if name == b"location":
        return [(name, relative_location(value, host))]
    if name == b"x-request-id":
        return [(b"x-upstream-request-id", value)]
    members = [one for one in _LIST_MEMBER.findall(value) if not _PROXY_STATUS_MEMBER.match(one)]
    return [(name, b",".join(members).strip(b" \t"))] if members else []


def _without_default_port(authority: bytes) -> bytes:
    return authority.lower().removesuffix(b":443").removesuffix(b":")
