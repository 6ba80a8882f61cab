"""The sockets of a listener, opened with their TLS side; and the peer of one that was accepted.

Rule: opens and reads; accepts nothing. Every failure to open is a `ConfigurationError` that names
its key.
"""

import asyncio
import errno
import socket
import ssl
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.errors import ConfigurationError, Problem
from gateway.identity.listener_tls import listener_tls
from gateway.model import Peer
from gateway.settings.schema import AdminSettings, ListenSettings
from gateway.settings.wording import masked, shown_path

_ABSENT: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
_UCRED: Final = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class Sockets:
    """The sockets of one listener, bound but not yet listening; `host` is the configured one.

    `missing` are addresses of `host` that this machine does not have.
    """

    def __init__(
        self,
        host: str,
        bound: list[socket.socket],
        tls: ssl.SSLContext | None = None,
        missing: Sequence[str] = (),
    ) -> None:
        self.bound = bound
        self.missing = missing
        self.tls = tls
        self._host = host
        self._file = _file_of(bound[0])

    def url(self) -> str:
        """The URL at which it is reached, with the real port."""
        name = self.bound[0].getsockname()
        if isinstance(name, str):
            return f"unix:{name}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self.tls else 'http'}://{host}:{name[1]}"

    def close(self) -> None:
        """Closes them; a Unix socket's file goes too, unless it is another process's by now."""
        for sock in self.bound:
            sock.close()
        if self._file is not None:
            path, inode = self._file
            self._file = None
            if path.exists() and path.stat().st_ino == inode:
                path.unlink()


def open_callers(listen: ListenSettings) -> Sockets:
    """The callers' listener."""
    tls = listener_tls(listen)
    if listen.socket is not None:
        return Sockets("", [_open_unix(listen.socket, listen.socket_permissions)])
    bound, missing = _open_tcp("listen", listen.host, listen.port, reuse_port=listen.reuse_port)
    return Sockets(listen.host, bound, tls.context if tls else None, missing)


def open_admin(admin: AdminSettings) -> Sockets:
    """The operators' listener."""
    bound, missing = _open_tcp("admin", admin.host, admin.port, reuse_port=False)
    return Sockets(admin.host, bound, missing=missing)


def unmapped(address: str) -> str:
    """An address; one of IPv4 mapped into IPv6 (RFC 4291 2.5.5.2) as IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address


def read_peer(transport: asyncio.BaseTransport) -> Peer:
    """The peer as the kernel and TLS verified it; an IPv4-mapped address reads as IPv4."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return Peer("", uid=_uid(sock))
    address = unmapped((transport.get_extra_info("peername") or ("",))[0])
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


def address_of(transport: asyncio.BaseTransport, which: str) -> tuple[str, int | None] | None:
    """A host and port, or a socket's path and None, as ASGI has it."""
    address = transport.get_extra_info(which)
    if isinstance(address, tuple):
        return address[:2]
    return (address, None) if address else None


def _open_tcp(
    section: str, host: str, port: int, *, reuse_port: bool
) -> tuple[list[socket.socket], list[str]]:
    """Sockets bound to every address of `host`; with port 0 all to the same free one.

    Addresses that this machine does not have, as `::1` where IPv6 is off, come second; if it has
    none of them, that is an error.
    """
    opened: list[socket.socket] = []
    missing: list[str] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys(found))
        for family, _, protocol, _, address in addresses:
            chosen = port or (opened[0].getsockname()[1] if opened else 0)
            place = (address[0], chosen, *address[2:])
            # "::" alone accepts IPv4, too; "localhost" has both addresses anyway
            only = len(found) > 1
            try:
                opened.append(_bound(family, protocol, place, only=only, reuse_port=reuse_port))
            except OSError as error:
                if error.errno not in _ABSENT or len(missing) + 1 == len(addresses):
                    raise
                missing.append(str(address[0]))
    except OSError as error:
        for sock in opened:
            sock.close()
        raise _address_refused(section, host, port, error) from None
    return opened, missing


def _bound(
    family: int, protocol: int, place: tuple[Any, ...], *, only: bool, reuse_port: bool
) -> socket.socket:
    """A socket bound to one address; `only`: where it is of IPv6, for IPv6 alone."""
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock


def _open_unix(path: Path, mode: int) -> socket.socket:
    """A socket bound at `path`, where nothing may listen; a dead one's file is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists():
            _remove_stale(path)
        sock.bind(str(path))
        path.chmod(mode)  # nobody can connect before `listen`
    except OSError as error:
        sock.close()
        raise _refused("listen.socket", f"{shown_path(path)}: {_reason(error)}") from None
    return sock


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(errno.EEXIST, "a file that is not a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another process listens there")
    path.unlink()


def _file_of(sock: socket.socket) -> tuple[Path, int] | None:
    """Where a Unix socket's file is, and which file it was when we made it."""
    if sock.family != socket.AF_UNIX:
        return None
    path = Path(sock.getsockname())
    return path, path.stat().st_ino


def _address_refused(section: str, host: str, port: int, error: OSError) -> ConfigurationError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        found = f"{masked(host)}: {_reason(error)}"
        return _refused(f"{section}.host", found, "an address or a name of this machine")
    return _refused(f"{section}.port", f"{masked(host)} port {port}: {_reason(error)}")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _refused(key: str, found: str, expected: str = "a free address") -> ConfigurationError:
    return ConfigurationError([Problem("", key, found, expected)])


def _uid(sock: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)  # Linux
    if option is None:
        return None
    uid: int = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))[1]
    return uid
