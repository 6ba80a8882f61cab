"""The inbound protocol: bytes go in as from a caller; all that comes out is re-read by h11.

Run for long: `python -m tests.fuzz inbound`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from gateway.asgi import Message, Receive, Scope, Send
from gateway.errors import CallerError
from gateway.events import Event
from gateway.inbound import RequestIds, read_inbound
from gateway.model import Key
from gateway.secret import Secret
from gateway.server.listener import ConnectionLimits, Listener
from gateway.server.protocol import HttpProtocol
from gateway.upstream.headers import outbound_headers
from gateway.upstream.known_headers import outbound_lines
from gateway.upstream.request_encoder import BodyEncoder, encode_head
from gateway.upstream.target import Authority
from tests.fuzz.mutations import pieces
from tests.fuzz.seeds import REQUESTS
from tests.fuzz.strict import reread_replies, reread_request

KEY: Final = Key("acme", "key", Secret("0123456789abcdef"))
UPSTREAM: Final = Authority(b"api.test", 443)
LIMITS: Final = ConnectionLimits(max_header_bytes=4096, max_headers=32)
CORPUS: Final = tuple(b"\x05" + request for request in REQUESTS)
_TURNS: Final = 12  # of the loop, in which a request that can be answered is


class Seen(NamedTuple):
    """A request as the app got it, its body to the last byte."""

    scope: Scope
    body: bytes

    @property
    def essence(self) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
        """What must not depend on how the bytes arrived."""
        scope = self.scope
        return scope["method"], scope["raw_path"], scope["headers"], self.body


class App:
    """Answers every request in one of four ways, which the last byte of its path chooses."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.seen: list[Seen] = []
        self.early = False  # a reply went out before its request was read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["method"])
        if scope["method"] == "CONNECT":  # to which a 200 would be another protocol
            await _reply(send, [b"no"], 405)
            return
        way = (scope["raw_path"] or b"/")[-1] % 4
        if way == 3:
            self.early = True
            await _reply(send, [b"early"])
        body = await _read(receive)
        self.seen.append(Seen(scope, body))
        if way == 2:
            await _reply(send, [b"one", b"", b"two"])
        elif way != 3:
            await _reply(send, [body])


class Caller(asyncio.Transport):
    """The socket's side: keeps what is written, and says when reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.ended = False
        self.paused = False

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        self.received += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    close = abort = write_eof

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50000) if name in {"peername", "sockname"} else default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever held back."""


class Outcome(NamedTuple):
    """What one connection came to: the requests seen whole, and the statuses of its replies.

    After an `early` reply it depends on the pieces which requests are still read.
    """

    seen: list[Seen]
    statuses: list[int]
    early: bool


def check(data: bytes) -> None:
    """As atheris calls it: the first byte says in which pieces the rest arrives."""
    size = (data[0] if data else 0) % 32 + 1
    with asyncio.Runner() as runner:
        runner.run(check_connection(data[1:], [size] * 64))


async def check_connection(data: bytes, sizes: Sequence[int]) -> None:
    """Raises AssertionError where a law is broken."""
    whole = await converse([data])
    cut = await converse(pieces(data, sizes))
    once, again = [s.essence for s in whole.seen], [s.essence for s in cut.seen]
    if whole.early or cut.early:  # it ends a connection on which more of the request is to come
        common = min(len(once), len(again))
        once, again = once[:common], again[:common]
    assert once == again, "it depends on pieces"
    for seen in whole.seen:
        check_passed_on(seen)


async def converse(arriving: Sequence[bytes]) -> Outcome:
    """One connection, from its first byte to the caller's leaving."""
    app, events = App(), list[Event]()
    listener = Listener(app, LIMITS, RequestIds(), events.append)
    protocol, caller = HttpProtocol(listener), Caller()
    protocol.connection_made(caller)
    for piece in arriving:
        await _until(lambda: not caller.paused)
        if caller.ended or not piece:
            break
        protocol.data_received(piece)
        await _turns()
    await _turns()
    received = caller.received
    refused = [""] if caller.ended else []  # one request at most was answered without the app
    statuses = reread_replies(received, app.begun + refused, closed=caller.ended)
    caller.ended = True
    protocol.connection_lost(None)
    await _turns()
    assert not listener.running, "a request outlives its connection"
    return Outcome(app.seen, statuses, app.early)


def check_passed_on(seen: Seen) -> None:
    """What the upstream gets is exactly this request, once, with the tenant's key and no other."""
    try:
        inbound = read_inbound(seen.scope, "an-id", UPSTREAM).inbound
    except CallerError:
        return
    headers = outbound_headers(inbound, b"api.test", KEY)
    if inbound.known is not None:
        lines = outbound_lines(inbound, inbound.known, b"api.test", KEY)
        assert lines == [b": ".join(field) for field in headers], "it depends on earlier heads"
    head, length = encode_head(inbound.method, inbound.target, headers)
    encoder = BodyEncoder(length)
    request = reread_request(head + encoder.piece(seen.body) + encoder.end())
    assert request.method == inbound.method.encode()
    assert request.target == inbound.target
    assert request.body == seen.body
    assert request.all(b"host") == [b"api.test"]
    assert request.all(b"authorization") == [b"Bearer 0123456789abcdef"]
    assert len(request.all(b"content-length") + request.all(b"transfer-encoding")) <= 1
    for name in (b"connection", b"upgrade", b"te", b"trailer", b"cookie", b"expect", b"keep-alive"):
        assert not request.all(name), name


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def _reply(send: Send, chunks: list[bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    for chunk in chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": chunks[-1], "more_body": False})


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _until(holds: Any) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("reading stays paused")
