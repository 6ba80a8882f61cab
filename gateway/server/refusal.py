"""What is said, to the caller and to `observe`, of a request that never reached the app.

Law: no I/O; only the method's name is taken from what the caller sent.
"""

from email.utils import formatdate
from typing import Final

from gateway.errors import ALLOW, GatewayError, problem
from gateway.model import Exchange, Peer
from gateway.server.reply import status_line

_METHODS: Final = frozenset(ALLOW.decode().split(", "))


def refusal(error: GatewayError, request_id: str, *, bodiless: bool) -> bytes:
    """The reply that ends a connection; `bodiless` after a HEAD (RFC 9110 9.3.2)."""
    headers, body = problem(error, request_id)
    line = status_line(error.status)
    headers = [*headers, (b"date", formatdate(usegmt=True).encode()), (b"connection", b"close")]
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    return line + fields + b"\r\n" + (b"" if bodiless else body)


def record(error: GatewayError, request_id: str, method: str, peer: Peer) -> Exchange:
    """The exchange that the refusal ends; `started` and `seconds` are the connection's to tell."""
    return Exchange(
        0.0,
        request_id=request_id,
        method=method if method in _METHODS else "OTHER",
        peer=peer.address,
        status=error.status,
        error=error.key,
    )
