"""An origin that keeps for each request what it asked for and with which key, and fails at times.

A request for `/TENANT/…` is lawful only with a key of that tenant: `key-of-TENANT-vN`. Version 0 is
revoked: it is refused everywhere. Any other key is refused for some requests only.
"""

import asyncio
import random
import re
import ssl
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEYS = re.compile(rb"\r\nauthorization: *([^\r]*)\r\n", re.IGNORECASE)
_WHOSE = b"/access/v1/workspace"  # asked with any key, in the background
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_REVOKED = b"v0"


class RecordingOrigin:
    """A context manager. `wrong` are the requests under another tenant's key, which must not be.

    `oldest` is the lowest version of a key that a target may still be asked for with; `outdated`
    are the targets that were asked for with an older one.
    """

    def __init__(self, context: ssl.SSLContext, seed: int) -> None:
        self.seen = 0
        self.failed = 0
        self.refused = 0
        self.questions = 0
        self.tenants: set[str] = set()
        self.versions: set[str] = set()
        self.wrong: list[tuple[bytes, list[bytes]]] = []
        self.oldest: dict[bytes, int] = {}
        self.outdated: list[tuple[bytes, int]] = []
        self._context = context
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    @property
    def authority(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"localhost:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                version = self._note(head, body)
                if not await self._answer(head, version, writer):
                    return
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _note(self, head: bytes, body: bytes) -> bytes:
        """Holds the key against the tenant that the target, and the body if any, are about.

        Returns the key's version.
        """
        target = head.split(b" ", 2)[1]
        shown = _KEYS.findall(head)
        version = shown[0].rpartition(b"-")[2] if len(shown) == 1 else b""
        if target == _WHOSE:
            self.questions += 1
            return version
        self.seen += 1
        tenant = target.split(b"/")[1]
        expected = b"Bearer key-of-" + tenant + b"-v"
        if len(shown) != 1 or not shown[0].startswith(expected) or body not in (b"", target):
            self.wrong.append((target, shown))
            return version
        number = int(version[1:])
        if version != _REVOKED and number < self.oldest.get(target, 0):
            self.outdated.append((target, number))
        self.tenants.add(tenant.decode())
        self.versions.add(version.decode())
        return version

    async def _answer(self, head: bytes, version: bytes, writer: asyncio.StreamWriter) -> bool:
        """Mostly the target, as the body; else a failure, a refusal or a pause. False: the end."""
        method, target, _ = head.split(b" ", 2)
        fate = self._random.random()
        if version == _REVOKED or (target != _WHOSE and 0.07 < fate < 0.1):
            self.refused += 1
            writer.write(_REFUSED)
            return True
        if target == _WHOSE:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"id":"x"}')
            return True
        if fate < 0.01:  # broken off, so that idempotent requests are sent again
            self.failed += 1
            return False
        if fate < 0.03:
            self.failed += 1
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            return True
        if fate < 0.06:
            await asyncio.sleep(0.02)
        body = b"" if method == b"HEAD" else target
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), body))
        return not 0.06 < fate < 0.07 or await self._closed(writer)

    async def _closed(self, writer: asyncio.StreamWriter) -> bool:
        """Closes in order, though it never said so."""
        await writer.drain()
        return False
