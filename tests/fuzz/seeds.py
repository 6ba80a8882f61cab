"""Where fuzzing begins: requests, replies and targets that have tricked servers before.

Case numbers are those of the conformance list. All bytes are as on the wire.
"""

from typing import Final

_GET: Final = b"GET /x HTTP/1.1\r\nHost: gw\r\n"
_POST: Final = b"POST /x HTTP/1.1\r\nHost: gw\r\n"
_CHUNKED: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 OK\r\n"


def _with(start: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return start + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


_BAD_LENGTHS: Final = (
    *(b"+5", b"-5", b"0x5", b"5_0", b"5 5", b"", b"1Z", b"\xb9", b"1, 1"),
    *(b"99999999999999999999", b"9223372036854775808", b"00000000000000000005"),
)
_BAD_CODINGS: Final = (
    *(b"xchunked", b"chunked, chunked", b"chunked, gzip", b"gzip, chunked", b"identity"),
    *(b",chunked", b"chunked;q=1", b"\x0bchunked", b"\xa0chunked", b"chunked\t", b'"chunked"'),
)
_BAD_CHUNKS: Final = (
    *(b"0x1\r\nZ\r\n0\r\n\r\n", b"+1\r\nZ\r\n0\r\n\r\n", b"1_0\r\nZ\r\n0\r\n\r\n"),
    *(b"1 \r\nZ\r\n0\r\n\r\n", b" 1\r\nZ\r\n0\r\n\r\n", b"\r\nZ\r\n0\r\n\r\n"),
    *(
        b"11111111111111111\r\nZ",
        b"1\nZ\n0\n\n",
        b"1\r\nZXX0\r\n\r\n",
        b"1\r\r;a\r\nZ\r\n0\r\n\r\n",
    ),
    *(b'1;a="\r"\r\nZ\r\n0\r\n\r\n', b"1;a\nb\r\nZ\r\n0\r\n\r\n", b"1\r\nZ\r\n0\r\nbad\r\n\r\n"),
)
_ODD: Final = (0x01, 0x08, 0x09, 0x0A, 0x0B, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF)

REQUESTS: Final[tuple[bytes, ...]] = (
    _with(_GET),
    _with(_GET) * 3,  # case 24
    _with(_GET) + b"GARBAGE\r\n\r\n",  # case 26
    b"\r\n\r\n" + _with(_GET),  # case 23
    b"GET / HTTP/1.0\r\n\r\n",  # case 104
    b"GET /b HTTP/1.0\r\n\r\n",  # case 104: a reply that only the close ends
    b"OPTIONS * HTTP/1.0\r\nHost: gw\r\n\r\n",  # found by fuzzing
    b"HEAD /x HTTP/1.1\r\nHost: gw\r\n\r\n" * 2,
    _with(_POST, b"Content-Length: 3", body=b"abc"),
    _with(_POST, b"Content-Length: 3", body=b"abc") + _with(_GET),
    _CHUNKED + b"1;a=b\r\nZ\r\n0;x\r\n\r\n" + _with(_GET),  # case 12
    _CHUNKED + b"1\r\nZ\r\n0\r\nAuthorization: Bearer EVIL\r\nHost: evil\r\n\r\n",  # case 13
    _with(b"POST /' HTTP/1.1\r\nHost: gw\r\n", b"Content-Length: 3", body=b"abc")  # by fuzzing:
    + _with(_GET),  # an early reply
    _CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" + _with(_GET),
    _with(_POST, b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),  # case 30
    _with(_POST, b"Expect: 100-continue", b"Content-Length: 3"),  # found by fuzzing
    _with(_POST, b"Expect: a-pony", b"Content-Length: 3", body=b"abc"),
    _with(_POST, b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),  # case 1
    _with(_POST, b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    _with(_POST, b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),  # case 2
    *(_with(_POST, b"Content-Length: " + value, body=b"12345") for value in _BAD_LENGTHS),
    *(_with(_POST, b"Transfer-Encoding: " + c, body=b"0\r\n\r\n") for c in _BAD_CODINGS),
    *(_CHUNKED + chunks for chunks in _BAD_CHUNKS),  # cases 10, 11, 14
    *(  # case 8
        _with(
            _POST, form % bytes([odd]), b"Content-Length: 23", body=_with(b"GET /evil HTTP/1.1\r\n")
        )
        for odd in _ODD
        for form in (
            b"Transfer-Encoding:%bchunked",
            b"Transfer-Encoding%b: chunked",
            b"%bTransfer-Encoding: chunked",
            b"X: X%bTransfer-Encoding: chunked",
        )
    ),
    _with(_POST, b"Transfer_Encoding: chunked", b"Content-Length: 3", body=b"abc"),  # case 9
    b"GET / HTTP/1.1\nHost: gw\n\n",  # case 15
    _with(_GET, b"X: y\xffz"),  # case 17
    _with(_GET, b"X: y", b" z"),  # case 18
    b"GET / HTTP/1.1\r\n\r\n",  # case 20
    _with(_GET, b"Host: other"),
    _with(b"GET / HTTP/1.1\r\n", b"Host: a/b@c"),
    b"GET /\r\n\r\n",  # case 21
    b"GET / HTTP/2.0\r\nHost: gw\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    _with(  # case 27
        _POST,
        *(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
        b"Content-Length: 3",
        body=b"abc",
    ),
    _with(
        _GET, b"Connection: close, X-Foo, Authorization", b"X-Foo: 1", b"TE: trailers"
    ),  # case 37
    _with(_GET, b"Authorization: a", b"Authorization: b"),  # case 39
    b"GET http://api.test/p HTTP/1.1\r\nHost: gw\r\n\r\n",  # case 58
    b"OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n",  # case 59
    b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: gw\r\n\r\n",  # case 68
)

REPLIES: Final[tuple[bytes, ...]] = (
    b"HTTP/1.0 200 OK\xfc*\x00\x00-Leng\r\nContent-Length: 2\r\n\r\nok",  # found by fuzzing
    _with(_OK, b"Content-Length: 2", body=b"ok"),
    _with(_OK, b"Content-Length: 2", body=b"ok") * 2,  # case 101
    _with(_OK, b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"),  # case 81
    _with(_OK, b"Transfer-Encoding: chunked", body=b"2;a=b\r\nok\r\n0\r\n\r\n"),
    _with(_OK, b"Transfer-Encoding: chunked", body=b"2\r\no"),  # case 85
    _with(_OK, body=b"to the end"),  # case 86
    b"HTTP/1.0 200 OK\r\n\r\nold",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + _with(_OK, b"Content-Length: 0"),
    b"HTTP/1.1 100 Continue\r\n\r\n" * 9,  # case 92
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # case 88
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 205 Reset Content\r\nContent-Length: 3\r\n\r\nabc",  # case 90
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",  # case 89
    *(b"HTTP/1.1 %b X\r\nContent-Length: 0\r\n\r\n" % s for s in (b"600", b"099", b"20", b"abc")),
    _with(_OK, b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),  # case 98
    *(_with(_OK, b"Content-Length: " + value, body=b"12345") for value in _BAD_LENGTHS),
    *(_with(_OK, b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n") for coding in _BAD_CODINGS),
    *(_with(_OK, b"Transfer-Encoding: chunked", body=chunks) for chunks in _BAD_CHUNKS),
    _with(  # case 47
        _OK,
        *(b"Connection: X-Hop, close", b"X-Hop: secret", b"Keep-Alive: timeout=5", b"Trailer: T"),
        *(b"Upgrade: h2c", b'Alt-Svc: h2="evil:443"', b"Content-Length: 2"),
        body=b"ok",
    ),
    _with(_OK, b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"X: y\xffz", b"Content-Length: 0"),
    _with(_OK, b"X[1]: v", b"Content-Length: 0"),  # case 51
    _with(_OK, b"X: y", b" z", b"Content-Length: 0"),
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: https://api.test//evil\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
)

TARGETS: Final[tuple[bytes, ...]] = (
    *(
        b"/",
        b"/a",
        b"/a/",
        b"/silo/v1/entries?limit=20",
        b"/a;b=1",
        b"/caf%C3%A9",
        b"/a'b",
        b"/[x]",
    ),
    *(b"/a%2Fb", b"/a%2fb", b"/a%252Fb", b"/a%20b", b"/a%3Fb", b"/a%23b", b"/%E0%A4%A", b"/a//b"),
    *(b"/v1/../admin", b"/v1/./x", b"/v1/%2e%2e/admin", b"/v1/..%2fadmin", b"/v1/%2e%2e%2fadmin"),
    *(b"/v1/..;/admin", b"/a/b/..", b"/%252e%252e/x", b"/%25%32%65/x", b"//evil.com/x", b"///evil"),
    *(b"/\\evil.com", b"/@evil.com/", b"@evil.com/", b"/%5c%5cevil", b"/%255cevil", b"http:/evil"),
    *(b"/a#frag", b"/a?x=1#@evil", b"/x?", b"/?a=%zz", b"/?a=b?c", b"/\x7f", b"/a b", b"/a?b c"),
    *(
        b"/%00",
        b"/%2500",
        b"/a%0d%0ab",
        b"/a%c2%80",
        b"/\xff",
        b"/?\xff",
        b"/%ff",
        b"*",
        b"",
        b"?x",
    ),
    *(b"http://api.test/p", b"https://api.test:443/p?q", b"http://evil.test/p", b"http://api.test"),
    *(b"http://u:p@api.test/p", b"http://api.test?x=1", b"http://api.test:99999/", b"http://"),
)
