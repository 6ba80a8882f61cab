"""The target law as tables: what goes upstream byte for byte, and what is refused."""

import contextlib
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.upstream.target import Authority, Target, check_target, resolve

UPSTREAM = Authority(b"api.invopop.com", 443)
LOCAL = Authority(b"[::1]", 8443)

LAWFUL = [
    # fidelity, case 55
    b"/",
    b"/a",
    b"/a/",
    b"/a/?",
    b"/a%2Fb",
    b"/a%2fb",
    b"/a%2F",
    b"/a%252Fb",
    b"/a%20b",
    b"/a+b",
    b"/a;b=1",
    b"/a%3Fb",
    b"/a%23b",
    b"/caf%C3%A9",
    b"/a'b\"c",
    b"/[x]",
    b"/{x}",
    b"/a|b",
    b"/@evil.com/",
    b"/.evil.com",
    b"/:80@evil",
    b"/v1.2/file.pdf",
    b"/...",
    b"/a..b",
    b"/a../b",
    b"/..a",
    b"/%25zz",
    b"/%25ff",
    # queries, case 62
    b"/x?",
    b"/x?a=1&a=2;b=3",
    b"/x?a=%zz",
    b"/x?a=b?c",
    b"/x?x=a%26b",
    b"/x?x=+",
    b"/x?a=/../b//c\\d",
    b"/x?" + b"a=1&" * 2000,
    b"/healthz?x",
]

REFUSED = [
    b"",
    b"a",
    b"*",
    b"?a",
    # empty segments, backslashes, case 55, 57
    b"//",
    b"/a//b",
    b"//evil.com/x",
    b"///evil",
    b"/a//",
    b"/\\evil.com",
    b"/%5c%5cevil",
    b"/a%5Cb",
    b"/%255cevil",
    b"/%2F",
    b"/%2Fevil",
    b"/a%2F/b",
    b"/a/%2Fb",
    b"/a%2F%2Fb",
    b"/a%252F%252Fb",
    b"/%252Fevil",
    # dot segments, case 56
    b"/v1/../admin",
    b"/v1/./x",
    b"/../x",
    b"/..",
    b"/.",
    b"/a/b/..",
    b"/a/b/.",
    b"/v1/%2e%2e/admin",
    b"/v1/%2E./admin",
    b"/v1/..%2fadmin",
    b"/v1/%2e%2e%2fadmin",
    b"/v1/%252e%252e/admin",
    b"/v1/%252e%252e%252fadmin",
    b"/v1/..%252fadmin",
    b"/a%2F..",
    b"/healthz%2f..%2fv1",
    b"/v1/..;/admin",
    b"/v1/..;a=b/admin",
    b"/v1/%2e%2e%3b/admin",
    # escapes, case 55
    b"/%E0%A4%A",
    b"/%",
    b"/%4",
    b"/%zz",
    b"/%u0041",
    b"/%E0%A4",
    b"/%ff",
    b"/%c0%ae%c0%ae/",
    b"/%ed%a0%80",
    # controls and non-ASCII
    b"/a\x00b",
    b"/a b",
    b"/a\tb",
    b"/a\x7f",
    b"/caf\xc3\xa9",
    b"/%00",
    b"/%0d%0aX:y",
    b"/%7f",
    b"/%c2%85",
    b"/%250a",
    b"/x?a b",
    b"/x?a\x00",
    b"/x?\xff",
    b"/x?a\n",
    b"/x\n",
    # fragments, case 60
    b"/a#frag",
    b"/a?x=1#@evil",
    b"/health#/v1",
    b"/#",
]


@pytest.mark.parametrize("target", LAWFUL)
def test_lawful_targets_pass_with_their_path(target: bytes) -> None:
    """Cases 55, 57, 62: the path is what stands before the first question mark."""
    assert check_target(target) == target.split(b"?")[0]


@pytest.mark.parametrize("target", REFUSED)
def test_unlawful_targets_are_refused(target: bytes) -> None:
    """Cases 55 to 57, 60: anything that two readers could read as two paths is a 400."""
    with pytest.raises(CallerError) as caught:
        check_target(target)
    assert caught.value.status == 400


def _path(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except CallerError:
        return None


ODD = [bytes((number,)) for number in b"/aZ9.?%#\\~!\x20\x7f\x80\r\n&:;=@"]


@given(st.lists(st.sampled_from(ODD), max_size=9))
def test_the_cheap_look_at_a_target_finds_what_the_patterns_find(rest: list[bytes]) -> None:
    """`resolve` sees most targets without them; what is lawful and the path stay the same."""
    target = b"/" + b"".join(rest)
    found = _path(lambda: resolve("GET", target, UPSTREAM).path)
    assert found == _path(lambda: check_target(target))


TOLD = [
    ("GET", b"/a b", "The target must be a path and query of visible ASCII characters."),
    ("GET", b"/%zz", "The path contains a % that does not start a valid escape."),
    ("GET", b"/%ff", "The escapes in the path are not valid UTF-8."),
    ("GET", b"/a%5Cb", "The path contains a backslash or a control character."),
    ("GET", b"/a//b", "The path contains an empty segment."),
    ("GET", b"/a/..", "The path contains a dot segment."),
    ("GET", b"a", "The target must begin with a slash."),
    ("GET", b"https://u@api.invopop.com/", "The target must not contain user information."),
    ("GET", b"https://a b/", "The host or port in the target is malformed."),
    (
        "GET",
        b"https://evil/",
        (
            "The target names a host or port that is not the upstream's or a file host's. "
            "The upstream is api.invopop.com: list other hosts in the client's NO_PROXY."
        ),
    ),
    ("OPTIONS", b"*", "OPTIONS * is not forwarded."),
    ("OPTIONS", b"https://api.invopop.com", "OPTIONS * is not forwarded."),
    ("TRACE", b"/", "This method is not forwarded."),
    ("G ET", b"/", "The method is malformed."),
]


@pytest.mark.parametrize(("method", "target", "detail"), TOLD)
def test_a_caller_is_told_what_is_wrong(method: str, target: bytes, detail: str) -> None:
    """In words that hold nothing of what was sent."""
    with pytest.raises(CallerError) as caught:
        resolve(method, target, UPSTREAM)
    assert caught.value.detail == detail


PIECES = st.sampled_from(
    [b"/", b".", b"..", b"a", b"%2e", b"%2F", b"%5c", b"%25", b"\\", b"%00", b"%c3%a9", b";", b"?"]
)


@given(st.lists(PIECES, max_size=8))
def test_whatever_passes_is_safe_under_every_reading(pieces: list[bytes]) -> None:
    """No lawful path holds a dot segment, an empty segment or a backslash, decoded up to twice."""
    target = b"/" + b"".join(pieces)
    try:
        path = check_target(target)
    except CallerError:
        return
    for _ in range(3):
        segments = re.split(rb"/", path)[1:]
        assert not {b".", b".."} & set(segments)
        assert b"" not in segments[:-1]
        assert not re.search(rb"[\\\x00-\x20\x7f]", path)
        path = unquote_to_bytes(path)


@given(st.binary(max_size=40))
def test_any_bytes_are_judged_without_another_error(target: bytes) -> None:
    """A target is lawful or a CallerError, never a crash."""
    with contextlib.suppress(CallerError):
        check_target(b"/" + target)


@pytest.mark.parametrize(
    ("target", "upstream", "raw"),
    [
        (b"http://api.invopop.com/a?b", UPSTREAM, b"/a?b"),
        (b"HTTP://API.Invopop.com/a", UPSTREAM, b"/a"),
        (b"http://api.invopop.com:80/a", UPSTREAM, b"/a"),
        (b"http://api.invopop.com:443/a", UPSTREAM, b"/a"),
        (b"https://api.invopop.com/a", UPSTREAM, b"/a"),
        (b"https://api.invopop.com:80/a", UPSTREAM, b"/a"),
        (b"https://[::1]/a", LOCAL, b"/a"),
        (b"http://api.invopop.com:/a", UPSTREAM, b"/a"),
        (b"http://api.invopop.com", UPSTREAM, b"/"),
        (b"http://api.invopop.com?x=1", UPSTREAM, b"/?x=1"),
        (b"http://[::1]:8443/a", LOCAL, b"/a"),
        (b"http://[::1]/a", LOCAL, b"/a"),
    ],
)
def test_forward_proxy_form_reads_as_the_plain_path(
    target: bytes, upstream: Authority, raw: bytes
) -> None:
    """Case 58: the absolute form for the upstream's own authority works as the path does."""
    resolved = resolve("GET", target, upstream)
    assert (resolved.raw, resolved.path) == (raw, raw.split(b"?")[0])
    assert resolved.proxy_form


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        # case 58
        ("GET", b"http://evil.com/p", 421),
        ("GET", b"http://gw/p", 421),
        ("GET", b"http://evil.com", 421),
        ("GET", b"http://evil.com?x=1", 421),
        ("GET", b"http://api.invopop.com.evil.com/", 421),
        ("GET", b"http://api.invopop.com:99/", 421),
        ("GET", b"https://api.invopop.com:8443/", 421),
        ("GET", b"http://api.invopop.com:08/", 421),
        ("GET", b"https://u:p@evil.com:99/p", 400),
        ("GET", b"http://u@api.invopop.com/", 400),
        ("GET", b"http://api.invopop.com:x/", 400),
        ("GET", b"http:///p", 400),
        ("GET", b"http://a b/p", 400),
        ("GET", b"http://api.invopop.com#f", 400),
        ("GET", b"http://api.invopop.com//evil", 400),
        ("GET", b"http://api.invopop.com/../x", 400),
        ("GET", b"ftp://api.invopop.com/p", 400),
        ("GET", b"http:/evil", 400),
        ("GET", b"@evil.com/", 400),
        # case 59
        ("OPTIONS", b"*", 405),
        ("OPTIONS", b"http://api.invopop.com", 405),
        ("GET", b"*", 400),
        ("GET", b"*/x", 400),
        ("GET", b"admin", 400),
        ("GET", b"gw:80", 400),
        ("CONNECT", b"evil:443", 405),
        ("CONNECT", b"/", 405),
        # case 68
        ("TRACE", b"/", 405),
        ("TRACK", b"/", 405),
        ("PURGE", b"/", 405),
        ("QUERY", b"/", 405),
        ("get", b"/", 405),
        ("x" * 8192, b"/", 405),
        ('G=":<>(e),[T];?"', b"/", 400),
        ("", b"/", 400),
    ],
)
def test_other_targets_and_methods(method: str, target: bytes, status: int) -> None:
    """Cases 58, 59, 68: what is not for this upstream never leaves."""
    with pytest.raises(CallerError) as caught:
        resolve(method, target, UPSTREAM)
    assert caught.value.status == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_standard_methods_pass(method: str) -> None:
    """Case 68: the methods of the API, and the harmless rest of the standard ones."""
    assert resolve(method, b"/x", UPSTREAM) == Target(b"/x", b"/x", False)
