"""What a service manager is sent, seen by a socket that stands for it."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.events import ConfigReloaded
from gateway.server.service_manager import ServiceManager
from tests.support.readiness import readable

Open = Callable[[Mapping[str, str]], ServiceManager]

REFUSED = ConfigReloaded("failure", ("gateway.toml: …",))


class Manager:
    """A socket as systemd has one; what came, datagram by datagram."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(5)
        self.environ = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def received(self) -> dict[str, str]:
        """The next datagram's assignments."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def nothing_more(self) -> bool:
        """Whether no datagram waits."""
        return not readable(self._socket, 0)

    def close(self) -> None:
        """Nobody is there any more."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """At a path, and at an abstract address."""
    abstract = f"\0gateway-test-{os.getpid()}"
    made = Manager(abstract if request.param == "abstract" else str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def open_() -> Iterator[Open]:
    """Makes what is tested; closed with the test."""
    with ExitStack() as stack:
        yield lambda environ: stack.enter_context(closing(ServiceManager(environ)))


def watched(manager: Manager, **more: str) -> Mapping[str, str]:
    """The variables of a unit with `WatchdogSec=0.02`."""
    return {**manager.environ, "WATCHDOG_USEC": "20000", **more}


def test_readiness_and_the_end(manager: Manager, open_: Open) -> None:
    """One datagram for each."""
    notifier = open_(manager.environ)
    notifier.ready()
    assert manager.received()["READY"] == "1"
    notifier.stopping()
    assert manager.received()["STOPPING"] == "1"
    assert manager.nothing_more()


def test_a_reload_has_a_beginning_and_an_end(manager: Manager, open_: Open) -> None:
    """RELOADING with the monotonic time, as Type=notify-reload wants it, then READY."""
    notifier = open_(manager.environ)
    notifier.ready()
    manager.received()
    notifier.reloading()
    begun = manager.received()
    assert begun["RELOADING"] == "1"
    assert int(begun["MONOTONIC_USEC"]) > 0
    notifier.reloaded(ConfigReloaded("success"))
    assert manager.received()["READY"] == "1"


def test_a_refused_reload_is_no_failure_of_the_service(manager: Manager, open_: Open) -> None:
    """It is ready as before, and the status says where to look."""
    notifier = open_(manager.environ)
    notifier.ready()
    notifier.reloaded(REFUSED)
    manager.received()
    told = manager.received()
    assert told["READY"] == "1"
    assert "refused" in told["STATUS"]


def test_a_reload_makes_nobody_ready_too_early_or_again(manager: Manager, open_: Open) -> None:
    """Before the listeners listen, and after the end was asked for, reloads are not reported."""
    notifier = open_(manager.environ)
    notifier.reloading()
    notifier.reloaded(REFUSED)
    assert manager.nothing_more()
    notifier.stopping()
    notifier.reloading()
    notifier.reloaded(ConfigReloaded("success"))
    assert manager.received()["STOPPING"] == "1"
    assert manager.nothing_more()


async def test_the_loop_beats(manager: Manager, open_: Open) -> None:
    """WATCHDOG=1 again and again from readiness on."""
    notifier = open_(watched(manager, WATCHDOG_PID=str(os.getpid())))
    notifier.ready()
    received = [await asyncio.to_thread(manager.received) for _ in range(4)]
    assert "READY" in received[0]
    assert received[1:] == [{"WATCHDOG": "1"}] * 3


@pytest.mark.parametrize(
    "more", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}]
)
async def test_no_heartbeat_that_was_not_asked_of_this_process(
    manager: Manager, open_: Open, more: dict[str, str]
) -> None:
    """Another process's, none, or nonsense."""
    notifier = open_(watched(manager, **more))
    notifier.ready()
    assert "READY" in manager.received()
    await asyncio.sleep(0.05)  # two of the heartbeats that must not come
    assert manager.nothing_more()


@pytest.mark.parametrize("address", ["", "@", "relative", "vsock:2:1", "/nowhere/notify", "\udcff"])
async def test_whatever_the_address_nothing_fails(open_: Open, address: str) -> None:
    """Nobody there, or no address at all: the service serves all the same."""
    notifier = open_({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"})
    notifier.ready()
    notifier.reloading()
    notifier.stopping()


async def test_a_full_queue_delays_and_loses_nothing(manager: Manager, open_: Open) -> None:
    """A manager that is slow gets everything, in order; the program does not wait for it."""
    notifier = open_(manager.environ)
    notifier.ready()
    for _ in range(1000):  # more than a queue holds: net.unix.max_dgram_qlen
        notifier.reloading()
    notifier.stopping()
    received = [await asyncio.to_thread(manager.received) for _ in range(1002)]
    assert "READY" in received[0]
    assert "STOPPING" in received[-1]
