"""The ways to forge, replay or confuse a JSON Web Token, as tables: `ATTACKS`, named by case.

Each makes a token for the callers of `identities`; what is not forged in it holds at `NOW`.
"""

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.identities import AUDIENCE, ISSUER, PEM, SECRET, SHARED, TOKEN
from tests.support.jwt import Issuer, b64, hs256, unsigned

NOW = int(time.time())
HEADER = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}
Forge = Callable[[Issuer], str]


def lawful(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    """Claims of `billing` that hold at `NOW`; None removes one."""
    return issuer.claims("billing", **{"iat": NOW, "exp": NOW + 300, **changes})


def signed(**header: Any) -> Forge:
    """Lawful claims, signed by RSA, under this header."""
    return lambda issuer: issuer.forged({**HEADER, **header}, lawful(issuer))


def unsigned_as(algorithm: object) -> Forge:
    """Lawful claims without a signature, under this `alg`."""
    return lambda issuer: issuer.forged({**HEADER, "alg": algorithm}, lawful(issuer), unsigned)


def with_hmac(secret: Callable[[Issuer], bytes], **header: Any) -> Forge:
    """Lawful claims, "signed" with something public."""
    return lambda issuer: issuer.forged(
        {"alg": "HS256", "kid": "rsa-1", **header}, lawful(issuer), hs256(secret(issuer))
    )


def claiming(**claims: Any) -> Forge:
    """A token really signed by the issuer, with these claims changed; None removes one."""
    return lambda issuer: issuer.token(lawful(issuer, **claims))


def written(text: str) -> Forge:
    """A token really signed by the issuer, its payload written by hand."""
    fixed = f'{{"iss":"{ISSUER}","aud":"{AUDIENCE}",' + text + "}"
    return lambda issuer: issuer.forged(HEADER, fixed.encode())


def der(issuer: Issuer) -> bytes:
    """The RSA public key as DER."""
    return issuer.rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def jwk(issuer: Issuer) -> bytes:
    """The RSA public key as a JSON Web Key."""
    return json.dumps(issuer.jwks()["keys"][0]).encode()


def own_key(**header: Any) -> Forge:
    """A token signed by the attacker's own key, which its header offers."""

    def forge(issuer: Issuer) -> str:
        key = rsa.generate_private_key(65537, 2048)
        public = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(key.public_key()))
        offered = {name: value or public for name, value in header.items()}
        return jwt.encode(lawful(issuer), key, "RS256", headers=offered)

    return forge


def swapped(issuer: Issuer) -> str:
    """Lawful parts of two tokens."""
    head, _, signature = issuer.token(lawful(issuer)).split(".")
    return ".".join([head, b64(json.dumps(lawful(issuer, sub="ledger")).encode()), signature])


def of_pem_issuer(issuer: Issuer, algorithm: str = "RS256") -> str:
    """A token of the issuer that is known by a PEM file."""
    return issuer.token(lawful(issuer, iss=PEM, tenant="acme"), algorithm)


ODD_ALGORITHMS: tuple[object, ...] = (
    "none", "None", "nOnE", "NONE", "", " none", "hs256", "rs256", "RS256 ", ["RS256"], 1, True, {},
    None,
)  # fmt: skip
CASE_146: dict[str, Forge] = {
    **{f"alg {alg!r}": unsigned_as(alg) for alg in ODD_ALGORITHMS},
    "no alg": lambda issuer: issuer.forged({"kid": "rsa-1"}, lawful(issuer)),
    "none, empty header": lambda issuer: issuer.forged({}, lawful(issuer), unsigned),
    "HS256 by PEM": with_hmac(lambda issuer: issuer.public_pem()),
    "HS256 by PEM without newline": with_hmac(lambda issuer: issuer.public_pem().strip()),
    "HS256 by DER": with_hmac(der),
    "HS256 by JWK": with_hmac(jwk),
    "HS256 by nothing": with_hmac(lambda _: b""),
    "HS256 by the other issuer's secret": with_hmac(lambda _: SECRET.encode()),
    "HS256 at the PEM issuer": lambda issuer: issuer.forged(
        {"alg": "HS256"}, lawful(issuer, iss=PEM), hs256(issuer.public_pem())),
    "HS512 at the shared issuer": lambda issuer: jwt.encode(
        lawful(issuer, iss=SHARED), SECRET * 2, "HS512"),
    "RS256 at the shared issuer": lambda issuer: issuer.token(lawful(issuer, iss=SHARED)),
    "ES256, RSA kid": lambda issuer: issuer.token(
        lawful(issuer), "ES256", {"kid": "rsa-1"}),
    "ES256 called RS256": lambda issuer: issuer.forged(
        HEADER, lawful(issuer),
        lambda data: jwt.get_algorithm_by_name("ES256").sign(data, issuer.ec)),
    "alg ES256 by RSA": signed(alg="ES256"),
    "alg ES256 by RSA, EC kid": signed(alg="ES256", kid="ec-1"),
    "alg RS256, EC kid": signed(kid="ec-1"),
    "RS512, not on the list": lambda issuer: issuer.token(lawful(issuer), "RS512"),
    "PS256, not on the list": lambda issuer: issuer.token(lawful(issuer), "PS256"),
    "PS256 called RS256": lambda issuer: issuer.forged(
        HEADER, lawful(issuer),
        lambda data: jwt.get_algorithm_by_name("PS256").sign(data, issuer.rsa)),
    "RS256 called PS256": lambda issuer: issuer.forged(
        {"alg": "PS256"}, lawful(issuer, iss=PEM)),
    "no signature": lambda issuer: issuer.token(lawful(issuer)).rpartition(".")[0] + ".",
    "broken signature": lambda issuer: issuer.token(lawful(issuer))[:-8] + "AAAAAAAA",
    "zero ECDSA signature": lambda issuer: issuer.forged(
        {"alg": "ES256", "kid": "ec-1"}, lawful(issuer), lambda _: bytes(64)),
    "other claims under the signature": swapped,
    "of another key": own_key(kid="rsa-1"),
}  # fmt: skip

CASE_147: dict[str, Forge] = {
    "jku": own_key(jku="https://127.0.0.1:1/jwks"),
    "x5u": own_key(x5u="https://127.0.0.1:1/x5u"),
    "jwk": own_key(jwk=None),
    "jwk, known kid": own_key(jwk=None, kid="rsa-1"),
    "x5c": own_key(x5c=["MIIB"]),
    "crit": signed(crit=["x"], x=1),
    "crit exp": signed(crit=["exp"], exp=NOW + 60),
    "crit empty": signed(crit=[]),
    "b64 in crit": signed(crit=["b64"], b64=False),
    "b64": signed(b64=False),
    **{f"kid {str(kid)[:16]!r}": signed(kid=kid)
       for kid in ("../../dev/null", "/etc/passwd", "' OR 1=1", "x|cmd", "k" * 7000, "", 1, None,
                   True, ["rsa-1"], {"kid": "rsa-1"}, "rsa-1\r\n", "rsa-1\0", "RSA-1", "rsa-1 ")},
    "1 MiB kid": signed(kid="k" * 2**20),
}  # fmt: skip

CASE_148: dict[str, Forge] = {
    "expired a minute ago": claiming(exp=NOW - 60),
    "expired, past leeway": claiming(exp=NOW - 5),
    "no exp": claiming(exp=None),
    "exp text": claiming(exp="9999999999"),
    "exp true": claiming(exp=True),
    "exp negative": claiming(exp=-1),
    "exp list": claiming(exp=[NOW + 60]),
    "exp null": written('"sub":"billing","exp":null'),
    "exp NaN": written('"sub":"billing","exp":NaN'),
    "exp Infinity": written('"sub":"billing","exp":Infinity'),
    "exp 1e999": written('"sub":"billing","exp":1e999'),
    "exp of 4,000 digits": written('"sub":"billing","exp":' + "9" * 4000),
    "exp of 5,000 digits": written('"sub":"billing","exp":' + "9" * 5000),
    "exp in milliseconds": claiming(exp=(NOW + 60) * 1000),
    "nbf future": claiming(nbf=NOW + 60),
    "nbf text": claiming(nbf="0"),
    "iat future": claiming(iat=NOW + 60),
    "iat text": claiming(iat="0"),
}

CASE_149: dict[str, Forge] = {
    "no aud": claiming(aud=None),
    "wrong aud": claiming(aud="other"),
    "aud right and a number": claiming(aud=[AUDIENCE, 1]),
    "aud others": claiming(aud=["other", AUDIENCE + "s"]),
    "aud prefix": claiming(aud=AUDIENCE[:-1]),
    "aud longer": claiming(aud=AUDIENCE + "/"),
    "aud empty list": claiming(aud=[]),
    "aud null": lambda issuer: issuer.forged(HEADER, {**lawful(issuer), "aud": None}),
    "aud object": claiming(aud={AUDIENCE: True}),
    "no iss": claiming(iss=None),
    "wrong iss": claiming(iss="https://evil"),
    "iss prefix": claiming(iss=ISSUER[:-1]),
    "iss with slash": claiming(iss=ISSUER + "/"),
    "iss list": lambda issuer: issuer.forged(HEADER, {**lawful(issuer), "iss": [ISSUER]}),
    "iss of another kind of key": claiming(iss=SHARED),
    "no sub": claiming(sub=None),
    "sub number": lambda issuer: issuer.forged(HEADER, {**lawful(issuer), "sub": 1}),
    "sub list": lambda issuer: issuer.forged(HEADER, {**lawful(issuer), "sub": ["billing"]}),
    "sub empty": claiming(sub=""),
    "sub newline": claiming(sub="billing\n"),
    "tenant empty": claiming(tenant=""),
    "tenant null": lambda issuer: issuer.forged(HEADER, {**lawful(issuer), "tenant": None}),
    "tenant number": claiming(tenant=1),
    "tenant list": claiming(tenant=["acme"]),
}  # fmt: skip

CASE_150: dict[str, Forge] = {
    "sub twice": written(f'"sub":"ledger","sub":"billing","exp":{NOW + 60}'),
    "exp twice": written(f'"sub":"billing","exp":1,"exp":{NOW + 60}'),
    "iss twice": written(f'"iss":"{ISSUER}","sub":"billing","exp":{NOW + 60}'),
    "twice within": written(f'"sub":"billing","exp":{NOW + 60},"x":{{"y":1,"y":2}}'),
    "twice by escape": written(f'"sub":"ledger","s\\u0075b":"billing","exp":{NOW + 60}'),
    "alg twice": lambda issuer: issuer.forged(
        b'{"alg":"none","alg":"RS256","kid":"rsa-1"}', lawful(issuer)
    ),
}

CASE_145: dict[str, Forge] = {
    "shorter": lambda _: TOKEN[:-1],
    "longer": lambda _: TOKEN + "x",
    "equal length": lambda _: TOKEN[:-1] + "x",
    "upper case": lambda _: TOKEN.upper(),
    "its own hash": lambda _: "5b1f" * 16,
    "one character": lambda _: "x",
}

OTHER: dict[str, Forge] = {
    "two parts": lambda issuer: issuer.token(lawful(issuer)).rpartition(".")[0],
    "four parts": lambda issuer: issuer.token(lawful(issuer)) + ".x",
    "encrypted": lambda issuer: "eyJhbGciOiJkaXIifQ....",
    "padded": lambda issuer: issuer.token(lawful(issuer)) + "==",
    "too large": claiming(padding="x" * 8192),
    "64 KiB": lambda _: "x" * 65536,
    "deep": written(f'"sub":"billing","exp":{NOW + 60},"x":' + "[" * 2500 + "]" * 2500),
    "payload no object": lambda issuer: issuer.forged(HEADER, b"[]"),
    "payload UTF-16": lambda issuer: issuer.forged(
        HEADER, json.dumps(lawful(issuer)).encode("utf-16")),
    "empty parts": lambda _: "..",
}  # fmt: skip

ATTACKS = {
    f"case {case}: {name}": forge
    for case, table in (
        ("145", CASE_145), ("146", CASE_146), ("147", CASE_147), ("148", CASE_148),
        ("149", CASE_149), ("150", CASE_150), ("144", OTHER),
    )
    for name, forge in table.items()
}  # fmt: skip


@contextlib.contextmanager
def made_now() -> Iterator[None]:
    """Makes the tables anew for the present moment; afterwards other tests have theirs."""
    module = sys.modules[__name__]
    before = dict(vars(module))
    importlib.reload(module)
    yield
    vars(module).update(before)
