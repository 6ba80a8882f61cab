"""TLS over a fake TCP transport: orders of arrival that a network gives only by chance."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from gateway.flush_queue import FEW, SMALL, FlushQueue
from gateway.network.tls import client_context
from gateway.upstream.wire import Wire
from tests.support.certificates import Certificates


class FakeTransport:
    """Keeps what is written; says that so much of it is unsent."""

    def __init__(self, unsent: int = 0) -> None:
        self.unsent = unsent
        self.written = b""
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.calls.append(name)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def write(self, data: bytes) -> None:
        self.written += data

    def taken(self) -> bytes:
        """What was written since the last call."""
        data, self.written = self.written, b""
        return data


class Quiet:
    """The kernel has nothing."""

    def poll(self, _: int) -> list[Any]:
        return []


class Heard:
    """A reader that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_data(self, data: bytes) -> None:
        self.heard.append(data)

    def on_end(self, *, clean: bool, kind: str) -> None:
        self.heard.append((clean, kind))


class Peer:
    """The other end of the TLS connection, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def shake(self, data: bytes) -> bytes:
        """Takes a flight of the handshake and gives the answer."""
        self.incoming.write(data)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def read(self, data: bytes) -> bytes:
        """Takes whole records, and returns what the first of those not read yet holds."""
        self.incoming.write(data)
        return self.tls.read(SMALL)


@pytest.fixture
def in_flight() -> int:
    """How many requests are in flight, as far as the wire knows: so few that it sends at once."""
    return 1


@pytest.fixture
async def shaken(
    certificates: Certificates, in_flight: int
) -> AsyncIterator[tuple[Wire, FakeTransport, Peer]]:
    """A wire that has shaken hands; what the peer says after that has not come yet."""
    sock, other = socket.socketpair()
    transport, peer = FakeTransport(), Peer(certificates.context())
    context = client_context(certificates.ca_file, ca_only=True)
    wire = Wire(sock, context, "localhost", FlushQueue(lambda: in_flight))
    wire.connection_made(cast("Any", transport))
    shaking = wire.handshake()
    shaking.send(None)  # it now waits for the peer's answer
    wire.data_received(peer.shake(transport.taken()))
    with pytest.raises(StopIteration):
        shaking.send(None)
    wire.data_received(peer.shake(transport.taken()))  # its session tickets
    yield wire, transport, peer
    sock.close()
    other.close()


async def test_what_comes_before_anyone_listens_is_heard(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """Case 101: unasked bytes right behind the handshake reach the reader, who refuses them."""
    wire, _, peer = shaken
    peer.tls.write(b"unasked")
    wire.data_received(peer.outgoing.read())
    heard = Heard()
    wire.attach(heard)
    assert heard.heard == [b"unasked"]


@pytest.mark.parametrize("cut", [1, 4, 5, 6, -1])
async def test_a_record_that_is_still_coming_counts_as_unread(
    monkeypatch: pytest.MonkeyPatch, shaken: tuple[Wire, FakeTransport, Peer], cut: int
) -> None:
    """Case 101: part of something unasked, for which the next request must not wait."""
    wire, _, peer = shaken
    monkeypatch.setattr(wire, "_poll", Quiet())
    heard = Heard()
    wire.attach(heard)
    assert not wire.readable()
    peer.tls.write(b"asked")
    peer.tls.write(b"unasked")
    records = peer.outgoing.read()
    first = 5 + int.from_bytes(records[3:5])
    split = first + cut if cut > 0 else len(records) + cut
    wire.data_received(records[:split])
    assert (heard.heard, wire.readable()) == ([b"asked"], True)
    wire.data_received(records[split:])
    assert (heard.heard, wire.readable()) == ([b"asked", b"unasked"], False)


async def test_an_end_before_anyone_listens_is_heard(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """Case 115: a connection that died at once is not taken as good."""
    wire, _, _ = shaken
    wire.eof_received()
    heard = Heard()
    wire.attach(heard)
    assert heard.heard == [(False, "closed")]


@pytest.mark.parametrize(("unsent", "call"), [(0, "close"), (100_000, "abort")])
async def test_a_polite_close_does_not_wait_for_a_peer_that_does_not_read(
    shaken: tuple[Wire, FakeTransport, Peer], unsent: int, call: str
) -> None:
    """A transport closes only once all is sent: that could be never."""
    wire, transport, _ = shaken
    transport.unsent = unsent
    wire.close()
    assert transport.calls[-1] == call


async def test_a_polite_close_says_so(shaken: tuple[Wire, FakeTransport, Peer]) -> None:
    """The peer gets a close_notify, and sees no truncation."""
    wire, transport, peer = shaken
    wire.close()
    peer.incoming.write(transport.taken())
    assert peer.tls.read(10) == b""


async def test_after_an_end_nothing_is_written(shaken: tuple[Wire, FakeTransport, Peer]) -> None:
    """Whoever still writes is told by the reader's end, not by an exception here."""
    wire, transport, _ = shaken
    wire.connection_lost(None)
    wire.write(b"late")
    assert transport.written == b""


async def test_waiting_to_write_ends_with_the_connection(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """Case 119: an upload to a peer that is gone does not wait for it."""
    wire, _, _ = shaken
    wire.pause_writing()
    draining = asyncio.ensure_future(wire.drain())
    await asyncio.sleep(0)
    assert wire.congested
    wire.connection_lost(None)
    await asyncio.wait_for(draining, 5)


MANY = pytest.mark.parametrize("in_flight", [FEW + 1])


@MANY
async def test_beside_many_requests_a_small_write_waits_for_the_end_of_the_turn(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """What is written in one turn leaves as one; until then it counts as not taken."""
    wire, transport, peer = shaken
    wire.write(b"head ")
    wire.write(b"body")
    assert transport.written == b""
    assert wire.not_taken() > len(b"head body")
    await asyncio.sleep(0)
    assert peer.read(transport.taken()) + peer.read(b"") == b"head body"
    assert wire.not_taken() == 0


@MANY
async def test_beside_many_requests_a_large_write_leaves_at_once(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """With what was held back in front of it."""
    wire, transport, peer = shaken
    wire.write(b"head")
    wire.write(b"b" * SMALL)
    assert peer.read(transport.taken()) == b"head"
    assert peer.read(b"") == b"b" * SMALL


@MANY
@pytest.mark.parametrize("end", [Wire.close, Wire.abort])
async def test_what_is_held_back_is_not_lost_when_the_wire_ends(
    shaken: tuple[Wire, FakeTransport, Peer], end: Callable[[Wire], None]
) -> None:
    """It is sent first, and nothing after it."""
    wire, transport, peer = shaken
    wire.write(b"head")
    end(wire)
    assert peer.read(transport.taken()) == b"head"
    await asyncio.sleep(0)
    assert transport.written == b""


async def test_beside_few_requests_a_write_leaves_at_once(
    shaken: tuple[Wire, FakeTransport, Peer],
) -> None:
    """Nothing else is in this turn that could be sent together with it."""
    wire, transport, peer = shaken
    wire.write(b"head")
    assert peer.read(transport.taken()) == b"head"
