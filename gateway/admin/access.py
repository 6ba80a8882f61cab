"""Who may see the status: peers on this machine or in `admin.status_networks`. Pure.

Law: and only under an address or `localhost`. A name in `Host` may be an attacker's, pointed at
this machine after the operator's browser had loaded the attacker's page (DNS rebinding).
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

NOT_YOUR_NETWORK: Final = (
    "The status page is for this machine, and for the networks in admin.status_networks."
)
NOT_BY_NAME: Final = "Open the status page by an IP address or as localhost, not by another name."

# `host[:port]` (RFC 9110 7.2); what the parts may be is looked at one by one.
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::[0-9]*)?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def refusal(peer: str, host: str, networks: Iterable[str]) -> str:
    """Why a peer's request with that `Host` may not see the status; "" if it may."""
    if not _is_near(peer, networks):
        return NOT_YOUR_NETWORK
    return "" if _is_no_name(host) else NOT_BY_NAME


def _is_near(peer: str, networks: Iterable[str]) -> bool:
    try:
        address: Address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # what a dual-stack socket shows (RFC 4291 2.5.5.2)
    return address.is_loopback or any(
        address in ipaddress.ip_network(network) for network in networks
    )


def _is_no_name(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["v6"] is not None:
        return _parses(ipaddress.IPv6Address, match["v6"])
    return match["name"].lower() == "localhost" or _parses(ipaddress.IPv4Address, match["name"])


def _parses(kind: type[Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
