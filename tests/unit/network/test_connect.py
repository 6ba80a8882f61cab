"""Connecting: a host's addresses in turn, a numeric one without asking anybody."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.network import connect as module
from gateway.network.connect import connect
from gateway.network.resolver import Resolver
from tests.unit.network.conftest import Names


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Takes connections on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of 127.0.0.2 where attempts to connect come to no end: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(address)
        yield address[1]
        for one in waiting:
            one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_numeric_address_is_connected_without_a_look_up(
    host: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the system's resolver nor a thread is used: those may be busy with a name."""

    def no_thread(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("threading.Thread.start", no_thread)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with await connect(host, port, Resolver()) as sock:
            assert sock.getpeername()[:2] == (host, port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert names.asked == []


async def test_a_dead_address_is_passed_over(listening: socket.socket, names: Names) -> None:
    """Refused at one, the next is tried at once; refused at all, the error says so."""
    port = listening.getsockname()[1]
    names["origin.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    with await connect("origin.test", port, Resolver()) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    names["origin.test"] = ["127.0.0.2", "127.0.0.3"]
    with pytest.raises(ConnectionRefusedError):
        await connect("origin.test", port, Resolver())


async def test_a_silent_address_does_not_hold_the_next_up(silent: int, names: Names) -> None:
    """RFC 8305: after a quarter of a second the next address is tried beside it."""
    names["origin.test"] = ["127.0.0.2", "127.0.0.1"]
    with socket.create_server(("127.0.0.1", silent)):
        async with asyncio.timeout(5):
            sock = await connect("origin.test", silent, Resolver())
        with sock:
            assert sock.getpeername()[0] == "127.0.0.1"
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_given_up_nothing_is_left(silent: int, names: Names) -> None:
    """No attempt goes on once nobody waits for it."""
    names["origin.test"] = ["127.0.0.2"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await connect("origin.test", silent, Resolver())
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_an_old_answer_that_leads_nowhere_gives_way(
    listening: socket.socket, names: Names
) -> None:
    """A name that has moved: its new address is waited for, once the old one has failed."""
    port = listening.getsockname()[1]
    clock = [0.0]
    resolver = Resolver(clock=lambda: clock[0])
    names["origin.test"] = ["127.0.0.2"]
    with pytest.raises(ConnectionRefusedError):
        await connect("origin.test", port, resolver)
    names["origin.test"] = ["127.0.0.1"]
    clock[0] += 11.0
    with await connect("origin.test", port, resolver) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert names.asked == ["origin.test"] * 2


async def test_of_two_that_connect_in_one_moment_one_is_kept(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other is closed at once."""
    names["origin.test"] = ["127.0.0.1", "127.0.0.2"]
    monkeypatch.setattr(module, "STAGGER", 0.0)
    made: list[socket.socket] = []
    both = asyncio.Event()

    async def open_one(*_: object) -> socket.socket:
        own = socket.socket()
        made.append(own)
        if len(made) == 2:
            both.set()
        await both.wait()
        return own

    monkeypatch.setattr(module, "_connect", open_one)
    with await connect("origin.test", 1, Resolver()) as kept:
        assert [sock.fileno() >= 0 for sock in made].count(True) == 1
        assert kept in made
