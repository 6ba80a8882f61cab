"""An origin for loads: counts what it accepts, and fails in the way that its weather says.

Rule: a request that has come whole counts as accepted, whatever is answered, unless its key is
refused with 401; and a request whose key is another tenant's is remembered for ever.
"""

import asyncio
import json
import random
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable
from typing import Final, cast

import httptools

FINE: Final = "fine"
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
_STALL: Final = 20.0  # longer than any read timeout here
_KEY_CHECK: Final = b"/access/v1/workspace"  # what the gateway asks after a 401


class Weather:
    """What requests meet: a share of each fault; `refused_keys` get 401."""

    def __init__(self, seed: int = 1) -> None:
        self.faults: dict[str, float] = {}
        self.refused_keys: set[str] = set()
        self._random = random.Random(seed)

    def draw(self) -> str:
        """What the next request meets."""
        at = self._random.random()
        for fault, share in self.faults.items():
            at -= share
            if at < 0:
                return fault
        return FINE


class LoadOrigin:
    """Serves on `host`; `tenants` maps each key to its tenant."""

    def __init__(
        self, context: ssl.SSLContext, tenants: dict[str, str], host: str = "127.0.0.1"
    ) -> None:
        self._host = host
        self.tenants = tenants
        self.weather = Weather()
        self.accepted: Counter[str] = Counter()  # whole requests by their X-Unique
        self.posts: Counter[str] = Counter()  # the POSTs among them
        self.met: Counter[str] = Counter()  # what they met
        self.wrong_tenant: list[str] = []
        self.lines: set[_OriginLine] = set()
        self.delay = 0.0
        self._context = context
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listens, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _OriginLine(self), self._host, self.port, ssl=self._context, backlog=2048
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def away(self) -> None:
        """Connections are refused from now on, and those that are open are reset."""
        if self._server is not None:
            self._server.close()
        self.hang_up()

    async def aclose(self) -> None:
        """Away for good; the loop has let go of every socket then."""
        self.away()
        while self.lines:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        """Resets every connection."""
        for line in list(self.lines):
            line.reset()

    def judge(self, headers: dict[bytes, bytes], method: str, target: bytes) -> str:
        """Records a whole request; what it meets.

        The gateway's own question whether a key is rejected is no tenant's request.
        """
        key = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        own = (method, target) == ("GET", _KEY_CHECK) and b"x-own-tenant" not in headers
        if own and key in self.tenants:
            self.met["key checks"] += 1
            return "401" if key in self.weather.refused_keys else "fine"
        if self.tenants.get(key) != headers.get(b"x-own-tenant", b"?").decode():
            self.wrong_tenant.append(
                f"{headers.get(b'x-unique', b'?').decode()} {method} {target!r}"
            )
        if key in self.weather.refused_keys:
            self.met["401"] += 1
            return "401"
        unique = headers.get(b"x-unique", b"").decode()
        self.accepted[unique] += 1
        if method == "POST":
            self.posts[unique] += 1
        met = self.weather.draw()
        self.met[met] += 1
        return met


class _OriginLine(asyncio.Protocol):
    def __init__(self, origin: LoadOrigin) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._headers: dict[bytes, bytes] = {}
        self._size = 0
        self._begin()

    def _begin(self) -> None:
        self._headers, self._size, self._target = {}, 0, b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._origin.lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._origin.lines.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.reset()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._size += len(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        met = self._origin.judge(self._headers, method, self._target)
        document = {"id": self._headers.get(b"x-unique", b"").decode(), "size": self._size}
        body = json.dumps(document | {"list": ["0193"] * 20}).encode()
        play = _PLAYS[met]
        self._begin()
        if self._origin.delay:
            self._loop.call_later(self._origin.delay, play, self, body)
        else:
            play(self, body)

    def write(self, data: bytes) -> None:
        """Sends, unless the connection is gone by now."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Ends the connection in order."""
        self._transport.close()

    def reset(self) -> None:
        """Ends it with a TCP RST."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Does something after a while."""
        self._loop.call_later(seconds, what)


_Play = Callable[[_OriginLine, bytes], None]


def _whole(*fields: bytes, status: bytes = _OK) -> _Play:
    def play(line: _OriginLine, body: bytes) -> None:
        extra = b"".join(field + b"\r\n" for field in fields)
        line.write(b"%bContent-Length: %d\r\n%b\r\n%b" % (status, len(body), extra, body))

    return play


def _fine(line: _OriginLine, body: bytes) -> None:
    line.write(b"%bContent-Length: %d\r\n\r\n%b" % (_OK, len(body), body))


def _goodbye(line: _OriginLine, body: bytes) -> None:
    line.write(b"%bContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (_OK, len(body), body))
    line.close()


def _rude(line: _OriginLine, body: bytes) -> None:
    _fine(line, body)
    line.close()


def _part(share: float, then: Callable[[_OriginLine], None]) -> _Play:
    """So much of a reply, and then what happens."""

    def play(line: _OriginLine, body: bytes) -> None:
        whole = b"%bContent-Length: %d\r\n\r\n%b" % (_OK, len(body), body)
        line.write(whole[: int(len(whole) * share)])
        line.later(0.01, lambda: then(line))

    return play


def _stalled(line: _OriginLine) -> None:
    line.later(_STALL, line.reset)


def _drip(line: _OriginLine, body: bytes) -> None:
    line.write(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for number in range(8):
        piece = body[number::8]
        chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
        line.later(0.05 * number, lambda chunk=chunk: line.write(chunk))  # type: ignore[misc]
    line.later(0.4, lambda: line.write(b"0\r\n\r\n"))


def _status(code: int, *fields: bytes) -> _Play:
    return _whole(*fields, status=b"HTTP/1.1 %d \r\n" % code)


_PLAYS: Final[dict[str, _Play]] = {
    FINE: _fine,
    "goodbye": _goodbye,
    "rude": _rude,
    "drip": _drip,
    "reset_before_head": lambda line, _: line.reset(),
    "reset_in_head": _part(0.1, _OriginLine.reset),
    "reset_in_body": _part(0.8, _OriginLine.reset),
    "truncated": _part(0.8, _OriginLine.close),
    "stall_before_head": lambda line, _: _stalled(line),
    "stall_in_body": _part(0.8, _stalled),
    "401": _status(401),
    "500": _status(500),
    "502": _status(502),
    "503": _status(503),
    "503_later": _status(503, b"Retry-After: 1"),
    "504": _status(504),
    "429": _status(429, b"Retry-After: 1"),
}
