"""File hosts: the key at a host that gets none, or Invopop by a path that means a file.

The attacker has a valid token, or is a file host. With a token they spell `/.files/` in a way that
the gateway takes for a path of Invopop's and some server behind it for something else, or name
another host in it, to reach a server of theirs with the tenant's key. As a file host they redirect
a client, which knows the gateway as its base URL, to one of Invopop's paths there.

Proxies with several upstreams behind one prefix fall for both: "off by slash" in nginx's `alias`
(Orange Tsai, "Breaking Parser Logic", 2018; CWE-22), and headers meant for one upstream sent to
all. The gateway knows the prefix by its raw bytes only, refuses every other reading of it, sends to
file hosts by a path of its own that holds no key, and lets no relative redirect leave the prefix.
"""

import pytest

from tests.support.world import TOK_A, World, fields, request

SPELLINGS = (
    "/.FILES/{}/a", "/%2efiles/{}/a", "/.file%73/{}/a", "/%252efiles/{}/a", "/.files%2f{}/a",
    "/.files;v=1/{}/a", "/;/.files/{}/a", "/.files%20/{}/a", "/.files", "/%EF%BC%8Efiles/{}/a",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("form", ["", "http://localhost"])
def test_the_prefix_in_another_spelling(world: World, form: str, spelling: str) -> None:
    """400: it is sent neither to Invopop, with a key, nor to the file host, past policy."""
    target = form + spelling.format(world.files.authority)
    reply = world.exchange(request(f"GET {target}"))
    assert (reply.status, reply.get("x-gateway-error")) == (400, "bad_request")
    assert not world.origin.requests
    assert not world.files.requests


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.com", 421), ("169.254.169.254", 421), ("localhost:1", 421), ("{}.evil.com", 400),
     ("localhost.evil.com", 421),
     ("u:p@{}", 400), ("evil.com%2F{}", 421), ("evil.com;{}", 421), ("evil.com@{}", 400),
     ("", 400), ("..", 400), ("%2e%2e", 400), ("api.invopop.com", 421)],
)  # fmt: skip
def test_another_host(world: World, host: str, status: int) -> None:
    """421 or 400, and nobody is called."""
    target = f"/.files/{host.format(world.files.authority)}/a"
    assert world.exchange(request(f"GET {target}")).status == status
    assert not world.origin.requests
    assert not world.files.requests


def test_no_credential_goes_to_a_file_host(world: World) -> None:
    """Neither the key nor the caller's own, in whatever field: the gallery's invariants look."""
    lines = (f"Proxy-Authorization: Bearer {TOK_A}", f"X_Authorization: {TOK_A}", "Cookie: a=b",
             "Connection: via, host", "X-Invopop-Tenant: acme")  # fmt: skip
    reply = world.exchange(request(f"GET /.files/{world.files.authority}/a", *lines))
    assert reply.status == 200
    (seen,) = world.files.requests
    assert {name for name, _ in seen.headers} == {"host", "via"}


@pytest.mark.parametrize(
    "location",
    ["/access/v1/workspace", "../../../access/v1/workspace", "//{host}/../access/v1/workspace",
     "/%2e%2e/%2e%2e/access/v1/workspace", "http:/access/v1/workspace", "/\\access"],
)  # fmt: skip
def test_a_redirect_to_invopops_paths(world: World, location: str) -> None:
    """What a file host answers never leads a client to a path of ours outside `/.files/`."""
    host = world.files.authority
    reply = fields("302 Found", f"Location: {location.format(host=host)}", "Content-Length: 0")
    world.files.answer(reply)
    found = world.get(f"/.files/{host}/a/b").get("location") or ""
    assert found.startswith((f"/.files/{host}/", f"https://{host}")), found
    assert not found.startswith("/") or "%2e" not in found


def test_a_reply_sets_no_cookie_and_claims_nothing(world: World) -> None:
    """A file host speaks for itself alone, not for the gateway's origin."""
    lines = ("Set-Cookie: session=evil", "X-Gateway-Error: none", "Clear-Site-Data: *",
             "Strict-Transport-Security: max-age=1", "Content-Length: 0")  # fmt: skip
    world.files.answer(fields("200 OK", *lines))
    reply = world.get(f"/.files/{world.files.authority}/a")
    names = {name for name, _ in reply.headers}
    assert not names & {
        "set-cookie",
        "x-gateway-error",
        "clear-site-data",
        "strict-transport-security",
    }
