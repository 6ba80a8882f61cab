"""What an origin can do wrong: each fault by name, and how the scripted origin plays it."""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Final, NamedTuple

from tests.support.caller import Connection
from tests.support.certificates import Authority, server_context
from tests.support.tls_server import Seen, Wire
from tests.support.world import World, fields

READ_TIMEOUT: Final = 0.8  # seconds; a busy machine answers within it
_BODY: Final = b"0123456789"
_WHOLE: Final = fields("200 OK", "Content-Length: 10") + _BODY
_CHUNKS: Final = (
    fields("200 OK", "Transfer-Encoding: chunked") + b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
)
_HEAD: Final = len(fields("200 OK", "Content-Length: 10"))
# The classes of position at which a reply can break off, and how much of it has been sent there.
_POSITIONS: Final = {
    "before its head": b"",
    "within its head": _WHOLE[:20],
    "after its head": _WHOLE[:_HEAD],
    "within its body": _WHOLE[: _HEAD + 4],
    "before its last byte": _WHOLE[:-1],
    "before its last chunk": _CHUNKS[:-5],
}
_ENDS: Final = {
    "is reset": "reset",
    "is closed properly": "close",
    "is closed without a TLS close_notify": "abort",
    "turns into a broken TLS record": "garble",
}

# Yields what is to be done once the request is sent, or None.
Playing = AbstractContextManager[Callable[[Connection], None] | None]
Play = Callable[[World], Playing]


class Fault(NamedTuple):
    """What the origin does; `warm` if it does so on a connection that has served before.

    `two_keys` if the request's tenant is between two keys; `retried` if the budget may matter.
    """

    name: str
    play: Play
    warm: bool = False
    two_keys: bool = False
    retried: bool = False


def all_faults() -> list[Fault]:
    """Every fault, in the table's order."""
    made = [*_kept(), *_breaking(), *_stalling()]
    before, after = ([fault._replace(retried=True) for fault in some()]
                     for some in (_connecting, _answering))  # fmt: skip
    return [*before, *made, *after]


# Before a request can be sent


def _connecting() -> list[Fault]:
    return [
        Fault("refuses connections", lambda world: world.origin.away()),
        Fault("accepts connections and then sends nothing", lambda world: world.origin.mute()),
        Fault("resets connections during the TLS handshake", _resetting),
        Fault("answers plain text instead of TLS", lambda world: world.origin.showing(None)),
        Fault("shows a certificate of an unknown authority", _unknown_authority),
        Fault("shows a certificate for another name", _wrong_name),
        Fault("shows an expired certificate", _expired),
        Fault("shows an expired certificate once, then a good one", _expired_once),
    ]


@contextmanager
def _resetting(world: World) -> Iterator[None]:
    port = int(world.origin.authority.rpartition(":")[2])
    with world.origin.away(), socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=_reset_all, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _reset_all(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock, _ = listener.accept()
            sock.recv(1)  # the handshake has begun
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def _unknown_authority(world: World) -> Playing:
    stranger = Authority(world.gateway.directory, "stranger")
    return world.origin.showing(server_context(stranger.certificate("localhost")))


def _wrong_name(world: World) -> Playing:
    return world.origin.showing(server_context(world.authority.certificate("elsewhere.test")))


def _expired(world: World) -> Playing:
    return world.origin.showing(_expired_context(world))


def _expired_once(world: World) -> Playing:
    context, good = (
        _expired_context(world),
        server_context(world.authority.certificate("localhost")),
    )
    asked = itertools.count()

    def choose(tls: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if next(asked):
            tls.context = good

    context.sni_callback = choose
    return world.origin.showing(context)


def _expired_context(world: World) -> ssl.SSLContext:
    pem = world.authority.certificate("localhost", ends=-timedelta(days=1))
    return server_context(pem)


# Connections that were fit a moment ago


def _kept() -> list[Fault]:
    return [
        *(
            Fault(f"gets a request on a kept connection, which {name}", _once(b"", end), warm=True)
            for name, end in _ENDS.items()
        ),
        Fault("answers with `Connection: close`, and closes", _once(_goodbye(), "close")),
        Fault("has closed the kept connection while it was idle", _hung_up, warm=True),
    ]


def _goodbye() -> bytes:
    return fields("200 OK", "Content-Length: 10", "Connection: close") + _BODY


def _hung_up(world: World) -> Playing:
    world.origin.hang_up()
    return nullcontext()


def _once(reply: bytes, end: str = "keep") -> Play:
    return _each((reply, end))


def _each(*replies: tuple[bytes, str]) -> Play:
    """One reply after the other, each with its end; what comes after them is answered well."""

    def play(world: World) -> Playing:
        for reply, end in replies:
            world.origin.answer(reply, end)
        return nullcontext()

    return play


def _always(reply: bytes) -> Play:
    return _each(*[(reply, "keep")] * 6)


# Replies that break off, or stand still


def _breaking() -> list[Fault]:
    return [
        Fault(f"breaks off {position}: the connection {name}", _break(part, end))
        for position, part in _POSITIONS.items()
        for name, end in _ENDS.items()
    ] + [Fault("resets after a whole reply", _once(_WHOLE, "reset"))]


def _break(part: bytes, end: str) -> Play:
    """Where a head is whole, the end waits until the caller has seen it."""
    seen = threading.Event()

    def answer(wire: Wire, _request: Seen) -> None:
        wire.send(part)
        wire.wait(seen)
        wire.end(end)

    def head_seen(connection: Connection) -> None:
        connection.until(b"\r\n\r\n")
        seen.set()

    def play(world: World) -> Playing:
        if b"\r\n\r\n" not in part:
            return _once(part, end)(world)
        seen.clear()
        world.origin.play(answer)
        return nullcontext(head_seen)

    return play


def _stalling() -> list[Fault]:
    stalls = [Fault(f"stalls {where}", _stall(part)) for where, part in _POSITIONS.items()]
    return [
        *stalls,
        Fault("sends its head byte by byte, taking longer than the timeout", _slow_head),
        Fault("sends its body byte by byte, taking longer than the timeout", _slow_body),
    ]


def _stall(part: bytes) -> Play:
    @contextmanager
    def play(world: World) -> Iterator[None]:
        with world.origin.holding(part, b"") as held:
            yield
            held.release()

    return play


def _slow_head(world: World) -> Playing:
    return _slow(world, [bytes([byte]) for byte in _WHOLE])


def _slow_body(world: World) -> Playing:
    return _slow(world, [_WHOLE[:_HEAD], *(bytes([byte]) for byte in _BODY)])


@contextmanager
def _slow(world: World, parts: list[bytes]) -> Iterator[None]:
    """Each pause is well within the read timeout, all of them together are not."""
    done = threading.Event()
    with world.origin.steps(*parts) as steps:

        def feed() -> None:
            for _ in parts:
                steps.next()
                if done.wait(READ_TIMEOUT / 5):
                    return

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


# Replies that say no


def _answering() -> list[Fault]:
    later, much_later = "Retry-After: 1", "Retry-After: 11"
    return [
        *(Fault(f"answers {code} once", _once(_status(code))) for code in (500, 502, 503, 504)),
        *(Fault(f"answers {code} each time", _always(_status(code))) for code in (502, 503, 504)),
        Fault("answers 503 once, `Retry-After: 1`", _once(_status(503, later))),
        Fault("answers 503 once, `Retry-After: 11`", _once(_status(503, much_later))),
        Fault("answers 429 once", _once(_status(429))),
        Fault("answers 429 once, `Retry-After: 1`", _once(_status(429, later))),
        Fault("answers 429 once, `Retry-After: 11`", _once(_status(429, much_later))),
        Fault("answers 503 once, then resets", _each((_status(503), "keep"), (b"", "reset"))),
        # First: that Invopop takes a key is remembered for some seconds.
        Fault("refuses every key (401)", _always(_status(401))),
        Fault("refuses the tenant's key (401), takes its other one", _once(_status(401)),
              two_keys=True),
        Fault("answers with something other than HTTP", _once(b"EHLO\r\n\r\n", "close")),
        Fault("answers with two lengths", _once(
            fields("200 OK", "Content-Length: 1", "Content-Length: 2") + b"ab")),
    ]  # fmt: skip


def _status(code: int, *more: str) -> bytes:
    return fields(f"{code} No", "Content-Length: 2", *more) + b"no"
