"""Every way in which an upstream attempt can fail: its kind, its error key, and foreign exceptions.

Law: the kinds are a closed list; no exception text crosses, it may quote headers.
"""

import ssl
from typing import Final

import httpx

from gateway.errors import ErrorKey, GatewayError, GatewayFault, UpstreamError, UpstreamErrorKind

# kind (the label of `upstream_errors_total`) -> error key
KINDS: Final[dict[UpstreamErrorKind, ErrorKey]] = {
    "dns": "upstream_unreachable",  # the name does not resolve
    "connect_refused": "upstream_unreachable",  # nobody listens on any address
    "connect": "upstream_unreachable",  # no route, network down, out of descriptors …
    "proxy": "upstream_unreachable",  # the CONNECT proxy refused, or broke off
    "tls": "upstream_tls_error",  # handshake, certificate, or a broken record later
    "connect_timeout": "upstream_timeout",  # DNS, TCP, proxy and TLS together
    "write_timeout": "upstream_timeout",  # the upstream stopped reading the request
    "read_timeout": "upstream_timeout",  # no reply, or silence within it
    "closed": "upstream_protocol_error",  # connection closed without a reply
    "truncated": "upstream_protocol_error",  # connection closed within the reply's body
    "protocol": "upstream_protocol_error",  # not HTTP/1.1, or unlawful framing
    "invalid_status": "upstream_protocol_error",  # status outside 200 to 599
}

# First match wins: subclasses stand before their parents.
_FOREIGN: Final[tuple[tuple[type[BaseException], UpstreamErrorKind, bool], ...]] = (
    (httpx.ConnectTimeout, "connect_timeout", False),
    (httpx.ReadTimeout, "read_timeout", True),
    (httpx.WriteTimeout, "write_timeout", True),
    (httpx.ProxyError, "proxy", False),
    (httpx.ConnectError, "connect", False),
    (httpx.RemoteProtocolError, "protocol", True),
    (httpx.DecodingError, "protocol", True),
    (httpx.TooManyRedirects, "protocol", True),
    (httpx.TimeoutException, "read_timeout", True),
    (httpx.NetworkError, "closed", True),
    (ssl.SSLError, "tls", True),
    (TimeoutError, "read_timeout", True),
    (OSError, "closed", True),
)


def failure(kind: UpstreamErrorKind, *, sent: bool, detail: str = "") -> UpstreamError:
    """The error for a failure of that kind. Raises KeyError for one that is not in the list."""
    return UpstreamError(KINDS[kind], kind, sent=sent, detail=detail)


def overloaded() -> GatewayFault:
    """No pooled connection came free in time, or too many requests already wait for one."""
    detail = "no connection to Invopop came free in time"
    return GatewayFault("overloaded", detail, headers=[(b"retry-after", b"1")])


def mapped(error: Exception) -> GatewayError:
    """The error to answer with for whatever an httpx transport raised."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, httpx.PoolTimeout):
        return overloaded()
    cause = error.__cause__ or error.__context__
    if isinstance(error, httpx.ConnectError) and isinstance(cause, ssl.SSLError):
        return failure("tls", sent=False)
    for foreign, kind, sent in _FOREIGN:
        if isinstance(error, foreign):
            return failure(kind, sent=sent)
    # LocalProtocolError, InvalidURL, UnsupportedProtocol …: this program asked for nonsense.
    return GatewayFault("internal_error")
