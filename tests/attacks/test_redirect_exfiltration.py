"""Key exfiltration by redirect: the server says "go there", and the proxy goes, with the key.

The attacker can make the upstream answer with a `Location`: an open redirect, an upload's URL, a
name of theirs. A proxy whose HTTP client follows redirects sends the next request there, and many
clients send `Authorization` along (requests, CVE-2018-18074; curl, CVE-2022-27774).

The gateway follows nothing: the redirect goes back to the caller. One that leads to the upstream
itself becomes relative, so that the caller comes back through the gateway, unless a browser or
library could read the relative form as another host.

Case 65.
"""

import pytest

from tests.support.world import World, fields, request

REDIRECTS = {
    "http://evil.test/": "http://evil.test/",
    "//evil": "//evil",
    "https://other.example/x?y": "https://other.example/x?y",
    "/relative": "/relative",
    "https://{authority}/a?b=c#d": "/a?b=c#d",
    "https://{authority}": "/",
    "https://{authority}//evil": "https://{authority}//evil",
    "https://{authority}/\\evil": "https://{authority}/\\evil",
    "http://{authority}/a": "http://{authority}/a",
    "https://{authority}.evil/a": "https://{authority}.evil/a",
    "https://u@{authority}/a": "https://u@{authority}/a",
}


@pytest.mark.parametrize("location", REDIRECTS)
@pytest.mark.parametrize("status", ["302 Found", "308 Permanent Redirect"])
def test_redirects_are_not_followed(world: World, location: str, status: str) -> None:
    """Status and Location come back; only the upstream's own origin becomes relative."""
    authority = world.origin.authority
    line = f"Location: {location.format(authority=authority)}"
    world.origin.answer(fields(status, line, "Content-Length: 0"))
    reply = world.exchange(request("POST /x", "Content-Length: 0"), "POST")
    assert reply.status == int(status[:3])
    assert reply.get("location") == REDIRECTS[location].format(authority=authority)
    assert len(world.origin.requests) == 1
