"""Credential copies: the caller's own token in a place that nobody looks at.

Nobody needs to attack. A service sends its gateway token as `X-Api-Key` too, because its client
library does; or puts it into a link. The attacker reads what the API behind the proxy logs, or the
`Referer` that it hands on, and calls the gateway as that service (CWE-201, CWE-598).

Proxies replace `Authorization` and pass everything else on. The gateway leaves out every field that
holds the token that was shown, in any spelling that a server would decode (escapes, base64), and
refuses a request whose target or `Referer` holds it.

Cases 39 and 144.
"""

import base64
from urllib.parse import quote

import pytest

from tests.support.world import KEY_A, TOK_A, TOK_B, World, request

BASIC = base64.b64encode(f"billing:{TOK_A}".encode()).decode()
OTHER_BASIC = base64.b64encode(f"an-other:{TOK_A}".encode()).decode()
BASE64 = base64.b64encode(TOK_A.encode()).decode()
ESCAPED = "".join(f"%{ord(letter):02X}" for letter in TOK_A)
FIELDS = [
    f"X-Api-Key: {TOK_A}",
    f"X-Auth-Token: {TOK_A}",
    f"X-Authorization: Bearer {TOK_A}",
    f"X-Authorization: Basic {BASIC}",
    f"X-Access-Token: {TOK_A}",
    f"Api-Key: key={TOK_A}; v=1",
    f"User-Agent: sdk/1.0 ({TOK_A})",
    f"X-Original-Authorization: Bearer {TOK_A}",
    f"X-Anything: {ESCAPED}",
    f"X-Anything: {quote(ESCAPED)}",
    f'Baggage: token="{TOK_A}"',
    f"Tracestate: vendor={TOK_A}",
    f"X-Request-Id: {TOK_A}",
    f"X-{TOK_A}: 1",
    f"Cookie: session={TOK_A}",
    f"Origin: https://{TOK_A}.internal",
    f"Content-Type: text/plain; charset={TOK_A}",
    f"Content-Type: multipart/form-data; boundary={TOK_A}",
    f"X-Token: {BASE64}",
    f"X-Authorization: Basic {OTHER_BASIC}",
    f"X-Session: {OTHER_BASIC.replace('+', '-').replace('/', '_')}",
    f"X-Authorization: bEARER {TOK_A}",
    f"X-Api-Key: {TOK_A}\r\nX-Api-Key: {TOK_A}",
]
TARGETS = [
    f"/x?access_token={TOK_A}",
    f"/x?a=1&key={ESCAPED}",
    f"/x?{quote(ESCAPED)}",
    f"/{TOK_A}/x",
    f"/x/{ESCAPED}",
    f"http://api.invopop.com/x?t={TOK_A}",
    f"/x?auth={quote(OTHER_BASIC, safe='')}",
    f"/x/{quote(BASE64, safe='')}",
]


def credentials() -> list[list[str]]:
    """How the same token can be shown."""
    return [
        [f"Authorization: Bearer {TOK_A}"],
        [f"Authorization: Basic {BASIC}"],
        [f"Proxy-Authorization: Bearer {TOK_A}", "Authorization: Bearer unused"],
    ]


@pytest.mark.parametrize("shown", credentials())
@pytest.mark.parametrize("line", FIELDS)
def test_a_copy_in_a_field_goes_no_further(world: World, line: str, shown: list[str]) -> None:
    """Invopop gets the request without that field; nothing of the token is in any byte."""
    _, seen = world.passed(request("GET /x", line, *shown, "X-Kept: 1", token=None))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert seen.all("x-kept") == ["1"]
    sent = f"{seen.headers}".lower()
    assert not any(one.lower() in sent for one in (TOK_A, BASIC, OTHER_BASIC, BASE64, ESCAPED))


@pytest.mark.parametrize("shown", credentials())
@pytest.mark.parametrize("target", TARGETS)
def test_a_copy_in_the_target_is_refused(world: World, target: str, shown: list[str]) -> None:
    """400: the target goes to Invopop byte for byte, or not at all."""
    target = target.replace("api.invopop.com", world.origin.authority)
    reply = world.exchange(request(f"GET {target}", *shown, token=None))
    assert (reply.status, reply.get("x-gateway-error")) == (400, "bad_request")
    assert not world.origin.requests


def test_a_second_credential_is_a_secret_as_well(world: World) -> None:
    """`Authorization` is not read beside `Proxy-Authorization`; copies of it stay here, too."""
    shown = (f"Proxy-Authorization: Bearer {TOK_A}", f"Authorization: Bearer {TOK_B}")
    _, seen = world.passed(request("GET /x", *shown, f"X-Api-Key: {TOK_B}", token=None))
    assert not seen.all("x-api-key")
    assert world.exchange(request(f"GET /x?t={TOK_B}", *shown, token=None)).status == 400


@pytest.mark.parametrize("copy", [TOK_A, ESCAPED, BASE64])
def test_a_copy_in_the_referer_is_refused(world: World, copy: str) -> None:
    """400: a page that has the token in its address hands it to everybody it links to."""
    reply = world.exchange(request("GET /x", f"Referer: https://app.internal/?t={copy}"))
    assert (reply.status, reply.get("x-gateway-error")) == (400, "bad_request")
    assert not world.origin.requests


def test_a_jwt_is_a_credential_too(world: World) -> None:
    """Left out of fields, refused in the target."""
    token = world.issuer.token(world.issuer.claims("billing", tenant="acme"))
    _, seen = world.passed(request("GET /x", f"X-Id-Token: {token}", token=token))
    assert not seen.all("x-id-token")
    assert world.get(f"/x?id_token={token}", token=token).status == 400


def test_what_was_not_shown_is_not_ours_to_judge(world: World) -> None:
    """Another API's key in a header, and a field that only resembles the token, pass."""
    other = f"X-Api-Key: {TOK_A[:-1]}"
    _, seen = world.passed(request("GET /x", other))
    assert seen.all("x-api-key") == [TOK_A[:-1]]
