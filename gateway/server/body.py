"""Reads request bodies: sized (RFC 9112 6.2) and chunked (7.1).

Rule: pure; `decode` says what is body and what comes after it. Chunk extensions and trailers are
checked, bounded and dropped: nothing of them is passed on.
"""

import re
from typing import Final, Protocol

from gateway.errors import CallerError
from gateway.framing import TOKEN, ChunkedDecoder, ChunkRules, FramingError

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
CHUNK_RULES: Final = ChunkRules(
    re.compile(
        rb"([0-9A-Fa-f]{1,16})"
        rb"(?:;" + TOKEN + rb"++(?:=(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?)*\r\n"
    ),
    max_line=4096,
    max_trailers=8 * 1024,
)


class Body(Protocol):
    """The part of a request body that is still to come."""

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Body bytes in `data`, and what follows the body; None while it goes on.

        Raises `CallerError` bad_request on broken framing.
        """
        ...


class SizedBody:
    """A body of `length` bytes."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Body bytes in `data`, and what follows the body."""
        left = self._left = self._left - len(data)
        if left > 0:
            return data, None
        return (data, b"") if left == 0 else (data[:left], data[left:])


class ChunkedBody:
    """A chunked body, and the trailers behind it."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = ChunkedDecoder(CHUNK_RULES)

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Body bytes in `data`, and what follows the body."""
        pieces: list[bytes] = []
        try:
            rest = self._decoder.decode(data, pieces)
        except FramingError as error:
            raise CallerError("bad_request", str(error)) from None
        return b"".join(pieces), rest
