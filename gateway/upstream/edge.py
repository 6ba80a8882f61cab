"""A 403 that is not Invopop's but its edge's, which refuses clients by how they look.

Cloudflare's error 1010 comes as a few words of text, as JSON or as a page. Rule: only a 403 is
looked at, and of its body no more than a page has; whoever gets the reply still gets all of it.
"""

import re
import zlib
from collections.abc import AsyncIterator
from typing import Final

from gateway.errors import UpstreamError
from gateway.model import Reply, ReplyBody

EDGE_REFUSED: Final = "edge_refused"
ADVICE: Final = (
    "Invopop's edge refuses this client by its signature (403, error 1010): send a User-Agent that "
    "names your service, see whether a proxy on the way changes requests, or ask Invopop's support"
)
_MOST: Final = 16 * 1024  # bytes of a body that are waited for; Cloudflare's page has some 5,000
_TYPES: Final = re.compile(
    rb"text/(?:html|plain)\b|application/(?:[a-z.+-]*\+)?json\b", re.IGNORECASE
)
_SIGNATURE: Final = re.compile(
    rb"error(?: code:|-| )\s?1010\b|\"error_code\":\s?\"?1010\b"
    rb"|banned your access based on your|>1010<",
    re.IGNORECASE,
)


class ReadBody:
    """A body whose beginning, `data`, was read: that is given first, then the rest, if any.

    `whole` if there is no rest; it may have ended in an error.
    """

    __slots__ = ("_body", "_data", "_error", "_whole", "ready")

    def __init__(
        self, body: ReplyBody, data: bytes, error: UpstreamError | None, *, whole: bool
    ) -> None:
        self._body = body
        self._data = data
        self._error = error
        self._whole = whole
        self.ready: bytes | None = data if whole and error is None else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """What was read, as one piece, then what comes."""
        data, self._data = self._data, b""
        if data:
            return data
        if self._error is not None:
            raise self._error
        if self._whole:
            raise StopAsyncIteration
        return await self._body.__aiter__().__anext__()

    async def aclose(self) -> None:
        """Gives up what is left of the body itself."""
        await self._body.aclose()


def is_signature(body: bytes) -> bool:
    """Whether the body of a 403 is the edge's refusal."""
    return _SIGNATURE.search(body) is not None


async def refused_by_edge(reply: Reply) -> bool:
    """Whether a 403 is the edge's. Its body may have to be read for that, and is kept."""
    fields = dict(reply.headers)
    length = fields.get(b"content-length", b"0")
    if not _TYPES.match(fields.get(b"content-type", b"text/plain")) or not length.isdigit():
        return False
    data = reply.body.ready
    if data is None and int(length) <= _MOST:
        data = await _read(reply)
    return data is not None and is_signature(_decoded(data, fields.get(b"content-encoding", b"")))


def _decoded(data: bytes, coding: bytes) -> bytes:
    """As it was before it was compressed with gzip, as far as that can be told."""
    if coding.strip().lower() != b"gzip":
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, 4 * _MOST)
    except zlib.error:
        return b""


async def _read(reply: Reply) -> bytes:
    """The body's first bytes; the reply still has all of them."""
    body, data, error, whole = reply.body, b"", None, False
    failure: BaseException | None = None
    try:
        async for chunk in body:
            data += chunk
            if len(data) > _MOST:
                break
        else:
            whole = True
    except UpstreamError as broken:
        error = broken
    except BaseException as other:  # noqa: BLE001 - raised again below
        failure = other
    if failure is not None:
        await body.aclose()
        raise failure
    reply.body = ReadBody(body, data, error, whole=whole)
    return data
