"""`http1`: what is a lawful request head, and what each unlawful one is answered."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.server.http1 import RequestHead, parse_request_head
from tests.unit.server.conftest import parse, refusal


def test_a_head_is_read_as_it_was_sent() -> None:
    """Names are lowered, values kept byte for byte, order and repeats too."""
    head = parse(
        b"X-A: 1", b"x-a:2 \t", b"X-B:", b"X-C: \xff y", line=b"GET /a%2Fb?c=%zz? HTTP/1.1"
    )
    assert head == RequestHead(
        method="GET",
        target=b"/a%2Fb?c=%zz?",
        raw_path=b"/a%2Fb",
        query=b"c=%zz?",
        version="1.1",
        headers=[
            (b"host", b"gw"),
            (b"x-a", b"1"),
            (b"x-a", b"2"),
            (b"x-b", b""),
            (b"x-c", b"\xff y"),
        ],
        content_length=0,
        keep_alive=True,
        expect_continue=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        b"GET  /x HTTP/1.1",
        b"GET /x  HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET\t/x HTTP/1.1",
        b"GET /x",
        b"GET /",
        b"GET HTTP/1.1",
        b"G(T /x HTTP/1.1",
        b'G=":<>(e),[T];?" /x HTTP/1.1',
        b"GET /x HTTP/1.01",
        b"GET /x HTTP/11.1",
        b"GET /x HTTP/4294967295.255",
        b"GET /x http/1.1",
        b"GET /x ICE/1.0",
        b"GET /a#frag HTTP/1.1",
        b"GET /a?x=1#@evil HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /a\x7f HTTP/1.1",
        b"GET /a\x00 HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GARBAGE",
        b"",
    ],
)
def test_case_21_60_68_a_broken_first_line_is_400(line: bytes) -> None:
    """Methods that are no token, spaces, fragments, raw bytes and odd versions are malformed."""
    assert refusal(line=line) == 400


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
def test_case_21_another_version_is_505(version: bytes) -> None:
    """A well-formed request of another HTTP version is told so."""
    assert refusal(line=b"GET /x HTTP/" + version) == 505


@pytest.mark.parametrize(
    "target", [b"*", b"*/x", b"admin", b"gw:80", b"@evil.com/", b"http:/evil", b"\\evil.com"]
)
def test_case_57_59_a_target_of_no_lawful_form_is_400(target: bytes) -> None:
    """Origin, absolute, authority (CONNECT only) and asterisk form (OPTIONS only): RFC 9112 3.2."""
    assert refusal(line=b"GET " + target + b" HTTP/1.1") == 400


@pytest.mark.parametrize(
    ("line", "raw_path", "query"),
    [
        (b"OPTIONS * HTTP/1.1", b"*", b""),
        (b"CONNECT evil:443 HTTP/1.1", b"evil:443", b""),
        (b"CONNECT / HTTP/1.1", b"/", b""),
        (b"GET http://evil.com/p?q=1 HTTP/1.1", b"/p", b"q=1"),
        (b"GET HTTPS://u:p@evil.com:99/p HTTP/1.1", b"/p", b""),
        (b"GET http://evil.com HTTP/1.1", b"", b""),
        (b"GET http://evil.com?x=1 HTTP/1.1", b"", b"x=1"),
        (b"GET //evil.com/x HTTP/1.1", b"//evil.com/x", b""),
        (b"GET /\\evil.com HTTP/1.1", b"/\\evil.com", b""),
        (b"GET /a? HTTP/1.1", b"/a", b""),
        (b"GET /[x]{y}|\"'` HTTP/1.1", b"/[x]{y}|\"'`", b""),
    ],
)
def test_case_55_to_59_lawful_targets_reach_the_app_untouched(
    line: bytes, raw_path: bytes, query: bytes
) -> None:
    """The app judges them; nothing is decoded, joined or normalised before."""
    head = parse(line=line)
    assert (head.raw_path, head.query) == (raw_path, query)
    assert head.target == line.split(b" ")[1]


def test_a_tunnel_is_never_kept_open() -> None:
    """What a caller sends behind its CONNECT is not taken for a request."""
    assert not parse(line=b"CONNECT evil:443 HTTP/1.1").keep_alive


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: gw\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\rX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: gw\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\n: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nb@d: c: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX\xffY: z\r\n\r\n",
    ],
)
def test_case_15_18_39_a_broken_line_is_400(head: bytes) -> None:
    """Bare LF, bare CR, folding, NUL, white space before the colon, names that are no token."""
    with pytest.raises(CallerError) as caught:
        parse_request_head(head, 128)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a/b@c",
        b"a b",
        b"\xff",
        b"{",
        b"a,b/",
        b"u@h",
        b"h:12x",
        b"h:123456",
        b"[::1",
        b"h#",
        b"%zz",
    ],
)
def test_case_20_an_invalid_host_is_400(host: bytes) -> None:
    """RFC 9112 3.2."""
    assert refusal(host=host) == 400


@pytest.mark.parametrize(
    "host", [b"gw", b"gw:80", b"gw:", b"127.0.0.1:8585", b"[::1]:80", b"a_b.c", b"a%2Db"]
)
def test_case_20_valid_hosts_pass(host: bytes) -> None:
    """Names, addresses, ports, also an empty one (RFC 3986 3.2.3)."""
    assert parse(host=host).headers == [(b"host", host)]


@pytest.mark.parametrize(
    "name",
    [b"Host", b"Authorization", b"Proxy-Authorization", b"Content-Length", b"Transfer-Encoding"],
)
def test_case_20_39_fields_that_may_come_once_only(name: bytes) -> None:
    """A second one is 400, whatever its value and case."""
    value = b": gw" if name == b"Host" else b": 1"
    assert refusal(name + value, name.upper() + value) == 400


def test_case_20_a_host_is_required_on_http_11_only() -> None:
    """HTTP/1.0 had none; where it is there, it must be valid all the same."""
    assert parse_request_head(b"GET / HTTP/1.0\r\n\r\n", 9).version == "1.0"
    for head in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\nHost: {\r\n\r\n"):
        with pytest.raises(CallerError):
            parse_request_head(head, 9)


@pytest.mark.parametrize(
    ("fields", "line", "keep_alive"),
    [
        ([], b"GET / HTTP/1.1", True),
        ([b"Connection: keep-alive"], b"GET / HTTP/1.1", True),
        ([b"Connection: close"], b"GET / HTTP/1.1", False),
        ([b"Connection: X-Foo, CLOSE"], b"GET / HTTP/1.1", False),
        ([b"Connection: keep-alive", b"CONNECTION: x-bAR , close"], b"GET / HTTP/1.1", False),
        ([b"Connection: a,close"], b"GET / HTTP/1.1", False),
        ([b"Connection: close", b"Connection: a"], b"GET / HTTP/1.1", False),
        ([b"Connection: closed, not-close"], b"GET / HTTP/1.1", True),
        ([], b"GET / HTTP/1.0", False),
        ([b"Connection: keep-alive"], b"GET / HTTP/1.0", False),
    ],
)
def test_case_38_when_a_connection_is_kept(
    fields: list[bytes], line: bytes, keep_alive: bool
) -> None:
    """All Connection fields count, in any case; HTTP/1.0 is never kept."""
    assert parse(*fields, line=line).keep_alive is keep_alive


@pytest.mark.parametrize("value", [b"a-pony", b"", b"100-continue, a-pony", b"100-continuee"])
def test_case_30_another_expectation_is_417(value: bytes) -> None:
    """Also beside the one that is known."""
    assert refusal(b"Expect: " + value, b"Content-Length: 1") == 417
    assert refusal(b"Expect: 100-continue", b"Expect: " + value) == 417
    assert refusal(b"Expect: 100-continue", b"Expect: 100-continue") == 417


@pytest.mark.parametrize(
    ("fields", "line", "expects"),
    [
        ([b"Content-Length: 1"], b"POST / HTTP/1.1", True),
        ([b"Transfer-Encoding: chunked"], b"POST / HTTP/1.1", True),
        ([], b"POST / HTTP/1.1", False),
        ([b"Content-Length: 0"], b"POST / HTTP/1.1", False),
        ([b"Content-Length: 1"], b"POST / HTTP/1.0", False),
    ],
)
def test_case_30_an_interim_reply_is_for_bodies_on_http_11(
    fields: list[bytes], line: bytes, expects: bool
) -> None:
    """RFC 9110 10.1.1, in any case of letters."""
    assert parse(b"Expect: 100-cOntInUE", *fields, line=line).expect_continue is expects


def test_case_52_one_field_too_many_is_431() -> None:
    """`max_headers` counts every line, lawful or not."""
    head = b"GET / HTTP/1.1\r\nHost: gw\r\n" + b"X: y\r\n" * 4 + b"\r\n"
    assert len(parse_request_head(head, 5).headers) == 5
    with pytest.raises(CallerError) as caught:
        parse_request_head(head, 4)
    assert caught.value.key == "headers_too_large"


TOLD = [
    (b"GARBAGE", "The request line is malformed."),
    (b"GET / HTTP/2.0", "Only HTTP/1.1 and HTTP/1.0 are supported."),
    (b"GET x HTTP/1.1\r\nHost: gw",
     "The request target must be a path, or a whole http:// or https:// URL."),
    (b"GET / HTTP/1.1", "Exactly one valid Host is required."),
    (b"GET / HTTP/1.1\r\n folded", "A header line is malformed."),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a", "Send Host at most once."),
    (b"GET / HTTP/1.1\r\nHost: gw\r\nContent-Length: +1",
     "Content-Length must be one decimal number."),
    (b"GET / HTTP/1.1\r\nHost: gw\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
     "Send no Transfer-Encoding with a Content-Length, or on HTTP/1.0."),
    (b"GET / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked;x",
     "Transfer-Encoding must be exactly chunked."),
    (b"GET / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: gzip",
     "The only supported transfer coding is chunked."),
    (b"GET / HTTP/1.1\r\nHost: gw\r\nExpect: tea",
     "The only supported expectation is one 100-continue."),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9 + b"Host: gw",
     "A request may have at most 9 header fields."),
]  # fmt: skip


@pytest.mark.parametrize(("head", "detail"), TOLD)
def test_a_caller_is_told_what_is_wrong(head: bytes, detail: str) -> None:
    """In words that hold nothing of what was sent."""
    with pytest.raises(CallerError) as caught:
        parse_request_head(head + b"\r\n\r\n", 9)
    assert caught.value.detail == detail


def test_a_hostile_line_costs_its_length_and_no_more() -> None:
    """Long runs of white space before what is refused are not read over and over."""
    head = b"GET / HTTP/1.1\r\nHost: gw\r\nX:" + b" " * 200_000 + b"y" * 200_000 + b"\x00\r\n\r\n"
    with pytest.raises(CallerError):
        parse_request_head(head, 9)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    """No input raises anything but the caller's own error."""
    for head in (junk + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: gw\r\n" + junk + b"\r\n\r\n"):
        with contextlib.suppress(CallerError):
            parse_request_head(head, 128)
