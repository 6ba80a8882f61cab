"""No byte of a request leaves for an origin that has not proved who it is."""

import json
import re
import ssl
from datetime import timedelta

import pytest

from tests.support.certificates import Authority, server_context
from tests.support.gateway import eventually
from tests.support.world import World, request

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that the gateway was not told to trust."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def refused(world: World, context: ssl.SSLContext) -> None:
    """The caller gets 502, and the origin not a single byte of HTTP; afterwards all is well."""
    with world.origin.showing(context):
        reply = world.exchange(request("POST /x", "Content-Length: 3", body=b"abc"), "POST")
        assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_tls_error")
        assert not world.origin.requests
        assert not world.origin.received
    assert world.get("/after").status == 200


def test_untrusted_authority(world: World, stranger: Authority) -> None:
    """Case 137: a good certificate of the wrong CA."""
    refused(world, server_context(stranger.certificate("localhost")))


WRONG = ["example.com", "*.localhost", "localhost.evil.com", "xlocalhost", "127.0.0.1"]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_name(world: World, name: str) -> None:
    """Case 137: a trusted certificate for somebody else."""
    refused(world, server_context(world.authority.certificate(name)))


def test_common_name_only(world: World) -> None:
    """Case 137: the subject's common name is no name (RFC 9110 section 4.3.4)."""
    refused(world, server_context(world.authority.certificate(common_name="localhost")))


@pytest.mark.parametrize(("starts", "ends"), [(-2 * DAY, -DAY), (DAY, 2 * DAY)])
def test_out_of_its_time(world: World, starts: timedelta, ends: timedelta) -> None:
    """Case 137: an expired certificate, and one that is not valid yet."""
    refused(
        world, server_context(world.authority.certificate("localhost", starts=starts, ends=ends))
    )


def test_error_class_is_logged_and_counted(world: World, stranger: Authority) -> None:
    """Case 137: log and status page say that it was TLS, with whom and why; metrics the kind."""
    before = world.gateway.metric("upstream_errors_total", kind="tls")
    with world.origin.showing(server_context(stranger.certificate("localhost"))):
        world.get("/x", "X-Request-Id: distrusted")
    assert world.gateway.metric("upstream_errors_total", kind="tls") > before
    logged = world.gateway.exchange("distrusted")
    assert logged["error"] == "upstream_tls_error"
    told = r"tls: localhost:[0-9]+: unable to get local issuer certificate"
    assert re.fullmatch(told, logged["cause"])
    failures = json.loads(world.gateway.admin("/status")[1])["failures"]
    assert logged["cause"] in {one["cause"] for one in failures}


def test_old_versions(world: World) -> None:
    """Case 140: nothing below TLS 1.2 is spoken."""
    context = server_context(world.authority.certificate("localhost"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    refused(world, context)


def test_tls_1_2(world: World) -> None:
    """Case 140: TLS 1.2 still is."""
    context = server_context(world.authority.certificate("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with world.origin.showing(context):
        assert world.get("/x").status == 200


def test_name_and_protocol_offered(world: World) -> None:
    """Case 138: SNI is the upstream's host; ALPN offers http/1.1 and nothing else."""
    names: list[str | None] = []
    context = server_context(world.authority.certificate("localhost"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _connection, name, _context: names.append(name)
    with world.origin.showing(context):
        assert world.exchange(request("GET /x", host="evil.com")).status == 200
        assert world.origin.protocol() == "http/1.1"
    assert names == ["localhost"]


def test_plain_http_origin(world: World) -> None:
    """Case 137: an origin that does not speak TLS gets nothing to read."""
    with world.origin.showing(None):
        reply = world.exchange(request("POST /x", "Content-Length: 0"), "POST")
        assert reply.status == 502
        assert reply.get("x-gateway-error") in {"upstream_tls_error", "upstream_unreachable"}
        assert b"Authorization" not in world.origin.received


def test_handshake_that_stalls(quick: World) -> None:
    """Case 141: the connect deadline includes TLS; nothing was sent, so it is a 504 or 502."""
    with quick.origin.mute():
        reply = quick.get("/x", timeout=10)
        assert (reply.status, reply.get("x-gateway-error")) == (504, "upstream_timeout")
    eventually(lambda: not quick.origin.open_connections())


def test_rotated_certificate(world: World) -> None:
    """Case 143: a new leaf of the same CA is taken as it comes."""
    assert world.get("/before").status == 200
    with world.origin.showing(server_context(world.authority.certificate("localhost"))):
        assert world.get("/after").status == 200


def test_alert_within_a_body(world: World) -> None:
    """Case 140: TLS that breaks in the middle cuts the reply."""
    world.origin.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", end="garble")
    reply = world.get("/x")
    assert (reply.status, reply.complete) in {(200, False), (502, True)}
