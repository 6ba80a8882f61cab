"""A 403 that is not Invopop's but its edge's, which refuses clients by how they look.

Cloudflare's error 1010 comes as a few words of text, as JSON or as a page. Rule: only a 403 is
looked at, and of its body only what is here already, or all of it if it says that it is short.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from gateway.errors import UpstreamError
from gateway.model import Reply, ReplyBody

EDGE_REFUSED: Final = "edge_refused"
ADVICE: Final = (
    "Invopop's edge refuses this client by its signature (403, error 1010): send a User-Agent that "
    "names your service, see whether a proxy on the way changes requests, or ask Invopop's support"
)
_SHORT: Final = 4096  # bytes of a body that is waited for; the page itself is longer
_SIGNATURE: Final = re.compile(
    rb"error(?: code:|-| )\s?1010\b|\"error_code\":\s?1010\b|banned your access based on your",
    re.IGNORECASE,
)


class ReadBody:
    """A body of which `data` was read: that is given first, then the error that it ended in."""

    __slots__ = ("_body", "_data", "_error", "ready")

    def __init__(self, body: ReplyBody, data: bytes, error: UpstreamError | None) -> None:
        self._body = body
        self._data = data
        self._error = error
        self.ready: bytes | None = data if error is None else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """What was read, as one piece."""
        data, self._data = self._data, b""
        if data:
            return data
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Gives up what is left of the body itself."""
        await self._body.aclose()


def is_signature(body: bytes) -> bool:
    """Whether the body of a 403 is the edge's refusal."""
    return _SIGNATURE.search(body) is not None


async def refused_by_edge(reply: Reply) -> bool:
    """Whether a 403 is the edge's. A short body may have to be read for it, and is kept whole."""
    body = reply.body
    if body.ready is None and _is_short(reply):
        await _read(reply)
    return reply.body.ready is not None and is_signature(reply.body.ready)


def _is_short(reply: Reply) -> bool:
    lengths = [value for name, value in reply.headers if name == b"content-length"]
    return len(lengths) == 1 and lengths[0].isdigit() and int(lengths[0]) <= _SHORT


async def _read(reply: Reply) -> None:
    body, data = reply.body, b""
    try:
        async for chunk in body:
            data += chunk
    except UpstreamError as error:
        reply.body = ReadBody(body, data, error)
    except BaseException:
        await body.aclose()
        raise
    else:
        reply.body = ReadBody(body, data, None)
