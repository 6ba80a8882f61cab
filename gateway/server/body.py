"""Takes request bodies off the wire: sized (RFC 9112 6.2) and chunked (7.1).

Law: pure; `decode` says what is body and what comes after it. Chunk extensions and trailers are
checked, bounded and dropped: they never reach anyone.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from gateway.errors import CallerError
from gateway.server.http1 import CONTROLS, FIELD, TOKEN

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;" + TOKEN + rb"++(?:=(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?)*+\r\n"
)
# As Go's net/http/internal/chunked: one line, and the framing beyond what its data is worth.
MAX_CHUNK_LINE: Final = 4096
MAX_CHUNK_EXCESS: Final = 16 * 1024
MAX_TRAILERS: Final = 8 * 1024


class Body(Protocol):
    """What is left of a request body."""

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
        """See `Body`. Never raises."""
        left = self._left = self._left - len(data)
        if left > 0:
            return data, None
        return (data, b"") if left == 0 else (data[:left], data[left:])


class ChunkedBody:
    """A chunked body, and the trailers behind it."""

    __slots__ = ("_begun", "_excess", "_left", "_read", "_trailers")

    def __init__(self) -> None:
        self._begun = b""  # a line whose end has not come yet
        self._left = 0  # bytes of this chunk's data still to come
        self._excess = 0
        self._trailers = 0
        self._read: Callable[[bytes], bool] = self._chunk_size  # what the next line must be

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See `Body`."""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                pieces.append(data[at : at + self._left])
                at += len(pieces[-1])
                self._left -= len(pieces[-1])
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            line, at = self._begun + data[at:end], end
            if self._is_whole(line) and self._read(line):
                return b"".join(pieces), data[at:]
        return b"".join(pieces), None

    def _is_whole(self, line: bytes) -> bool:
        if len(line) > MAX_CHUNK_LINE:
            raise _broken("A chunk or trailer line is too long.")
        whole = line.endswith(b"\n")
        self._begun = b"" if whole else line
        if not whole and self._read == self._data_end and line != b"\r":
            raise _broken("A chunk does not end where its size says.")
        return whole

    def _chunk_size(self, line: bytes) -> bool:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise _broken("A chunk size is malformed.")
        size = int(match[1], 16)
        self._excess = max(self._excess + len(line) - 16 - 2 * size, 0)
        if self._excess > MAX_CHUNK_EXCESS:
            raise _broken("The chunked body is mostly framing.")
        self._left = size
        self._read = self._data_end if size else self._trailer
        return False

    def _data_end(self, line: bytes) -> bool:
        if line != b"\r\n":
            raise _broken("A chunk does not end where its size says.")
        self._read = self._chunk_size
        return False

    def _trailer(self, line: bytes) -> bool:
        """Drops a trailer field; true at the blank line behind them (RFC 9112 7.1.2)."""
        if line == b"\r\n":
            return True
        self._trailers += len(line)
        controls = len(line) - len(line.translate(None, CONTROLS))
        lawful = FIELD.match(b"\n" + line) and line.endswith(b"\r\n") and controls == 2
        if self._trailers > MAX_TRAILERS or not lawful:
            raise _broken("The trailers are malformed or too long.")
        return False


def _broken(detail: str) -> CallerError:
    return CallerError("bad_request", detail)
