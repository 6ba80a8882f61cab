"""A target goes up byte for byte, or is refused: it can neither be reread nor lead elsewhere."""

import pytest

from tests.support.world import World, request

PASSED = [
    b"/a%2Fb", b"/a%2fb", b"/a%20b", b"/a+b", b"/a;b=1", b"/a%3Fb", b"/a%23b", b"/caf%C3%A9",
    b"/a/", b"/", b"/a'b", b"/a,b", b"/a:b", b"/@evil.com/", b"/.evil.com", b"/:80@evil",
    b"/a!$&()*", b"/..a/b", b"/a..", b"/...", b"/a~b", b"/%41", b"/a%2Bb",
    b"/x?a=1&a=2;b=3", b"/x?a=%zz", b"/x?", b"/x?a=b?c", b"/x?x=a%26b", b"/x?x=+", b"/x?/../..//",
    b"/x?a=\"b\"&c={d}[e]|`", b"/x?" + b"&".join(b"k=%d" % i for i in range(200)),
]  # fmt: skip


@pytest.mark.parametrize("target", PASSED, ids=lambda t: t[:24].decode())
def test_byte_for_byte(world: World, target: bytes) -> None:
    """Cases 55, 62, 63: path and query are neither decoded, encoded, sorted nor tidied."""
    _, seen = world.passed(request(b"GET " + target))
    assert seen.target == target


@pytest.mark.parametrize("target", [b'/a"b', b"/[x]", b"/{x}", b"/a|b", b"/a`b", b"/a^b", b"/a<b>"])
def test_visible_ascii_outside_the_grammar(world: World, target: bytes) -> None:
    """Case 55: what the law does not name passes byte for byte, or is 400; it never changes."""
    reply = world.exchange(request(b"GET " + target))
    if reply.status == 200:
        assert world.origin.requests[0].target == target
    else:
        assert (reply.status, reply.get("x-gateway-error")) == (400, "bad_request")


REFUSED = [
    # 55: what does not decode, or decodes to what is refused
    b"/%E0%A4%A", b"/%ff", b"/%c0%ae", b"/%", b"/%4", b"/%zz", b"/a//b", b"//", b"/a//",
    # 56: dot segments in every spelling
    b"/v1/../admin", b"/v1/./x", b"/../x", b"/v1/%2e%2e/admin", b"/v1/..%2fadmin", b"/v1/.%2e/x",
    b"/v1/%2e%2e%2fadmin", b"/a/b/..", b"/a/b/.", b"/..", b"/%252e%252e/x", b"/a%252f..%252fb",
    b"/a%2f%2fb", b"/a%252f%252fb", b"/%2f", b"/a/%2f", b"/a%2f.%2fb",
    # 57: another authority in disguise
    b"//evil.com/x", b"///evil", b"/\\evil.com", b"@evil.com/", b"/%5c%5cevil", b"/%255cevil",
    b"http:/evil", b"http:///x", b"https:evil",
    # 59: other forms
    b"*", b"*/x", b"admin", b"gw:80", b"?x", b"",
    # 60: fragments
    b"/a#frag", b"/a?x=1#@evil", b"/health#/v1", b"/#",
    # controls and raw bytes
    b"/a\x00b", b"/a\x7fb", b"/a\x01", b"/a%00b", b"/a%0ab", b"/a%0d%0aX:y", b"/a%7f", b"/a%250a",
    b"/caf\xc3\xa9", b"/a\xff", b"/x?a=\xff", b"/x?a=\x01", b"/a b", b"/x?a b",
]  # fmt: skip


@pytest.mark.parametrize("target", REFUSED, ids=repr)
def test_refused(world: World, target: bytes) -> None:
    """Cases 55, 56, 57, 59, 60: 400, without a look at anything else."""
    world.refused(request(b"GET " + target), 400, close=False)


@pytest.mark.parametrize("target", [b"/v1/..;/admin", b"/a/..;x=1/b"])
def test_dots_with_a_parameter(world: World, target: bytes) -> None:
    """Case 56: `..;` is a dot segment to some servers: byte for byte or refused, never resolved."""
    reply = world.exchange(request(b"GET " + target))
    assert reply.status in {200, 400}
    assert [seen.target for seen in world.origin.requests] in ([], [target])


@pytest.mark.parametrize(
    ("form", "target"),
    [
        ("http://localhost/p?q=1", b"/p?q=1"),
        ("http://localhost:80/p", b"/p"),
        ("http://LOCALHOST/p", b"/p"),
        ("http://{authority}/p%2Fq", b"/p%2Fq"),
        ("http://localhost", b"/"),
        ("http://localhost?q", b"/?q"),
    ],
)
def test_absolute_form_for_the_upstream(world: World, form: str, target: bytes) -> None:
    """Case 58: a client that takes the gateway for its HTTP proxy is served as any other."""
    _, seen = world.passed(request(f"GET {form.format(authority=world.origin.authority)}"))
    assert (seen.target, seen.all("host")) == (target, [world.origin.authority])


def test_absolute_form_without_a_credential(world: World) -> None:
    """A proxy's client is asked for proxy credentials, in the form that it understands."""
    reply = world.exchange(request("GET http://localhost/p", token=None))
    assert (reply.status, reply.get("x-gateway-error")) == (407, "unauthenticated")
    assert reply.get("proxy-authenticate") == 'Basic realm="invopop-gateway"'


@pytest.mark.parametrize(
    "line",
    ["OPTIONS *", "CONNECT evil:443", "CONNECT /", "CONNECT localhost:443", "TRACE /x", "TRACK /x",
     "PURGE /x", "FOO /x", "get /x", "QUERY /x", "PROPFIND /x"],
)  # fmt: skip
def test_methods_that_are_not_served(world: World, line: str) -> None:
    """Cases 59, 68: 405 naming what is allowed; TRACE would echo the key."""
    reply = world.exchange(request(line))
    assert (reply.status, reply.get("x-gateway-error")) == (405, "method_not_allowed")
    assert reply.get("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert not world.origin.requests


@pytest.mark.parametrize("method", ['G=":<>(e),[T];?"', "G\x01T", "GÉT", "G" * 8192, "GET,"])
def test_methods_that_are_none(world: World, method: str) -> None:
    """Case 68: what is no token, or endless, is refused."""
    reply = world.exchange(request(f"{method} /x".encode()))
    assert reply.status in {400, 405, 431}
    assert not world.origin.requests


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_methods_that_pass(world: World, method: str) -> None:
    """Case 68: each standard method arrives as itself."""
    _, seen = world.passed(request(f"{method} /x"), method)
    assert seen.method == method
