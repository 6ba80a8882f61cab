"""JSON Web Tokens as syntax and signature (RFC 7515): the only user of PyJWT.

Rule: a key is bound to its algorithm before any token is seen; a token's `alg` chooses nothing.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.identity.credentials import unauthenticated

# Which public JSON Web Keys (RFC 7518 6, RFC 8037) an algorithm can use: `kty`, and its curves.
# HMAC is not here: a symmetric key in a key set is a published secret.
KEY_TYPES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "RS256": ("RSA", ()),
    "RS384": ("RSA", ()),
    "RS512": ("RSA", ()),
    "PS256": ("RSA", ()),
    "PS384": ("RSA", ()),
    "PS512": ("RSA", ()),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
_PUBLIC_MEMBERS: Final[tuple[str, ...]] = ("kty", "crv", "n", "e", "x", "y")
_LONGEST_KEY_ID: Final = 256
DEEPEST: Final = 32  # levels of nested objects and arrays; real claims use a few
# Extensions that change what a signature means; we support none (RFC 7515 4.1.11).
_EXTENSIONS: Final = frozenset({"crit", "b64"})


Members = Callable[[list[tuple[str, Any]]], dict[str, Any] | None]


class UnfitKey(ValueError):
    """A key that cannot be used with that algorithm; the message holds no part of the key."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and the one algorithm it verifies. Equal keys have equal `thumbprint`s."""

    algorithm: str
    thumbprint: bytes = field(repr=False)
    _implementation: Any = field(repr=False, compare=False)
    _key: Any = field(repr=False, compare=False)

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """True if `signature` over `signing_input` was made with the matching private key."""
        return bool(self._implementation.verify(signing_input, self._key, signature))


class Compact(NamedTuple):
    """A token's parts (RFC 7515 7.1), not verified yet."""

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


def parse(token: bytes) -> Compact:
    """Splits a compact JWS. Raises `CallerError("unauthenticated")` if its syntax is not strict."""
    try:
        head, payload, signature = token.split(b".")
        header, claims = read_object(_decode(head)), read_object(_decode(payload))
        signed = _decode(signature)
    except ValueError:
        raise unauthenticated("malformed_token") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not _EXTENSIONS.isdisjoint(header):
        raise unauthenticated("header_refused")
    if "kid" in header and not _is_key_id(key_id):
        raise unauthenticated("header_refused")
    return Compact(algorithm, key_id, claims, head + b"." + payload, signed)


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 without repeated members, NaN or infinities, nested at most 32 deep.

    Raises `ValueError`.
    """
    value = _read(text.decode(), _unique, int)
    _check_depth(value)
    return value


def read_document(text: bytes) -> dict[str, Any]:
    """A JSON object that an issuer publishes, in UTF-8, of which one odd part loses no other.

    A byte-order mark is ignored (RFC 8259 8.1). A member counts as absent if it is null, an object
    with repeated members, or a number of too many digits. Raises `ValueError`.
    """
    return _read(text.decode("utf-8-sig"), _present_or_none, _int_or_none)


def from_jwk(jwk: dict[str, Any], algorithm: str) -> VerifyingKey:
    """Binds a JSON Web Key to an algorithm, using its public members only. Raises `UnfitKey`."""
    kty, curves = KEY_TYPES.get(algorithm, ("", ()))
    if jwk.get("kty") != kty or (curves and jwk.get("crv") not in curves):
        raise UnfitKey("the key is of another type")
    if jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        raise UnfitKey("the key is meant for something else")
    operations = jwk.get("key_ops") or ["verify"]  # an empty list names no purpose
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnfitKey("the key is meant for something else")
    public: dict[str, Any] = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
    try:
        key = jwt.PyJWK(public, algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        raise UnfitKey("the key is broken") from None
    return bind(key, algorithm)


def bind(key: Any, algorithm: str) -> VerifyingKey:
    """Binds a public key object, or the text of an HMAC secret, to an algorithm.

    Raises `UnfitKey` for a key of another type or curve, for RSA below 2048 bits, and for an HMAC
    secret that is shorter than the hash (RFC 7518 3.2) or is the text of a public key.
    """
    try:
        implementation = jwt.get_algorithm_by_name(algorithm)
        prepared = implementation.prepare_key(key)
        weak = implementation.check_key_length(prepared)
    except (jwt.PyJWTError, NotImplementedError, ValueError, TypeError):
        raise UnfitKey("the key does not fit the algorithm") from None
    if weak:
        raise UnfitKey("the key is too short")
    if isinstance(prepared, bytes):
        material = prepared
    else:
        material = prepared.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerifyingKey(algorithm, hashlib.sha256(material).digest(), implementation, prepared)


def _decode(segment: bytes) -> bytes:
    """Base64url without padding (RFC 7515 2), in its one canonical spelling."""
    decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise ValueError("not canonical base64url")
    return decoded


def _read(text: str, made_of: Members, integer: Callable[[str], int | None]) -> dict[str, Any]:
    try:
        value = json.loads(
            text, object_pairs_hook=made_of, parse_constant=_no_constant, parse_int=integer
        )
    except RecursionError:  # how deep that is depends on the Python
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error type for broken text
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _present_or_none(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """The members that are not null; None, so that nobody uses the object, if one is repeated."""
    members = dict(pairs)
    if len(members) != len(pairs):
        return None
    return {name: value for name, value in members.items() if value is not None}


def _int_or_none(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # Python's limit on their number
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        tables = [inner for outer in level if isinstance(outer, dict) for inner in outer.values()]
        level = tables + [inner for outer in level if isinstance(outer, list) for inner in outer]
        if not level:
            return
    raise ValueError("nested too deeply")


def _is_key_id(key_id: object) -> bool:
    return isinstance(key_id, str) and 0 < len(key_id) <= _LONGEST_KEY_ID and key_id.isprintable()
