"""Whether a web page may be behind a request that shows nothing but where it comes from. Pure.

Law: in doubt it is one. A page can use an address, but cannot choose what its browser says of it.
"""

import re
from typing import Final

from gateway.model import Inbound

# Fetch metadata and CORS: only browsers send these, and pages cannot leave them out.
_SENT_BY_BROWSERS: Final = frozenset({b"origin", b"sec-fetch-site"})
# Over plain HTTP to an address that is not loopback browsers send neither with an image, say. But
# all of them call themselves so, and a page can change that only where it sends `Origin`.
_A_BROWSER: Final = b"Mozilla/"
# A page that had its own name resolve to us (DNS rebinding) is of our origin, and browsers send
# neither field for it; but its name stands in Host. An address, a name without a dot, and the
# suffixes below are none that a stranger can own: RFC 6761, RFC 6762, ICANN's `internal`, and
# `svc` as Kubernetes has it.
_NOT_OWNABLE: Final = re.compile(
    rb"\[[0-9a-f:.]+\]|[0-9]{1,3}(\.[0-9]{1,3}){3}|[^.:]+|.+\.(localhost|local|internal|svc)"
)
_PORT: Final = re.compile(rb"\.?(:[0-9]*)?$")


def sign_of_a_page(inbound: Inbound, own_names: frozenset[bytes]) -> str:
    """What speaks for a page: a field of browsers, or a Host that a stranger can own; else "".

    `own_names`, in lower case, are known to lead here though a stranger could own their like.
    """
    host = b""
    for name, value in inbound.headers:
        if name in _SENT_BY_BROWSERS:
            return "browser_field"
        if name == b"user-agent" and value.startswith(_A_BROWSER):
            return "browser_field"
        if name == b"host":
            host = _PORT.sub(b"", value.lower())
    # No browser asks in proxy form, over a Unix socket, or without Host.
    if inbound.proxy_form or not inbound.peer.address or not host or host in own_names:
        return ""
    return "" if _NOT_OWNABLE.fullmatch(host) else "host_name"
