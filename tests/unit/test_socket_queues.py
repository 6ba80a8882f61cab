"""`socket_queues`: what the kernel holds, by its own count."""

import socket

import pytest

from gateway.socket_queues import acknowledged, unread, unsent


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_what_was_sent_and_not_read(family: socket.AddressFamily) -> None:
    """The reader's end tells to the byte, for TCP and Unix sockets."""
    ours, peers = connected(family)
    with ours, peers:
        assert (unsent(ours), unread(peers)) == (0, 0)
        ours.sendall(b"abc")
        peers.recv(1, socket.MSG_PEEK)  # it has arrived
        assert unread(peers) == 3
        peers.recv(2)
        assert unread(peers) == 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_peer_that_does_not_read_leaves_bytes_unsent(family: socket.AddressFamily) -> None:
    """And they become fewer as it reads: this tells a slow reader from a stalled one."""
    ours, peers = connected(family)
    with ours, peers:
        ours.setblocking(False)
        filled(ours)
        held = unsent(ours)
        assert held > 0
        peers.recv(held)
        assert unsent(ours) < held


def test_what_a_peer_acknowledges_is_counted() -> None:
    """It grows while the peer reads, and only then once every buffer is full."""
    ours, peers = connected(socket.AF_INET)
    with ours, peers:
        ours.setblocking(False)
        filled(ours)
        before = acknowledged(ours)
        assert before is not None
        assert before > 0
        held = unsent(ours)
        while held > 0:
            held -= len(peers.recv(held))
        after = acknowledged(ours)
        assert after is not None
        assert after > before


def test_a_unix_socket_counts_nothing() -> None:
    """Nor does a socket that is closed."""
    ours, peers = connected(socket.AF_UNIX)
    with ours, peers:
        assert acknowledged(ours) is None
    assert acknowledged(ours) is None


def test_a_closed_socket_holds_nothing() -> None:
    """Deadlines may still run when their connection is gone."""
    ours, peers = socket.socketpair()
    ours.close()
    peers.close()
    assert (unsent(ours), unread(peers)) == (0, 0)


def filled(sock: socket.socket) -> None:
    """Sends until nothing more is taken."""
    try:
        while sock.send(bytes(65536)):
            pass
    except BlockingIOError:
        pass


def connected(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection."""
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        return ours, server.accept()[0]
