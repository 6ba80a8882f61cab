"""A TLS origin that does as it is told: answers, stalls, breaks off, and records every byte."""

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator

from tests.support.gateway import eventually
from tests.support.origin_answers import ECHO, Action, Held, Play, Sending, Steps, echo
from tests.support.tls_server import Acceptor, EndedError, GoneError, Reader, Seen, Wire


class ScriptedOrigin:
    """Answers each request with the next scripted action, else with a small 200."""

    echo = ECHO

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context: ssl.SSLContext | None = context
        self._mute = False
        self._script: deque[Action] = deque()
        self._otherwise = Action(echo)
        self._wires: dict[int, Wire] = {}
        self.requests: list[Seen] = []
        self.ever_connected: list[Wire] = []
        self._acceptor = Acceptor(self._serve)

    @property
    def authority(self) -> str:
        """Host and port, as they stand in the upstream's URL."""
        return f"localhost:{self._acceptor.port}"

    @property
    def received(self) -> bytes:
        """Every application byte since the last `forget`."""
        return b"".join(bytes(wire.received) for wire in self.ever_connected)

    def open_connections(self) -> list[int]:
        """The connections that are still open."""
        return list(self._wires)

    def eventually_started(self, count: int) -> None:
        """Waits until the heads of `count` requests have come."""
        eventually(lambda: len(self.requests) >= count)

    def protocol(self) -> str | None:
        """What ALPN chose on the latest connection."""
        tls = self.ever_connected[-1].tls
        return tls.selected_alpn_protocol() if tls else None

    def _serve(self, sock: socket.socket, number: int) -> None:
        wire = Wire(number, sock, self._context)
        self._wires[number] = wire
        self.ever_connected.append(wire)
        with contextlib.suppress(OSError, GoneError, EndedError):
            try:
                if self._mute:
                    wire.wait(threading.Event())
                wire.handshake()
                if wire.tls is None:
                    self._answer_plainly(wire)
                while True:
                    self._exchange(wire)
            finally:
                with contextlib.suppress(OSError):  # a reset may have closed it by now
                    if wire.ending.is_set():
                        wire.drain()
                    sock.close()
                del self._wires[number]

    def _answer_plainly(self, wire: Wire) -> None:
        """What a server without TLS says to whatever comes first."""
        wire.read()
        wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        wire.end("abort")

    def _exchange(self, wire: Wire) -> None:
        reader = Reader(wire)
        seen = reader.head()
        self.requests.append(seen)
        action = self._script.popleft() if self._script else self._otherwise
        if not action.at_head:
            reader.body(seen)
        action.play(wire, seen)

    # What the next request meets

    def answer(self, reply: bytes, end: str = "keep") -> None:
        """These bytes; then the connection is kept, or ended as `Wire.end` knows, or "drip"s on."""

        def play(wire: Wire, seen: Seen) -> None:
            wire.send(reply)
            while end == "drip":
                time.sleep(0.1)  # the pace of the drip is the case
                wire.send(reply)
            if end != "keep":
                wire.end(end)

        self._script.append(Action(play))

    def play(self, play: Play) -> None:
        """Whatever that does."""
        self._script.append(Action(play))

    def answer_at_head(self, reply: bytes) -> None:
        """These bytes as soon as the head has come, and nothing is read any more."""

        def play(wire: Wire, seen: Seen) -> None:
            wire.send(reply)
            wire.end("close")

        self._script.append(Action(play, at_head=True))

    def silent(self) -> None:
        """No answer at all."""
        self._script.append(Action(Held().then_echo))

    def sending(self, head: bytes, size: int) -> Sending:
        """A large answer whose progress can be watched."""
        sending = Sending(head, size)
        self._script.append(Action(sending.play))
        return sending

    @contextlib.contextmanager
    def holding(self, first: bytes, rest: bytes) -> Iterator[Held]:
        """`first` at once, `rest` when released."""
        held = Held()
        self._script.append(Action(held.play(first, rest)))
        yield held
        held.release()

    @contextlib.contextmanager
    def steps(self, *parts: bytes) -> Iterator[Steps]:
        """The parts one by one."""
        steps = Steps(parts)
        self._script.append(Action(steps.play))
        yield steps

    @contextlib.contextmanager
    def not_reading(self) -> Iterator[Held]:
        """The request's body is left unread until released."""
        held = Held()
        self._script.append(Action(held.before_the_body, at_head=True))
        yield held
        held.release()

    # What all requests meet for a while

    def echo_target(self) -> None:
        """From now on each reply's body is its request's target."""

        def play(wire: Wire, seen: Seen) -> None:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.target)
            wire.send(head + seen.target)

        self._otherwise = Action(play)

    @contextlib.contextmanager
    def silence(self) -> Iterator[Held]:
        """Nothing is answered until released."""
        held = Held()
        self._otherwise = Action(held.then_echo)
        try:
            yield held
        finally:
            self._otherwise = Action(echo)
            held.release()

    def refuse(self, *keys: str) -> None:
        """From now on these keys are answered 401, whatever is asked with them; others 200."""
        headers = {f"Bearer {key}" for key in keys}

        def play(wire: Wire, seen: Seen) -> None:
            if seen.get("authorization") in headers:
                wire.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            else:
                echo(wire, seen)

        self._otherwise = Action(play)

    @contextlib.contextmanager
    def showing(self, context: ssl.SSLContext | None) -> Iterator[None]:
        """New connections meet another certificate, or no TLS at all; old ones are closed."""
        usual, self._context = self._context, context
        self.hang_up()
        try:
            yield
        finally:
            self._context = usual
            self.hang_up()

    @contextlib.contextmanager
    def mute(self) -> Iterator[None]:
        """New connections are accepted and told nothing, not even TLS; old ones are closed."""
        self.hang_up()
        self._mute = True
        try:
            yield
        finally:
            self._mute = False

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Connections are refused; old ones are closed."""
        self._acceptor.close()
        self.hang_up()
        try:
            yield
        finally:
            self._acceptor.open()

    def hang_up(self) -> None:
        """Closes every connection and waits until the gateway has, too."""

        def closed() -> bool:
            # Each time: what the gateway does by itself may have opened another meanwhile.
            for wire in list(self._wires.values()):
                wire.ending.set()
                with contextlib.suppress(OSError):
                    wire.socket.shutdown(socket.SHUT_WR)
            return not self._wires

        eventually(closed)

    def start_over(self) -> None:
        """Forgets requests and scripts; connections stay."""
        self._script.clear()
        self._otherwise = Action(echo)
        self.requests = []

    def forget(self) -> None:
        """Starts over with no connections at all."""
        self._script.clear()
        self.hang_up()
        self.start_over()
        self.ever_connected = []
