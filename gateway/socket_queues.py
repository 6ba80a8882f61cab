"""How many bytes the kernel holds for a socket, in either direction (tcp(7), unix(7))."""

import fcntl
import socket
import struct
import sys
import termios
from typing import Final

# linux/tcp.h: `tcpi_bytes_acked` is behind 8 numbers of one byte, 24 of four, and 2 of eight.
_TCP_INFO: Final = struct.Struct("=120xQ")


def unsent(sock: socket.socket) -> int:
    """Bytes that were written and that the peer has not taken yet; 0 once the socket is closed.

    The kernel takes a megabyte at a time from us, which lasts a peer that reads slowly long.
    """
    return _held(sock, termios.TIOCOUTQ)


def acknowledged(sock: socket.socket) -> int | None:
    """Bytes that the peer has acknowledged since it connected; None where TCP does not count them.

    Unlike what is unsent, this also moves while buffers on the way, such as those of TLS, drain.
    """
    if sys.platform != "linux" or sock.family == socket.AF_UNIX or sock.fileno() < 0:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    return int(_TCP_INFO.unpack(info)[0]) if len(info) == _TCP_INFO.size else None


def unread(sock: socket.socket) -> int:
    """Bytes that the peer has sent and that we have not read yet; 0 once the socket is closed."""
    return _held(sock, termios.FIONREAD)


def _held(sock: socket.socket, request: int) -> int:
    descriptor = sock.fileno()
    if descriptor < 0:
        return 0
    return int.from_bytes(fcntl.ioctl(descriptor, request, bytes(4)), sys.byteorder)
