"""Callers known by their connection alone: by certificate, address or Unix socket. Pure.

Rule: a certificate name matches exactly, and a certificate of two callers matches none; the most
specific network decides; if a web page may be behind a request, we assume that one is.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from gateway.model import Inbound, Peer

_UNIX: Final = "unix"
# The kernel's value for a uid without a mapping in our user namespace (overflowuid), and -1.
_UNMAPPED: Final = frozenset({65534, 2**32 - 1})
_MOST_REMEMBERED: Final = 4096
# Fetch metadata and CORS: only browsers send these, and pages cannot leave them out.
_SENT_BY_BROWSERS: Final = frozenset({b"origin", b"sec-fetch-site"})
# Over plain HTTP to an address other than loopback, browsers send neither of them with an image,
# for example. But every browser's User-Agent begins so, and a page that changes it sends `Origin`.
_A_BROWSER: Final = b"Mozilla/"
# If a page makes its own name resolve to us (DNS rebinding), it has our origin, and browsers send
# neither field; but Host holds its name. Strangers cannot own an address, a name without a dot, or
# a name with one of these suffixes: RFC 6761, RFC 6762, ICANN's `internal`, Kubernetes' `svc`.
_NOT_OWNABLE: Final = re.compile(
    rb"\[[0-9a-f:.]+\]|[0-9]{1,3}(\.[0-9]{1,3}){3}|[^.:]+|.+\.(localhost|local|internal|svc)"
)
_PORT: Final = re.compile(rb"\.?(:[0-9]*)?$")

BrowserSign = Literal["", "browser_field", "user_agent", "host_name"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Certificates:
    """Callers known by certificate, built once from `{caller: its URI and DNS names}`."""

    def __init__(self, callers: Mapping[str, Iterable[str]]) -> None:
        self._uris: dict[str, set[str]] = {}
        self._dns_names: dict[str, set[str]] = {}
        for caller, names in callers.items():
            for name in names:
                kind = self._uris if ":" in name else self._dns_names  # no DNS name holds a colon
                kind.setdefault(name, set()).add(caller)

    def find(self, peer: Peer) -> str | None:
        """The caller's name; None if the certificate names no caller, or several."""
        found: set[str] = set()
        for uri in peer.uris or ():
            found |= self._uris.get(uri, set())
        for name in peer.dns_names or ():
            found |= self._dns_names.get(name, set())
        return found.pop() if len(found) == 1 else None


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
        # Not ip_network(): it takes a small number for an IPv4 address, also one of IPv6.
        made = ipaddress.IPv4Network if address.version == 4 else ipaddress.IPv6Network
        for length in self._longest_first:
            if length <= address.max_prefixlen:
                network = made((int(address), length), strict=False)
                if network in self._by_network:
                    return self._by_network[network]
        return None


def browser_sign(inbound: Inbound, own_names: frozenset[bytes]) -> BrowserSign:
    """Why a web page may be behind this: "browser_field", "user_agent", "host_name", or "".

    `own_names`, in lower case, are trusted although their form is one that a stranger could own.
    """
    host = b""
    for name, value in inbound.headers:
        if name in _SENT_BY_BROWSERS:
            return "browser_field"
        if name == b"user-agent" and value.startswith(_A_BROWSER):
            return "user_agent"
        if name == b"host":
            host = _PORT.sub(b"", value.lower())
    # Browsers do not use us by proxy form, tunnel or Unix socket, nor without Host.
    unseen = inbound.proxy_form or inbound.tunnelled or not inbound.peer.address
    if unseen or not host or host in own_names:
        return ""
    return "" if _NOT_OWNABLE.fullmatch(host) else "host_name"


def _plain(address: Address) -> Address:
    """A dual-stack socket shows IPv4 peers as `::ffff:…` (RFC 4291 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
