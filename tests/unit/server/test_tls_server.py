"""`TlsServer`: callers that are gone before they are taken, and a process that is out of files."""

import errno
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.server import handshake
from gateway.server.handshake import TlsServer
from tests.support.wire import Wire
from tests.unit.server.test_peers import GET, Authority, opened, stack

__all__ = ["stack"]


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
