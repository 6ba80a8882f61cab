"""Who is at the other end of an accepted connection, read from the socket and the TLS session."""

import asyncio
import socket
import ssl
import struct
from typing import Final

from gateway.model import Peer

_UCRED: Final = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


def read_peer(transport: asyncio.BaseTransport) -> Peer:
    """The peer as the kernel and TLS verified it; an IPv4-mapped address reads as IPv4."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return Peer("", uid=_uid(sock))
    address = (transport.get_extra_info("peername") or ("",))[0]
    address = address.removeprefix("::ffff:") if "." in address else address
    session = transport.get_extra_info("ssl_object")
    certificate = session.getpeercert() if session is not None else None
    if not certificate:
        return Peer(address)
    names = certificate.get("subjectAltName", ())
    return Peer(
        address,
        uris=tuple(value for kind, value in names if kind == "URI"),
        dns_names=tuple(value for kind, value in names if kind == "DNS"),
        until=ssl.cert_time_to_seconds(certificate["notAfter"]),
    )


def _uid(sock: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)  # Linux
    if option is None:
        return None
    uid: int = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))[1]
    return uid
