"""Waiting for one socket by `poll`: unlike `select`, it knows descriptors above 1,024."""

import select
import socket


def readable(waiting: socket.socket | int, seconds: float) -> bool:
    """Whether bytes, or an end, are there to read within that many seconds."""
    return bool(_poll(waiting, select.POLLIN, seconds))


def writable(waiting: socket.socket, seconds: float) -> bool:
    """Whether bytes are taken within that many seconds."""
    return bool(_poll(waiting, select.POLLOUT, seconds))


def ready(waiting: socket.socket, seconds: float) -> tuple[bool, bool]:
    """Whether it is readable, and whether it is writable, as soon as one of them holds."""
    events = _poll(waiting, select.POLLIN | select.POLLOUT, seconds)
    ended = events & (select.POLLHUP | select.POLLERR)
    return bool(events & select.POLLIN or ended), bool(events & select.POLLOUT)


def _poll(waiting: socket.socket | int, events: int, seconds: float) -> int:
    poll = select.poll()
    poll.register(waiting, events)
    for _, happened in poll.poll(max(0.0, seconds) * 1000):
        return happened
    return 0
