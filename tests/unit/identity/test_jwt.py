"""`jwt`: tokens as syntax, and keys bound to their algorithm."""

import base64
import json
from contextlib import suppress
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.identity.jwt import DEEPEST, UnfitKey, bind, from_jwk, parse, read_object
from tests.support.identities import refusal
from tests.support.jwt import Issuer, b64, compact

HEADER = b'{"alg":"RS256","kid":"k"}'


def token(header: bytes = HEADER, payload: bytes = b"{}", signature: bytes = b"s") -> bytes:
    """A token of these bytes."""
    return compact(header, payload, lambda _: signature).encode()


def test_parts() -> None:
    """A token's header, claims, signature, and the bytes that it signs."""
    parts = parse(token(payload=b'{"a":1}'))
    assert (parts.algorithm, parts.key_id, parts.claims) == ("RS256", "k", {"a": 1})
    assert parts.signing_input + b"." + b64(b"s").encode() == token(payload=b'{"a":1}')
    assert parts.signature == b"s"
    assert parse(token(b'{"alg":"x"}')).key_id is None


@pytest.mark.parametrize("signature", [b"", b"s", b"si", b"sig", b"\0\0\x17", b"\xff\xfe\xfd"])
def test_signatures_of_any_length(signature: bytes) -> None:
    """With any number of characters at their end, and any last character."""
    assert parse(token(signature=signature)).signature == signature


HEADERS = {
    "no alg": b"{}",
    "alg number": b'{"alg":1}',
    "alg null": b'{"alg":null}',
    "alg twice, null": b'{"alg":null,"alg":"RS256"}',
    "alg list": b'{"alg":["RS256"]}',
    "alg twice": b'{"alg":"none","alg":"RS256"}',
    "kid number": b'{"alg":"RS256","kid":1}',
    "kid null": b'{"alg":"RS256","kid":null}',
    "crit null": b'{"alg":"RS256","crit":null}',
    "kid list": b'{"alg":"RS256","kid":["k"]}',
    "kid empty": b'{"alg":"RS256","kid":""}',
    "kid CRLF": b'{"alg":"RS256","kid":"a\\r\\nb"}',
    "kid long": b'{"alg":"RS256","kid":"%s"}' % (b"k" * 257),
    "crit": b'{"alg":"RS256","crit":["x"],"x":1}',
    "crit empty": b'{"alg":"RS256","crit":[]}',
    "b64": b'{"alg":"RS256","b64":false}',
    "list": b"[]",
    "text": b'"alg"',
    "empty": b"",
    "UTF-16": '{"alg":"RS256"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"alg":"RS256"}',
    "broken UTF-8": b'{"alg":"RS256","x":"\xff"}',
    "NaN": b'{"alg":"RS256","x":NaN}',
    "infinity": b'{"alg":"RS256","x":-Infinity}',
    "long number": b'{"alg":"RS256","x":%s}' % (b"9" * 5000),
    "deep": b'{"alg":"RS256","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "rest": b'{"alg":"RS256"}{}',
}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}")])
def test_case_144_depth(opening: str, closing: str) -> None:
    """Case 144: how deep a document may be nested is said here, whatever a Python could bear."""

    def nested(depth: int) -> bytes:
        return f'{{"x":{opening * depth}1{closing * depth}}}'.encode()

    assert "x" in read_object(nested(DEEPEST - 2))
    for depth in (DEEPEST - 1, DEEPEST, 2500, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_object(nested(depth))


@pytest.mark.parametrize("name", HEADERS)
def test_headers_refused(name: str) -> None:
    """Cases 146, 147, 150: a header of another type, meaning or reading is refused."""
    error = refusal(parse, token(HEADERS[name]))
    assert error.key == "unauthenticated"
    assert error.cause in {"malformed_token", "header_refused"}


SHAPES = {
    "two parts": b".".join(token().split(b".")[:2]),
    "four parts": token() + b".x",
    "five parts": token() + b".x.y",
    "padding": token() + b"=",
    "plain alphabet": token(signature=b"\xfb\xff").replace(b"-_8", b"+/8"),
    "stray bits": token(signature=b"s")[:-1] + b"x",
    "white space": token() + b"\n",
    "foreign character": token()[:-1] + b"!" + token()[-1:],
    "one character": token() + b"aaa",
    "empty": b"..",
    "not ASCII": token() + b"\xff",
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_refused(name: str) -> None:
    """Each token has one spelling: canonical base64url in three parts."""
    assert SHAPES[name] != token()
    assert refusal(parse, SHAPES[name]).cause == "malformed_token"


@given(st.binary(max_size=60))
def test_any_bytes(text: bytes) -> None:
    """Whatever is shown, nothing but a refusal is ever raised."""
    for shown in (text, b".".join([text] * 3), token(text), token(payload=text)):
        with suppress(CallerError):
            assert parse(shown).signing_input in shown


def test_long_kid_of_foreign_letters() -> None:
    """A `kid` is any printable text of up to 256 characters."""
    assert parse(token(json.dumps({"alg": "x", "kid": "é" * 256}).encode())).key_id == "é" * 256


def test_read_object() -> None:
    """Members within members are unique too."""
    assert read_object(b'{"a":{"b":[1,2.5,true,null,"x"]}}') == {
        "a": {"b": [1, 2.5, True, None, "x"]}
    }
    with pytest.raises(ValueError, match="twice"):
        read_object(b'{"a":{"b":1,"b":1}}')


def member(issuer: Issuer, key_id: str) -> dict[str, Any]:
    """One key of the issuer's set."""
    found: dict[str, Any] = next(key for key in issuer.jwks()["keys"] if key["kid"] == key_id)
    return found


@pytest.mark.parametrize(
    ("key_id", "algorithm"), [("rsa-1", "RS256"), ("ec-1", "ES256"), ("ed-1", "EdDSA")]
)
def test_from_jwk(issuer: Issuer, key_id: str, algorithm: str) -> None:
    """A published key verifies what its other half signed, and nothing else."""
    key = from_jwk(member(issuer, key_id), algorithm)
    signing_input, _, signature = issuer.token({}, algorithm).encode().rpartition(b".")
    signed = base64.urlsafe_b64decode(signature + b"==")
    assert key.verifies(signing_input, signed)
    assert not key.verifies(signing_input + b"x", signed)
    assert not key.verifies(signing_input, signed[:-1] + bytes([signed[-1] ^ 1]))
    assert not key.verifies(signing_input, b"")
    assert not key.verifies(signing_input, signed + b"x")


def test_one_key_two_algorithms(issuer: Issuer) -> None:
    """A key without `alg` can serve several algorithms, but each binding verifies its own only."""
    public = {**member(issuer, "rsa-1"), "alg": "PS256"}
    pss = from_jwk(public, "PS256")
    signing_input, _, signature = issuer.token({}, "RS256").encode().rpartition(b".")
    assert not pss.verifies(signing_input, base64.urlsafe_b64decode(signature + b"=="))


UNFIT: dict[str, dict[str, Any]] = {
    "another type": {"kty": "EC"},
    "symmetric": {"kty": "oct", "k": "c2VjcmV0"},
    "another alg": {"alg": "RS512"},
    "encryption": {"use": "enc"},
    "signing only": {"key_ops": ["sign"]},
    "operations are no list": {"key_ops": "verify"},
    "no modulus": {"n": None},
    "modulus is a number": {"n": 5},
    "exponent 1": {"e": "AQ"},
    "short": {"n": b64(b"\xff" * 128)},
    "not base64": {"n": "é"},
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_jwk(issuer: Issuer, name: str) -> None:
    """Keys that are meant for something else, weak or broken are not used."""
    jwk = {**member(issuer, "rsa-1"), **UNFIT[name]}
    with pytest.raises(UnfitKey):
        from_jwk({name: value for name, value in jwk.items() if value is not None}, "RS256")


def test_private_jwk_is_used_as_public(issuer: Issuer) -> None:
    """A private key in a key set (a mistake) is never loaded: only its public members are."""
    to_jwk: Any = jwt.get_algorithm_by_name("EdDSA")
    key = from_jwk(json.loads(to_jwk.to_jwk(issuer.ed)), "EdDSA")
    assert key == from_jwk(member(issuer, "ed-1"), "EdDSA")


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS257", "ES256K", ""])
def test_jwk_for_other_algorithms(issuer: Issuer, algorithm: str) -> None:
    """No published key serves HMAC or an algorithm that is not in the table."""
    for key_id in ("rsa-1", "ec-1", "ed-1"):
        jwk = {k: v for k, v in member(issuer, key_id).items() if k != "alg"}
        with pytest.raises(UnfitKey):
            from_jwk(jwk, algorithm)
    with pytest.raises(UnfitKey):
        from_jwk({"kty": "oct", "k": b64(b"k" * 64)}, algorithm)


def test_bind(issuer: Issuer) -> None:
    """Keys bind to algorithms of their own type and curve only."""
    public = issuer.rsa.public_key()
    assert bind(public, "RS256").thumbprint == bind(public, "PS512").thumbprint
    assert bind(ed448.Ed448PrivateKey.generate().public_key(), "EdDSA").algorithm == "EdDSA"
    for key, algorithm in (
        (public, "ES256"),
        (public, "HS256"),
        (public, "EdDSA"),
        (public, "none"),
        (public, "RS257"),
        (issuer.ec.public_key(), "RS256"),
        (ec.generate_private_key(ec.SECP384R1()).public_key(), "ES256"),
        (rsa.generate_private_key(65537, 1024).public_key(), "RS256"),
    ):
        with pytest.raises(UnfitKey):
            bind(key, algorithm)


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_secrets(issuer: Issuer, algorithm: str, length: int) -> None:
    """An HMAC secret is at least as long as the hash, and no public key in disguise."""
    assert bind("x" * length, algorithm).algorithm == algorithm
    for secret in ("x" * (length - 1), "", issuer.public_pem().decode(), json.dumps(issuer.jwks())):
        with pytest.raises(UnfitKey):
            bind(secret, algorithm)


def test_keys_show_nothing() -> None:
    """The secret of a key is in no text of it."""
    assert repr(bind("x" * 32, "HS256")) == "VerifyingKey(algorithm='HS256')"
