"""Which 403s are those of Invopop's edge, and that looking at one changes nothing about it."""

import gzip
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamError
from gateway.model import Headers, Reply
from gateway.upstream.edge import is_signature, refused_by_edge

TEXT = b"error code: 1010"
PAGE = b"<!DOCTYPE html>" + b"<div></div>" * 500 + b"<h2>has banned your access based on your"


class Body:
    """A body in pieces, which may end in an error; with `whole` all of it is here at once."""

    def __init__(self, *pieces: bytes, whole: bool = False, error: bool = False) -> None:
        self.ready = b"".join(pieces) if whole else None
        self.closed = False
        self.read = 0
        self._pieces = list(pieces)
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next piece."""
        if not self._pieces:
            if self._error:
                raise UpstreamError("upstream_protocol_error", "truncated", sent=True)
            raise StopAsyncIteration
        self.read += 1
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        """Remembers it."""
        self.closed = True


async def rest(reply: Reply) -> bytes:
    """All that is left of its body."""
    return b"".join([chunk async for chunk in reply.body])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (TEXT, True),
        (b"Error code: 1010\n", True),
        (b"<title>Access denied | Error 1010</title>", True),
        (b'{"status":403,"error_code":1010,"retryable":false}', True),
        (b'{"type":"https://developers.cloudflare.com/x/error-1010/"}', True),
        (b'{"error_code": "1010"}', True),
        (b'<span>Error</span>\n<span class="cf-error-code">1010</span>', True),
        (b"error code: 10100", False),
        (b"error code: 1020", False),
        (b'{"key":"forbidden","message":"invoice 1010"}', False),
        (b"", False),
    ],
)
def test_the_signature(body: bytes, expected: bool) -> None:
    """Words, JSON or a page; no other error, and no number that stands for something else."""
    assert is_signature(body) is expected


@pytest.mark.parametrize(
    ("headers", "pieces", "whole", "expected", "read"),
    [
        ([(b"content-length", b"16")], [TEXT], True, True, 0),
        ([(b"content-length", b"16")], [TEXT[:7], TEXT[7:]], False, True, 2),
        ([(b"content-length", b"4")], [b"none"], False, False, 1),
        ([(b"content-length", b"16385")], [TEXT], False, False, 0),
        ([], [TEXT[:7], TEXT[7:]], False, True, 2),
        ([(b"content-type", b"text/html; charset=UTF-8")], [PAGE[:9], PAGE[9:]], False, True, 2),
        ([(b"content-type", b"application/problem+json")], [TEXT], False, True, 1),
        ([(b"content-type", b"application/xml")], [TEXT], False, False, 0),
        ([(b"content-type", b"text/event-stream")], [TEXT], False, False, 0),
        ([], [b"x" * 9000, b"y" * 9000, TEXT], False, False, 2),
        ([(b"content-encoding", b"gzip")], [gzip.compress(PAGE)], False, True, 1),
        ([(b"content-encoding", b"gzip")], [gzip.compress(PAGE)], True, True, 0),
        ([(b"content-encoding", b"gzip")], [b"not compressed"], False, False, 1),
        ([(b"content-length", b"x")], [TEXT], False, False, 0),
    ],
)
async def test_only_what_a_page_may_have_is_waited_for(
    headers: Headers, pieces: list[bytes], whole: bool, expected: bool, read: int
) -> None:
    """Whatever was read is passed on, and the body can be closed as before."""
    body = Body(*pieces, whole=whole)
    reply = Reply(403, headers, body)
    assert await refused_by_edge(reply) is expected
    assert body.read == read
    ready = reply.body.ready
    assert (await rest(reply) if ready is None else ready) == b"".join(pieces)
    await reply.body.aclose()
    assert body.closed


async def test_a_body_that_breaks_off_does_so_after_what_came() -> None:
    """The caller gets the head and the part, and then the cut, as without a look at it."""
    reply = Reply(403, [(b"content-length", b"16")], Body(TEXT[:7], error=True))
    assert not await refused_by_edge(reply)
    assert reply.body.ready is None
    body = aiter(reply.body)
    assert await anext(body) == TEXT[:7]
    with pytest.raises(UpstreamError):
        await anext(body)
