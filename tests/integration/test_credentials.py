"""Who is calling: a credential that is shown and wrong is 401, whatever else is known."""

import base64
import time
import unicodedata

import pytest

from tests.support.jwt import Issuer, compact, hs256, unsigned
from tests.support.world import HS_SECRET, KEY_A, TOK_A, World, request

NOW = int(time.time())
FAR = NOW + 3600


def basic(text: str) -> str:
    """Basic credentials."""
    return "Basic " + base64.b64encode(text.encode()).decode()


def denied(world: World, *fields: str | bytes, body: bytes = b"", target: str = "/x") -> None:
    """Answered 401 in constant shape; nothing goes up."""
    reply = world.exchange(request(f"POST {target}", *fields, body=body, token=None), "POST")
    assert (reply.status, reply.get("x-gateway-error")) == (401, "unauthenticated")
    assert reply.get("www-authenticate") == "Bearer"
    problem = reply.json()
    problem.pop("request_id")
    assert problem == world.constants.setdefault("denied", problem)
    assert not world.origin.requests


MALFORMED: dict[str, str | bytes] = {
    "empty": "Authorization:",
    "scheme only": "Authorization: Bearer",
    "scheme and spaces": "Authorization: Bearer  ",
    "two words": f"Authorization: Bearer {TOK_A} b",
    "comma": f"Authorization: Bearer ,{TOK_A}",
    "tab inside": f"Authorization: Bearer {TOK_A[:5]}\t{TOK_A[5:]}",
    "no scheme": f"Authorization: {TOK_A}",
    "another scheme": f"Authorization: Token {TOK_A}",
    "Digest": f'Authorization: Digest username="{TOK_A}"',
    "non-ASCII": b"Authorization: Bearer \xff\xfe",
    "unicode": "Authorization: Bearer é".encode(),
    "long": "Authorization: Bearer " + "x" * 16_000,
    "Basic without base64": f"Authorization: Basic {TOK_A}",
    "Basic without a colon": "Authorization: " + basic(TOK_A),
    "Basic, wrong token": "Authorization: " + basic("any:wrong"),
    "Basic, token as user": "Authorization: " + basic(f"{TOK_A}:"),
    "Basic, stray padding": "Authorization: " + basic(f"a:{TOK_A}") + "=",
    "Basic, url alphabet": "Authorization: Basic -_-_",
    "Basic, white space": "Authorization: Basic YTpi\tYWE=",
    "prefix": f"Authorization: Bearer {TOK_A[:-1]}",
    "suffix": f"Authorization: Bearer {TOK_A}x",
    "equal length": f"Authorization: Bearer {TOK_A[:-1]}?",
    "upper case": f"Authorization: Bearer {TOK_A.upper()}",
    "unicode twin": ("Authorization: Bearer " + TOK_A.replace("a", "\uff41", 1)).encode(),
    "hash": "Authorization: Bearer sha256:" + "0" * 64,
    "proxy, wrong": "Proxy-Authorization: Bearer wrong",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_missing_or_malformed(world: World, name: str) -> None:
    """Cases 144, 145: one answer for all of them, which tells nothing."""
    assert unicodedata.normalize("NFKC", "\uff41") == "a"
    denied(world, MALFORMED[name], "Content-Length: 0")


def test_none(world: World) -> None:
    """Case 144: without a credential, also where one stands in query or cookie."""
    denied(world)
    denied(world, f"Cookie: token={TOK_A}", f"X-Api-Key: {TOK_A}")
    denied(world, target=f"/x?access_token={TOK_A}")


def test_wrong_proxy_credential_beats_a_right_one(world: World) -> None:
    """`Proxy-Authorization` wins if both are there: no fall-through to the other."""
    denied(world, "Proxy-Authorization: Bearer wrong", f"Authorization: Bearer {TOK_A}")


FORMS = {
    "bearer": f"Authorization: bearer {TOK_A}",
    "BEARER": f"Authorization: BEARER {TOK_A}",
    "Basic": "Authorization: " + basic(f"anyone:{TOK_A}"),
    "Basic, no user": "Authorization: " + basic(f":{TOK_A}"),
    "basic, lower case": "Authorization: " + basic(f"x:{TOK_A}").replace("Basic", "basic"),
    "proxy Bearer": f"Proxy-Authorization: Bearer {TOK_A}",
    "proxy Basic": "Proxy-Authorization: " + basic(f"billing:{TOK_A}"),
}


@pytest.mark.parametrize("name", FORMS)
def test_token_in_its_forms(world: World, name: str) -> None:
    """Each form of the same credential is the same caller; none of it goes up."""
    _, seen = world.passed(request("GET /x", FORMS[name], token=None))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert TOK_A.encode() not in seen.raw


def test_proxy_credential_wins(world: World) -> None:
    """The other one is removed unread: an SDK's dummy key in Authorization does no harm."""
    line = f"Proxy-Authorization: Bearer {TOK_A}"
    _, seen = world.passed(request("GET /x", line, token="dummy"))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_lawful_jwt(world: World, algorithm: str) -> None:
    """A token of the issuer, by each algorithm on its list, is its `sub`."""
    token = world.issuer.token(world.issuer.claims("billing"), algorithm)
    _, seen = world.passed(request("GET /x", f"X-Request-Id: jwt-{algorithm}", token=token))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    record = world.gateway.exchange(f"jwt-{algorithm}")
    assert (record["caller"], record["by"]) == ("billing", "jwt")


@pytest.mark.parametrize("name", ["https://pem.internal", "https://shared.internal"])
def test_jwt_of_other_issuers(world: World, name: str) -> None:
    """A public key in a PEM file and a shared secret serve as well as a key set."""
    token = world.token_of(name, "billing")
    assert world.get("/x", token=token).status == 200


def test_jwt_in_basic(world: World) -> None:
    """A token may stand as the password."""
    token = world.issuer.token(world.issuer.claims("billing"))
    raw = request("GET /x", "Authorization: " + basic(f"jwt:{token}"), token=None)
    assert world.exchange(raw).status == 200


def forgeries(issuer: Issuer) -> dict[str, str]:
    """Case 146, 147: tokens whose header asks to be believed."""
    header = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}
    claims = issuer.claims("billing")
    pem = issuer.public_pem()
    made = {
        f"alg {alg!r}": issuer.forged({**header, "alg": alg}, claims, unsigned)
        for alg in ("none", "None", "nOnE", "", "hs256", ["RS256"], 1, None)
    }
    made |= {
        f"HS256 by {name}": issuer.forged({"alg": "HS256", "kid": "rsa-1"}, claims, hs256(key))
        for name, key in (("PEM", pem), ("PEM line", pem.strip()), ("empty", b""))
    }
    made |= {
        "no alg": issuer.forged({"kid": "rsa-1"}, claims),
        "ES256 kid with RS256": issuer.forged({**header, "kid": "ec-1"}, claims),
        "alg ES256, RSA key": issuer.forged({**header, "alg": "ES256"}, claims),
        "RS512 not on the list": issuer.token(claims, "RS512"),
        "PS256 not on the list": issuer.token(claims, "PS256"),
        "crit": issuer.token(claims, headers={"crit": ["x"], "x": 1}),
        "b64 false": issuer.token(claims, headers={"crit": ["b64"], "b64": False}),
        "duplicate alg": issuer.forged(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}', claims),
        "not signed by it": issuer.token(claims)[:-8] + "AAAAAAAA",
        "HS256 of another issuer": compact(
            b'{"alg":"HS256"}', str(claims).replace("'", '"').encode(), hs256(HS_SECRET.encode())
        ),
    }
    kids = [
        "../../dev/null",
        "/etc/passwd",
        "' OR 1=1",
        "x|cmd",
        "k" * 9000,
        1,
        "a\r\nb",
        ["rsa-1"],
    ]
    made |= {f"kid {str(kid)[:12]}": issuer.forged({**header, "kid": kid}, claims) for kid in kids}
    urls = {"jku": "https://127.0.0.1:1/jwks", "x5u": "https://127.0.0.1:1/x"}
    made |= {f"{k} alone": issuer.forged({"alg": "RS256", k: u, "kid": "evil"}, claims)
             for k, u in urls.items()}  # fmt: skip
    return made


def test_forged_headers(world: World) -> None:
    """Cases 146, 147, 150: what a token says about its own verification is not believed."""
    for name, token in forgeries(world.issuer).items():
        reply = world.get("/x", token=token)
        assert reply.status == 401, name
    assert not world.origin.requests


TIMES: dict[str, dict[str, object]] = {
    "expired": {"exp": NOW - 60},
    "no exp": {"exp": None},
    "exp text": {"exp": "9999999999"},
    "exp bool": {"exp": True},
    "exp negative": {"exp": -1},
    "exp list": {"exp": [FAR]},
    "nbf future": {"nbf": FAR},
    "nbf text": {"nbf": "0"},
    "iat future": {"iat": FAR},
    "iat text": {"iat": "0"},
    "wrong audience": {"aud": "other"},
    "no audience": {"aud": None},
    "empty audience list": {"aud": []},
    "audience prefix": {"aud": "invopop-gatewa"},
    "audience longer": {"aud": "invopop-gateway/"},
    "audience of numbers": {"aud": [1]},
    "wrong issuer": {"iss": "https://evil"},
    "issuer prefix": {"iss": "https://id.interna"},
    "issuer with a slash": {"iss": "https://id.internal/"},
    "issuer list": {"iss": ["https://id.internal"]},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "subject number": {"sub": 1},
    "subject list": {"sub": ["billing"]},
    "subject empty": {"sub": ""},
    "subject with a newline": {"sub": "billing\n"},
}


@pytest.mark.parametrize("name", TIMES)
def test_claims_that_do_not_hold(world: World, name: str) -> None:
    """Cases 148, 149: properly signed and yet not valid here or now."""
    claims = world.issuer.claims("billing", **TIMES[name])
    token = world.issuer.forged({"alg": "RS256", "kid": "rsa-1"}, claims)
    denied(world, f"Authorization: Bearer {token}")


PAYLOADS = {
    "duplicate sub": b'"sub":"ledger","sub":"billing","exp":%d',
    "duplicate exp": b'"sub":"billing","exp":1,"exp":%d',
    "NaN": b'"sub":"billing","exp":NaN,"x":%d',
    "Infinity": b'"sub":"billing","exp":Infinity,"x":%d',
    "endless exp": b'"sub":"billing","exp":' + b"9" * 5000 + b',"x":%d',
    "float overflow": b'"sub":"billing","exp":1e999,"x":%d',
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_read_in_two_ways(world: World, name: str) -> None:
    """Cases 148, 150: JSON that parsers disagree on is refused, though signed."""
    fixed = b'{"iss":"https://id.internal","aud":"invopop-gateway",' + PAYLOADS[name] % FAR + b"}"
    token = world.issuer.forged({"alg": "RS256", "kid": "rsa-1"}, fixed)
    denied(world, f"Authorization: Bearer {token}")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": FAR + 0.5},
        {"nbf": NOW + 2},
        {"iat": None},
        {"aud": ["invopop-gateway"]},
        {"aud": ["other", "invopop-gateway"]},
    ],
)
def test_claims_that_hold(world: World, changes: dict[str, object]) -> None:
    """Cases 148, 149: fractions, leeway, and an audience in a list of its own are lawful."""
    token = world.issuer.token(world.issuer.claims("billing", **changes))
    assert world.get("/x", token=token).status == 200


@pytest.mark.parametrize("subject", ["nobody", "tokens-only", "BILLING", "billing "])
def test_valid_but_not_configured(world: World, subject: str) -> None:
    """A verified identity without an entry, or one that does not list the issuer, is 403."""
    token = world.issuer.token(world.issuer.claims(subject))
    reply = world.get("/x", token=token)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "caller_unknown")
    assert not world.origin.requests
