"""TLS over one TCP connection: decrypted bytes out, plain bytes in, and how it ended.

Rule: knows no HTTP. TLS runs over memory BIOs, because asyncio's own does not distinguish a
close_notify from a cut connection, which decides whether a body is whole (RFC 9112 9.8).
"""

import asyncio
import select
import socket
import ssl
from typing import Final, Protocol, cast

from gateway.flush_queue import SMALL, FlushQueue
from gateway.socket_queues import unsent

HIGH_WATER: Final = 64 * 1024  # unsent bytes above which writers wait
READ_BLOCK: Final = 64 * 1024  # the most that one read takes; uvloop would take 250 KiB at once
_RECORD: Final = 16 * 1024  # the most that one TLS record holds
_RECORD_HEADER: Final = 5  # its last two bytes are the length of what follows

Buffer = bytes | memoryview


class WireReader(Protocol):
    """What gets the bytes. `on_end` is called at least once; more calls change nothing."""

    def on_data(self, data: bytes) -> None:
        """Takes decrypted bytes."""

    def on_end(self, *, clean: bool, kind: str) -> None:
        """Nothing more will come; `clean` after a close_notify. `kind` is "closed" or "tls"."""


class Wire(asyncio.BufferedProtocol):
    """One TCP connection with TLS on it. Use: `handshake`, then set `reader`, then write."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_name: str,
        flushes: FlushQueue,
    ) -> None:
        self.reader: WireReader | None = None
        self._sock = sock
        self._flushes = flushes
        self._block = memoryview(bytearray(READ_BLOCK))
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._read = self._tls.read
        # How much of a TLS record is still to come, or the part of its header that has.
        self._due = 0
        self._begun = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        self._ended = False
        self._changed: asyncio.Future[None] | None = None
        self._paused = False

    async def handshake(self) -> None:
        """Does the TLS handshake, with verification. Raises ssl.SSLError, ConnectionResetError."""
        while not self._shake():
            if self._ended:
                raise ConnectionResetError
            await self._wait()

    def attach(self, reader: WireReader) -> None:
        """From now on `reader` gets what comes, and what came with the handshake."""
        self.reader = reader
        self._decrypt()
        if self._ended:
            reader.on_end(clean=False, kind="closed")

    def readable(self) -> bool:
        """Whether anything has come, an end or a part of a record, that the reader has not seen."""
        return bool(self._due or self._begun or self._poll.poll(0))

    def write(self, data: bytes) -> None:
        """Encrypts and sends, soon if others do, too. Never blocks: after many, await `drain`."""
        if self._transport is None or self._ended:
            return
        queued = self._outgoing.pending
        self._tls.write(data)  # a memory BIO takes all of it
        if queued + len(data) > SMALL or not (queued or self._flushes.add(self)):
            self._transport.write(self._outgoing.read())

    def flush(self) -> None:
        """Sends what `write` has held back."""
        transport = self._transport
        if self._outgoing.pending and transport is not None and not transport.is_closing():
            transport.write(self._outgoing.read())

    async def drain(self) -> None:
        """Waits until the peer has taken enough. Ends early if the connection does."""
        while self._paused and not self._ended:
            await self._wait()

    def not_taken(self) -> int:
        """How many bytes the peer has not taken yet, the kernel's among them."""
        if self._transport is None or self._transport.is_closing():
            return 0
        held = self._outgoing.pending + self._transport.get_write_buffer_size()
        return held + unsent(self._sock)

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        return self._paused and not self._ended

    def pause_reading(self) -> None:
        """Stops reading, so that the kernel's buffer fills and the peer has to wait."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Sends a close_notify and closes once all is sent: for a connection that is not in use."""
        if self._transport is None:
            return
        if self._ended or self._transport.get_write_buffer_size() > _RECORD:
            self.abort()  # the peer is gone or does not read: closing could wait for ever
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # raised because the peer's own close_notify is not there: we do not wait for it
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Closes at once, without a close_notify: the peer sees that something is incomplete."""
        if self._transport is not None:
            self.flush()
            self._transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._block

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._block[:nbytes])

    def data_received(self, data: Buffer) -> None:
        """Takes bytes as they came, encrypted; keeps none of `data` itself."""
        self._incoming.write(data)
        self._count(data)
        if self.reader is None:
            self._wake()
        else:
            self._decrypt()

    def eof_received(self) -> None:
        self._end(clean=False, kind="closed")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self.reader is not None and not self._ended:
            self._rescue()
        self._end(clean=False, kind="closed")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    def _count(self, data: Buffer) -> None:
        """Tracks where TLS records end (RFC 8446 5.1), which OpenSSL does not report."""
        data = self._begun + data if self._begun else data
        end, size = self._due, len(data)
        while end <= size - _RECORD_HEADER:
            end += _RECORD_HEADER + (data[end + 3] << 8 | data[end + 4])
        self._begun = bytes(data[end:])
        self._due = max(end - size, 0)

    def _rescue(self) -> None:
        """Reads what the peer sent before it reset the connection, as it does to refuse an upload.

        Event loops stop reading when a write fails; the kernel still has it until the socket is
        closed, which comes after this.
        """
        try:
            while data := self._sock.recv(HIGH_WATER):
                self.data_received(data)
        except OSError:
            pass  # nothing more

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.flush()  # on failure: the alert that tells the peer why
        return True

    def _decrypt(self) -> None:
        incoming, read, reader = self._incoming, self._read, self.reader
        assert reader is not None  # noqa: S101 - data_received looked
        try:
            while incoming.pending:
                data = read(_RECORD)
                if not data:  # the peer's close_notify
                    self._end(clean=True, kind="closed")
                    break
                reader.on_data(data)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLError:
            self._end(clean=False, kind="tls")
        if self._outgoing.pending:
            self.flush()

    def _end(self, *, clean: bool, kind: str) -> None:
        self._ended = True
        self._wake()
        if self.reader is not None:
            self.reader.on_end(clean=clean, kind=kind)

    async def _wait(self) -> None:
        self._changed = self._loop.create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
