"""Every way in which an attempt at the upstream can fail: its kind, and the error to answer with.

Rule: the kinds are a closed list; no exception's text is passed on, it may quote headers.
"""

from typing import Final

from gateway.errors import AttemptFailure, ErrorKey, GatewayFault, UpstreamError

# kind (the label of `upstream_errors_total`) -> error key
KINDS: Final[dict[AttemptFailure, ErrorKey]] = {
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
    "protocol": "upstream_protocol_error",  # not HTTP/1.1, or invalid framing
    "invalid_status": "upstream_protocol_error",  # status outside 200 to 599
}


def failure(
    kind: AttemptFailure, *, sent: bool, detail: str = "", cause: str = ""
) -> UpstreamError:
    """The error for a failure of that kind. Raises KeyError for one that is not in the list."""
    return UpstreamError(KINDS[kind], kind, sent=sent, detail=detail, cause=cause)


def overloaded() -> GatewayFault:
    """No pooled connection came free in time, or too many requests already wait for one."""
    detail = "No connection to Invopop became free in time. Try again later."
    return GatewayFault("overloaded", detail, headers=[(b"retry-after", b"1")])


class Superseded(Exception):
    """While a request waited, its verdict or its key changed: nothing of this attempt was sent.

    `attempts` were made before.
    """

    def __init__(self, attempts: int = 0) -> None:
        super().__init__()
        self.attempts = attempts
