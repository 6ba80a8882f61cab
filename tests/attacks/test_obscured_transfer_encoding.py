"""Request smuggling: a `Transfer-Encoding` that only one of two servers recognises (TE.TE).

The attacker hides the coding from one of the two parsers: by a control character before the colon,
a second line, an unknown word beside it. Who does not see it takes `Content-Length`, who does takes
the chunks, and what lies between is a smuggled request.

Naive proxies search for the word "chunked" and pass the field on as it came (HAProxy with a
vertical tab, CVE-2019-18277). The gateway knows the one spelling `chunked`; another known coding is
501, all else 400, and what it took for an ordinary field frames nothing, here or upstream.

Cases 5 and 8.
"""

import pytest

from tests.support.world import World, request

LAST = b"0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"
CODINGS: dict[str, bytes] = {
    "a word that holds it": b"xchunked",
    "twice": b"chunked, chunked",
    "on two lines": b"chunked\r\nTransfer-Encoding: chunked",
    "not last": b"chunked, gzip",
    "joined": b"chunkedchunked",
    "quoted": b'"chunked"',
    "identity": b"identity",
    "identity line": b"identity\r\nTransfer-Encoding: chunked",
    "empty member": b",chunked",
    "parameter": b"chunked;q=1",
    "vertical tab": b"\x0bchunked",
    "no-break space": b"\xa0chunked",
    "high byte": b"ch\x96nked",
    "empty": b"",
}


@pytest.mark.parametrize("name", CODINGS)
def test_not_exactly_chunked(world: World, name: str) -> None:
    """Any other spelling is refused, never guessed at."""
    field = b"Transfer-Encoding: " + CODINGS[name]
    world.refused(request("POST /x", field, body=b"1\r\nZ\r\n" + LAST), 400, 501)


MUTATIONS = (
    b"Transfer-Encoding:%schunked",
    b"Transfer-Encoding%s: chunked",
    b"%sTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked%s",
    b"X: X%sTransfer-Encoding: chunked",
    b"X: X\r%sTransfer-Encoding: chunked",
    b"X: X%s\nTransfer-Encoding: chunked",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[str(i) for i in range(len(MUTATIONS))])
def test_half_hidden(world: World, mutation: bytes) -> None:
    """With any byte in its way, a body is whole as its length says, or refused: never split."""
    for byte in b"\x01\x04\x08\x09\x0a\x0b\x0c\x0d\x1f\x20\x7f\xa0\xff":
        world.origin.forget()
        field = mutation % bytes([byte])
        body = LAST + SMUGGLED
        connection = world.connect()
        connection.send(request("POST /x", field, f"Content-Length: {len(body)}", body=body))
        reply = connection.reply("POST")
        assert reply.status in {200, 400, 501}, (field, reply)
        if reply.status == 200:
            (seen,) = world.origin.requests
            assert (seen.body, seen.get("content-length")) == (body, str(len(body)))
            assert not seen.all("transfer-encoding")
        else:
            assert connection.closed()
            assert not world.origin.requests, field
