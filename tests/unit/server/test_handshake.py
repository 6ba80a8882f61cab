"""Callers' TLS handshakes: counted and bounded; and a process that is out of files."""

import asyncio
import errno
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.server import handshake, listener, protocol
from gateway.server.handshake import TlsServer
from gateway.server.listener import HANDSHAKES
from gateway.turns import Turns
from tests.support.async_caller import Wire
from tests.support.held_loop import HeldLoop
from tests.unit.server.opened import GET, Authority, opened


async def test_case_106_a_silent_tls_handshake_is_bounded(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """By `header_timeout`, as all that comes before a request is."""
    served = await opened(stack, **Authority(tmp_path).listen)
    async with await Wire.connect(served.address) as wire:
        assert await wire.closed()


async def test_case_106_silent_tls_handshakes_have_their_place_among_the_connections(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """No more than `max_connections` are open, and with their end there is room again."""
    authority = Authority(tmp_path)
    served = await opened(stack, 30.0, **authority.listen)
    silent = [await stack.enter_async_context(await Wire.connect(served.address)) for _ in range(3)]
    async with asyncio.timeout(5):
        while len(served.listener.connections) < 3:
            await asyncio.sleep(0.001)
    async with await Wire.connect(served.address) as wire:
        assert await wire.closed()
    await silent[0].close()
    async with asyncio.timeout(5):
        while len(served.listener.connections) > 2:
            await asyncio.sleep(0.001)
    async with await Wire.connect(served.address, tls=authority.client()) as wire:
        assert (await wire.exchange(GET)).status == 200
        assert len(served.listener.connections) == 3


async def test_at_the_end_of_a_drain_a_handshake_has_a_moment(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has just connected gets its reply, as without TLS."""
    monkeypatch.setattr(listener, "FIRST_BYTE_SECONDS", 20.0)
    authority = Authority(tmp_path)
    served = await opened(stack, 30.0, **authority.listen)
    wires = [await stack.enter_async_context(await Wire.connect(served.address)) for _ in range(2)]
    await wires[0].writer.start_tls(authority.client(), server_hostname="127.0.0.1")
    async with asyncio.timeout(20):
        while len(served.listener.connections) < 2:
            await asyncio.sleep(0.001)
    served.listener.stop()
    await wires[1].writer.start_tls(authority.client(), server_hostname="127.0.0.1")
    for wire in wires:
        reply = await wire.exchange(GET)
        assert (reply.status, reply.header("connection")) == (200, b"close")


@pytest.mark.parametrize("shakes", [True, False])
async def test_at_the_end_of_a_drain_who_says_nothing_is_closed(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shakes: bool
) -> None:
    """Before its handshake, or after one that came in that moment: the drain does not wait."""
    monkeypatch.setattr(listener, "FIRST_BYTE_SECONDS", 20.0 if shakes else 0.2)
    authority = Authority(tmp_path)
    served = await opened(stack, 30.0, **authority.listen)
    wire = await stack.enter_async_context(await Wire.connect(served.address))
    async with asyncio.timeout(20):
        while not served.listener.connections:
            await asyncio.sleep(0.001)
    served.listener.stop()
    monkeypatch.setattr(listener, "FIRST_BYTE_SECONDS", 0.2)
    if shakes:
        await wire.writer.start_tls(authority.client(), server_hostname="127.0.0.1")
    assert await wire.closed()
    await served.listener.vacated(20)


async def test_case_108_the_last_of_a_tls_reply_may_be_read_slowly(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """As slowly as the rest of it: `write_timeout` is the longest stall, also at the end."""
    authority = Authority(tmp_path)
    served = await opened(stack, 10.0, **authority.listen)
    body = bytes(3_000_000)
    async with await Wire.connect(
        served.address, tls=authority.client(), receive_buffer=4096
    ) as wire:
        head = b"POST /x HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        await wire.send(head % len(body) + body)
        assert (await wire.head())[0] == 200
        wire.stop_reading()
        await asyncio.sleep(3)
        wire.read_on()
        received = 0
        while piece := await asyncio.wait_for(wire.reader.read(65536), 10):
            received += len(piece)
    assert received == len(b"/x:" + body)


async def test_an_early_reply_over_tls(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal reaches a caller that is still sending, and the connection ends after a while."""
    monkeypatch.setattr(protocol, "LINGER_SILENCE", 0.5)
    authority = Authority(tmp_path)
    served = await opened(stack, **authority.listen)
    async with await Wire.connect(served.address, tls=authority.client()) as wire:
        wire.writer.write(b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
        assert (await wire.response()).status == 400
        assert await wire.closed()


class Failing:
    """A listening socket whose first accepts fail."""

    def __init__(self, sock: socket.socket, *numbers: int) -> None:
        self._sock = sock
        self.numbers = list(numbers)
        self.tries = 0
        self.fileno, self.close = sock.fileno, sock.close

    def accept(self) -> tuple[socket.socket, object]:
        """As the system would."""
        self.tries += 1
        if self.numbers:
            raise OSError(self.numbers.pop(0), "")
        return self._sock.accept()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED])
async def test_a_failed_accept_ends_nothing(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Out of files it waits a little, instead of asking again and again; then it goes on."""
    monkeypatch.setattr(handshake, "_PAUSE", 0.2)
    authority = Authority(tmp_path)
    served = await opened(stack, 10.0, **authority.listen)
    failing = []
    for server in served.door._servers:
        assert isinstance(server, TlsServer)
        made = Failing(server._sock, number)
        server._sock = made  # type: ignore[assignment]
        failing.append(made)
    async with await Wire.connect(served.address, tls=authority.client()) as wire:
        assert (await wire.exchange(GET)).status == 200
    assert sum(made.tries for made in failing) < 20


async def test_closed_while_it_waits_it_stays_closed(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And closing it twice is harmless."""
    monkeypatch.setattr(handshake, "_PAUSE", 30.0)
    served = await opened(stack, **Authority(tmp_path).listen)
    for server in served.door._servers:
        assert isinstance(server, TlsServer)
        server._sock = Failing(server._sock, errno.EMFILE)  # type: ignore[assignment]
        server._accept()
        assert server._resuming is not None
        server.close()
        server.close()
        assert server._resuming.cancelled()


async def test_handshakes_wait_for_their_turn(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Two begin in a turn; one that waits longer than a handshake may take is not late by that."""
    authority = Authority(tmp_path)
    served = await opened(stack, 3.0, **authority.listen)
    loop = HeldLoop()
    turns = served.listener.handshakes = Turns(loop, at_once=0, most=HANDSHAKES)

    async def answered() -> int:
        async with await Wire.connect(served.address, tls=authority.client()) as wire:
            return (await wire.exchange(GET)).status

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(answered()) for _ in range(HANDSHAKES + 1)]
        async with asyncio.timeout(20):
            while turns._waiting < len(callers):
                await asyncio.sleep(0.001)
        served.listener.limits = served.listener.limits._replace(max_connections=0)
        async with await Wire.connect(served.address) as silent:
            assert await silent.closed()  # its time is over
        loop.turn()
        assert turns._waiting == 1
        assert served.app.scopes == []
        loop.turn()
    assert [caller.result() for caller in callers] == [200] * len(callers)


async def test_a_handshake_that_ends_while_it_waits(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A drain closes it, and it takes nobody's turn."""
    authority = Authority(tmp_path)
    served = await opened(stack, 30.0, **authority.listen)
    loop = HeldLoop()
    turns = served.listener.handshakes = Turns(loop, at_once=0, most=HANDSHAKES)
    async with await Wire.connect(served.address) as wire:
        await wire.send(b"\x16\x03\x01")
        async with asyncio.timeout(20):
            while not turns._waiting:
                await asyncio.sleep(0.001)
        served.listener.stop()
        assert await wire.closed()
        loop.turn()
        assert turns._waiting == 0
