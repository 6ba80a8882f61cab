"""What the origin does with one request: answers that wait for the test, or watch themselves."""

import threading
import time
from collections.abc import Callable

from tests.support.tls_server import EndedError, Reader, Seen, Wire

ECHO = b'{"echo":true}'
Play = Callable[[Wire, Seen], None]


class Action:
    """What is done with one request; `at_head` if its body is not read before."""

    def __init__(self, play: Play, *, at_head: bool = False) -> None:
        self.play = play
        self.at_head = at_head


def echo(wire: Wire, seen: Seen) -> None:
    """The answer to a request for which nothing else was scripted."""
    body = b"" if seen.method == "HEAD" else ECHO
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ECHO) + body)


class Held:
    """An answer that waits for the test."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._sent = threading.Event()

    def release(self) -> None:
        """Lets the answer go on."""
        self._go.set()

    def wait_sent(self) -> None:
        """Waits until the rest has been handed to the network."""
        assert self._sent.wait(5)

    def play(self, first: bytes, rest: bytes) -> Play:
        """Sends `first`, waits for the test, then sends `rest`."""

        def run(wire: Wire, seen: Seen) -> None:
            wire.send(first)
            wire.wait(self._go)
            wire.send(rest)
            self._sent.set()

        return run

    def before_the_body(self, wire: Wire, seen: Seen) -> None:
        """Does not read one byte until released; then reads the body, and echoes."""
        while not self._go.wait(0.05):
            if wire.ending.is_set():
                raise EndedError
        Reader(wire).body(seen)
        echo(wire, seen)

    def then_echo(self, wire: Wire, seen: Seen) -> None:
        """Says nothing until released."""
        wire.wait(self._go)
        echo(wire, seen)


class Steps:
    """An answer whose parts go out one by one, each on the test's word."""

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        self._go = [threading.Event() for _ in parts]
        self._parts = parts
        self._next = 0

    def next(self) -> None:
        """Sends the next part."""
        self._go[self._next].set()
        self._next += 1

    def play(self, wire: Wire, seen: Seen) -> None:
        """Waits and sends, part by part."""
        for event, part in zip(self._go, self._parts, strict=True):
            wire.wait(event)
            wire.send(part)


class Sending:
    """An answer of many bytes, and how far it got."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head = head
        self._size = size
        self._moved = time.monotonic()
        self._failed = False
        self.sent = 0

    def play(self, wire: Wire, seen: Seen) -> None:
        """Sends head and body as fast as they are taken."""
        block = b"Z" * 65_536
        try:
            wire.send(self._head)
            while self.sent < self._size:
                wire.send(block[: self._size - self.sent])
                self.sent += min(len(block), self._size - self.sent)
                self._moved = time.monotonic()
        except OSError:
            self._failed = True
            raise

    def blocked(self) -> bool:
        """Whether something was sent, and for half a second nothing more was taken."""
        return self.sent > 0 and time.monotonic() - self._moved > 0.5

    def failed(self) -> bool:
        """Whether the gateway broke it off."""
        return self._failed
