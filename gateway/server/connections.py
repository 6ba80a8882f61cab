"""The connections of a listener: counted in all and by peer, and refused beyond the limits.

Rule: counts and decides; a refused connection is closed by whoever accepted it.
"""

import ipaddress
from collections.abc import Callable, Iterator
from math import ceil
from typing import Final, Protocol

from gateway.events import ConnectionRefusal, ConnectionRefused, Emit
from gateway.model import Peer
from gateway.server.sparse_lines import SparseLines

# Of `max_connections`, what one peer may have if nothing else is configured: behind a mesh, a NAT
# or in a sidecar all callers have one address, and a quarter is left for everybody else.
_SHARE: Final = 0.75
_IPV6_HOST_BITS: Final = 64  # RFC 4291 2.5.1: one host may use any address of its /64


class OpenConnection(Protocol):
    """What a listener needs of its connections."""

    def close_if_idle(self) -> None:
        """Closes unless a request, or a byte of one, has arrived."""
        ...

    def retire(self) -> None:
        """Takes no further request: closes now, or with the reply to the one in flight."""
        ...

    def abort(self) -> None:
        """Closes now, whatever is in flight."""
        ...


class OpenConnections:
    """Those that are open now. Both limits: 0 = none."""

    def __init__(self, listener: str, emit: Emit, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._emit = emit
        self._lines = SparseLines("connections_refused", listener, emit, clock)
        self._open: dict[OpenConnection, str] = {}
        self._by_peer: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenConnection]:
        """Those that are open now; they may close meanwhile."""
        return iter(tuple(self._open))

    def admits(self, peer: str, most: int, most_per_peer: int) -> bool:
        """Whether one more of `peer` fits; if not, that is counted, and logged now and then."""
        reason: ConnectionRefusal
        if 0 < most <= len(self._open):
            reason = "max_connections"
        elif 0 < most_per_peer <= self._by_peer.get(_host(peer), 0):
            reason = "max_connections_per_peer"
        else:
            return True
        self._emit(ConnectionRefused(self._listener, reason))
        self._lines.add(peer, reason)
        return False

    def add(self, connection: OpenConnection, peer: str) -> None:
        """One has been admitted. `peer` is an IP address, or names a user of a Unix socket."""
        host = self._open[connection] = _host(peer)
        self._by_peer[host] = self._by_peer.get(host, 0) + 1

    def discard(self, connection: OpenConnection) -> None:
        """One has closed; may be called for one that was never added."""
        host = self._open.pop(connection, None)
        if host is None:
            return
        left = self._by_peer.pop(host) - 1
        if left:
            self._by_peer[host] = left


def name_of(peer: Peer) -> str:
    """What connections of one peer are counted under."""
    return peer.address or f"unix:{peer.uid}"


def per_peer(configured: int, most: int) -> int:
    """Most connections of one peer, where 0 stands for a share of `most`."""
    return configured or ceil(most * _SHARE)


def _host(peer: str) -> str:
    """What counts as one peer: an address; of IPv6 the network in which a host picks its own."""
    if ":" not in peer or peer.startswith("unix:"):
        return peer
    try:
        address = int(ipaddress.IPv6Address(peer.partition("%")[0]))
    except ValueError:
        return peer
    return str(ipaddress.IPv6Address(address >> _IPV6_HOST_BITS << _IPV6_HOST_BITS))
