"""The caller whose networks hold the peer's address, or the uid behind its Unix socket. Pure.

Law: the most specific network decides; a peer that cannot be told apart from others matches none.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model import Peer

_UNIX: Final = "unix"
# What the kernel says of a uid that has no mapping in our user namespace (overflowuid), and -1.
_UNMAPPED: Final = frozenset({65534, 2**32 - 1})
_MOST_REMEMBERED: Final = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """Callers known by where they call from, built once from `{caller: its networks}`."""

    def __init__(self, callers: Mapping[str, Iterable[str]]) -> None:
        self._sockets: dict[str, str] = {}
        self._by_network: dict[Network, str] = {}
        for caller, networks in callers.items():
            for network in networks:
                if network.startswith(_UNIX):
                    self._sockets[network] = caller
                else:
                    self._by_network[ipaddress.ip_network(network)] = caller
        lengths = {network.prefixlen for network in self._by_network}
        self._longest_first = sorted(lengths, reverse=True)
        self._remembered: dict[str, str | None] = {}

    def find(self, peer: Peer) -> str | None:
        """The caller's name, or None."""
        if not peer.address:
            return self._by_socket(peer.uid)
        try:
            return self._remembered[peer.address]
        except KeyError:
            return self._remember(peer.address)

    def _by_socket(self, uid: int | None) -> str | None:
        if uid is None or uid in _UNMAPPED:
            return None
        return self._sockets.get(f"{_UNIX}:{uid}", self._sockets.get(_UNIX))

    def _remember(self, text: str) -> str | None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        caller = self._remembered[text] = self._search(text)
        return caller

    def _search(self, text: str) -> str | None:
        try:
            address = _plain(ipaddress.ip_address(text))
        except ValueError:
            return None
        # Not ip_network(): it would take the number of a low IPv6 address for an IPv4 address.
        made = ipaddress.IPv4Network if address.version == 4 else ipaddress.IPv6Network
        for length in self._longest_first:
            if length <= address.max_prefixlen:
                network = made((int(address), length), strict=False)
                if network in self._by_network:
                    return self._by_network[network]
        return None


def _plain(address: Address) -> Address:
    """The IPv4 address that a dual-stack socket shows as `::ffff:…` (RFC 4291 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
