"""A TLS origin that counts what it is sent and keeps none of it, however many clients there are.

A request whose path ends in `/cancelled` is not answered.
"""

import asyncio
import contextlib
import ssl
from typing import NamedTuple

import h11

from tests.support.threaded_server import ThreadedServer

SILENT = "/cancelled"
BODY_AFTER = 0.2  # seconds from a reply's head to its body


class Counted(NamedTuple):
    """One request: whose (`X-Request-Id`), its keys, its `Host`, and the size of its body."""

    request_id: str
    keys: list[str]
    host: str
    size: int


class CountingOrigin(ThreadedServer):
    """`left` are the ids of requests without an answer whose connection the gateway has closed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context)
        self.requests: list[Counted] = []
        self.left: list[str] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        with contextlib.suppress(OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        writer.transport.abort()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request; False once there is no other."""
        size, head = 0, None
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await reader.read(1 << 18)
                if not data and head is None:
                    return False
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
        assert head is not None
        counted = self._count(head, size)
        if head.target.decode().endswith(SILENT):
            await reader.read(1)
            self.left.append(counted.request_id)
            return False
        reply = h11.Response(status_code=200, headers=[("Content-Length", "2")])
        writer.write(connection.send(reply) or b"")
        await asyncio.sleep(BODY_AFTER)  # a client that does not wait for the body has left by then
        for part in (h11.Data(data=b"{}"), h11.EndOfMessage()):
            writer.write(connection.send(part) or b"")
        return True

    def _count(self, head: h11.Request, size: int) -> Counted:
        fields = [(name.decode(), value.decode()) for name, value in head.headers]
        keys = [value for name, value in fields if name == "authorization"]
        known = dict(fields)
        counted = Counted(known["x-request-id"], keys, known["host"], size)
        self.requests.append(counted)
        return counted
