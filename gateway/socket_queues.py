"""How many bytes the kernel holds for a socket, in either direction (tcp(7), unix(7))."""

import fcntl
import socket
import sys
import termios


def unsent(sock: socket.socket) -> int:
    """Bytes that were written and that the peer has not taken yet; 0 once the socket is closed.

    The kernel takes a megabyte at a time from us, which lasts a peer that reads slowly long.
    """
    return _held(sock, termios.TIOCOUTQ)


def unread(sock: socket.socket) -> int:
    """Bytes that the peer has sent and that we have not read yet; 0 once the socket is closed."""
    return _held(sock, termios.FIONREAD)


def _held(sock: socket.socket, request: int) -> int:
    descriptor = sock.fileno()
    if descriptor < 0:
        return 0
    return int.from_bytes(fcntl.ioctl(descriptor, request, bytes(4)), sys.byteorder)
