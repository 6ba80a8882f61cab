"""Session bleed: one tenant's cookie, or one tenant's answer, given to the next.

The attacker does nothing but wait. The HTTP client inside the proxy keeps cookies, or a cache, for
all requests together: a session that the server set for the first tenant is sent with the second's
request, and a reply to the first serves the second (CWE-488, CWE-524).

A shared `requests.Session` or `httpx.AsyncClient` has such a jar by default. The gateway has
neither jar nor cache; `Set-Cookie` goes back to the caller it is for, and a caller's `Cookie` goes
no further.

Cases 44 and 176.
"""

from tests.support.world import TOK_A, TOK_B, World, fields, request


def test_no_cookie_jar(world: World) -> None:
    """A cookie set for one caller is never sent for another, nor for itself."""
    world.origin.answer(fields("200 OK", "Set-Cookie: sid=SECRET; Path=/", "Content-Length: 0"))
    assert world.get("/1").get("set-cookie") == "sid=SECRET; Path=/"
    world.get("/2")
    world.get("/3", token=TOK_B)
    assert not [seen for seen in world.origin.requests if seen.all("cookie")]


def test_no_cookie_goes_up(world: World) -> None:
    """What a caller has in its own jar is no business of Invopop's."""
    _, seen = world.passed(request("GET /x", "Cookie: sid=1", "COOKIE: sid=2"))
    assert not seen.all("cookie")


def test_no_cache(world: World) -> None:
    """Two tenants that ask for the same thing get an answer each, though it says `public`."""
    answer = fields("200 OK", "Cache-Control: public, max-age=60", "Content-Length: 1")
    world.origin.answer(answer + b"A")
    world.origin.answer(answer + b"B")
    assert [world.get("/x", token=t).body for t in (TOK_A, TOK_B)] == [b"A", b"B"]
