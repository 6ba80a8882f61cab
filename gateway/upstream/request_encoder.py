"""The request encoder: a request as bytes, framed by the headers that it was given.

Rule: adds nothing, changes nothing; refuses what could be read as two requests. No I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import GatewayFault
from gateway.framing import LAST_CHUNK, chunk, joined_lines
from gateway.model import Headers, Outbound, RequestBody
from gateway.shares import Party

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class Timeouts(NamedTuple):
    """Seconds: to connect, of silence from the upstream, of its not reading, in line for a slot."""

    connect: float = 5.0
    read: float = 75.0
    write: float = 75.0
    pool: float = 5.0


@dataclass(init=False, slots=True)
class Encoded:
    """A request ready to be written. `data` is its head, with the body if that is all there.

    `stream` is the body still to come, `length` its declared size, None if it is chunked.
    `fresh`, `in_force` and `party` are those of the request.
    """

    data: bytes
    length: int | None
    stream: RequestBody | None
    to_head: bool
    fresh: bool
    timeouts: Timeouts
    in_force: Callable[[], bool] | None
    party: Party

    def __init__(  # noqa: PLR0913, PLR0917 - a generated one stays interpreted
        self, data: bytes, length: int | None, stream: RequestBody | None, to_head: bool,
        fresh: bool, timeouts: Timeouts, in_force: Callable[[], bool] | None = None,
        party: Party = ("", ""),
    ) -> None:  # fmt: skip
        self.data, self.length, self.stream = data, length, stream
        self.to_head, self.fresh, self.timeouts = to_head, fresh, timeouts
        self.in_force, self.party = in_force, party


def encode(outbound: Outbound, timeouts: Timeouts) -> Encoded:
    """A request ready to be sent, with its body if that is `ready`.

    Raises GatewayFault("internal_error") for a body that is not of its declared length.
    """
    method, body = outbound.method, outbound.body
    if outbound.lines is None:
        head, length = encode_head(method, outbound.target, outbound.headers)
    else:
        head, length = _joined(method, outbound.target, outbound.lines), outbound.length
    ready = b"" if body is None else body.ready
    if ready is not None and (ready or length != 0):
        encoder = BodyEncoder(length)
        head += encoder.piece(ready) + encoder.end()
    stream = body if ready is None else None
    return Encoded(  # by position: keywords would cost half a percent of a request
        head,
        length,
        stream,
        method == "HEAD",
        outbound.fresh,
        timeouts,
        outbound.in_force,
        outbound.party,
    )


def encode_head(method: str, target: bytes, headers: Headers) -> tuple[bytes, int | None]:
    """The request line and header section (RFC 9112 3), and the body's length (None: chunked).

    Header names are lower-case. Raises GatewayFault("internal_error") for a space or line break
    or NUL where none may be, or more than one framing: all was checked before, this is the last
    chance to notice.
    """
    data = _joined(method, target, [b": ".join(field) for field in headers])
    framing = [field for field in headers if field[0] in _FRAMING]
    return data, _length(framing) if framing else 0


def _joined(method: str, target: bytes, fields: list[bytes]) -> bytes:
    line = b"%b %b HTTP/1.1" % (method.encode("ascii"), target)
    if line.count(b" ") != 2:
        raise GatewayFault("internal_error")
    try:
        return joined_lines([line, *fields, b"", b""])
    except ValueError:
        raise GatewayFault("internal_error") from None


class BodyEncoder:
    """Frames a body piece by piece and holds it to its declared length."""

    def __init__(self, length: int | None) -> None:
        self._left = length

    def piece(self, data: bytes) -> bytes:
        """The bytes to send for the next piece. Raises GatewayFault if they are too many."""
        if self._left is None:
            return chunk(data)
        self._left -= len(data)
        if self._left < 0:
            raise GatewayFault("internal_error")
        return data

    def end(self) -> bytes:
        """What ends the body. Raises GatewayFault if there were too few bytes."""
        if self._left is None:
            return LAST_CHUNK
        if self._left:
            raise GatewayFault("internal_error")
        return b""


def _length(framing: Headers) -> int | None:
    name, value = framing[0]
    if len(framing) > 1 or (name == b"transfer-encoding" and value != b"chunked"):
        raise GatewayFault("internal_error")
    return int(value) if name == b"content-length" else None
