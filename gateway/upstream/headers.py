"""Which header fields cross the gateway, and what is put in their place, in both directions.

Rule: names are lower-case; order and repeats are kept; the key is the only credential that leaves.
"""

import re
from typing import Final

from gateway import __version__
from gateway.model import CREDENTIAL_FIELDS, Headers, Inbound, Key

NAME: Final = b"invopop-gateway"
VIA: Final = (b"via", b"1.1 " + NAME)
USER_AGENT: Final = (b"user-agent", NAME + b"/" + __version__.encode("ascii"))

# RFC 9110 7.6.1, and what only makes sense between two neighbours.
HOP_BY_HOP: Final = frozenset(
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
_REQUEST_DROPPED: Final = HOP_BY_HOP.union(CREDENTIAL_FIELDS, _CLIENT, _OVERRIDES) | {
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

_NAMES_NOTHING: Final = ([b"keep-alive"], [b"close"])

_DASHES: Final = bytes.maketrans(b"_.", b"--")
# Without a body these say so (RFC 9110 8.6); to the others a body is strange, so they say nothing.
EXPECTS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
# Nothing in it is tried twice: strangers send it, and it is read before they prove who they are.
_VIA_MEMBER: Final = re.compile(
    rb"(?:^|,)[ \t]*+[^\s,]++[ \t]++invopop-gateway[ \t]*+(?:$|[,(])", re.IGNORECASE
)


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
    headers.append((b"authorization", b"Bearer " + key.secret.ascii))
    headers.append((b"x-request-id", inbound.request_id.encode("ascii")))
    headers.append(VIA)
    return headers


def keyless_headers(inbound: Inbound, host: bytes) -> Headers:
    """The headers that go to a file host: what the caller may say, and nothing of our own."""
    headers = _carried(inbound, host)
    headers.append(VIA)
    return headers


def _carried(inbound: Inbound, host: bytes) -> Headers:
    """What the caller may say, behind `Host`, with its framing."""
    headers = [(b"host", host)]
    headers += [inbound.headers[at] for at in carried_positions(inbound.headers)]
    length = inbound.content_length
    if length is None:
        headers.append((b"transfer-encoding", b"chunked"))
    elif length or inbound.method in EXPECTS_BODY:
        headers.append((b"content-length", b"%d" % length))
    return headers


def carried_positions(headers: Headers) -> list[int]:
    """Where the fields are that the caller may say.

    What `Connection` names is removed before anything is added, so that it cannot name that.
    """
    named = named_fields(headers)
    positions: list[int] = []
    for at, field in enumerate(headers):
        name = spelt_with_dashes(field[0])
        if name in _REQUEST_DROPPED or name in named:
            continue
        if name.startswith(_HAVE_PREFIXES) and (
            name.startswith(_REQUEST_DROPPED_PREFIXES) or name.endswith(_REQUEST_DROPPED_SUFFIXES)
        ):
            continue
        positions.append(at)
    return positions


def named_fields(headers: Headers) -> frozenset[bytes]:
    """The fields that `Connection` declares hop-by-hop (RFC 9110 7.6.1), spelt with dashes."""
    lines = [value for name, value in headers if name == b"connection"]
    if not lines or lines in _NAMES_NOTHING:
        return frozenset()
    parts = b",".join(lines).lower().translate(_DASHES).split(b",")
    return frozenset([part.strip(b" \t") for part in parts])


def spelt_with_dashes(name: bytes) -> bytes:
    """As CGI-like servers read a name, in which they take `_` and `.` for `-`."""
    return name.translate(_DASHES)
