"""The reply parser, held against h11, and what the caller is then sent, re-read by h11.

Run for long: `python -m tests.fuzz reply`.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.errors import UpstreamError
from gateway.model import Headers, Key
from gateway.secret import Secret
from gateway.server.http1 import parse_request_head
from gateway.server.reply import frame_reply
from gateway.upstream.reply_headers import reply_headers
from gateway.upstream.reply_parser import ReplyParser
from tests.fuzz.mutations import pieces
from tests.fuzz.seeds import REPLIES
from tests.fuzz.strict import Reread, reread_reply

CORPUS: Final = tuple(b"G\x07" + reply for reply in REPLIES)
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1")
KEY: Final = Key("acme", "key", Secret("0123456789abcdef"))


class Outcome(NamedTuple):
    """What came of some bytes. `error` is the refusal's kind, and then nothing else counts."""

    error: str
    status: int = 0
    headers: Headers = []  # noqa: RUF012 - never changed
    body: bytes = b""
    complete: bool = False
    reusable: bool = False


def check(data: bytes) -> None:
    """As atheris calls it: the first two bytes say how the rest arrives, and to which method."""
    to_head, size = bool(data[:1] == b"H"), (data[1] if len(data) > 1 else 0) % 32 + 1
    check_reply(data[2:], [size] * 64, to_head=to_head)


def check_reply(data: bytes, sizes: Sequence[int], *, to_head: bool) -> None:
    """Raises AssertionError where a law is broken."""
    whole = parse([data], to_head=to_head)
    cut = parse(pieces(data, sizes), to_head=to_head)
    assert whole == cut, f"it depends on how the bytes arrive: {whole} {cut}"
    if whole.error or not whole.status:
        return
    theirs = reread_reply(data, "HEAD" if to_head else "GET", closed=True)
    if theirs is not None or not _INTERIM.match(data):  # h11 judges fields of theirs that we drop
        _agree(whole, theirs)
    if whole.complete:
        _check_passed_on(whole, to_head=to_head)


def parse(arriving: Sequence[bytes], *, to_head: bool) -> Outcome:
    """What the parser makes of bytes and then an orderly end; bytes beyond the reply included."""
    parser = ReplyParser(to_head=to_head)
    reusable = False
    try:
        for piece in arriving:
            if piece:
                parser.feed(piece)
        reusable = parser.complete and parser.keep_alive
        if not parser.complete:
            parser.end(clean=True)
    except UpstreamError as error:
        return Outcome(error.kind)
    return Outcome("", parser.status, parser.headers, parser.take(), parser.complete, reusable)


def _agree(ours: Outcome, theirs: Reread | None) -> None:
    """A reply that we take whole, h11 takes too, and finds the same in it."""
    assert theirs is not None, f"h11 refuses what we take: {ours}"
    assert (ours.status, ours.body) == (theirs.status, theirs.body), (ours, theirs)
    if theirs.refused and (b"transfer-encoding", b"chunked") in ours.headers:
        return  # h11 reads into trailers what we only check for their form, and drop
    assert ours.complete == theirs.complete, (ours, theirs)
    if ours.reusable:
        assert theirs.left_over == b"", f"reused with bytes left over: {theirs}"
        assert theirs.reusable, f"h11 would not reuse this connection: {ours}"


def _check_passed_on(reply: Outcome, *, to_head: bool) -> None:
    """The caller's copy is one lawful reply with the same status and body, and no key in it."""
    method = b"HEAD" if to_head else b"GET"
    request = parse_request_head(method + b" / HTTP/1.1\r\nHost: gw\r\n\r\n", 10)
    headers, _ = reply_headers(reply.headers, KEY, b"api.test", "an-id")
    body = b"" if reply.status in {204, 205} else reply.body
    if reply.status in {204, 205}:
        headers = [field for field in headers if field[0] != b"content-length"]
    head = frame_reply(reply.status, headers, request, len(body))
    sent = head.block + b"date: Sun, 22 Nov 2026 12:00:00 GMT\r\n\r\n"
    if to_head or reply.status in {204, 205, 304}:
        body = b""
    sent += body
    theirs = reread_reply(sent, method.decode(), closed=False)
    assert theirs is not None, f"h11 refuses what the caller gets: {sent!r}"
    assert (theirs.status, theirs.complete) == (reply.status, True), (sent, theirs)
    assert theirs.body == body, (sent, theirs)
    assert theirs.left_over == b"", sent
    assert KEY.secret.reveal().encode() not in sent
