"""The sandbox's keys and tokens: JWTs minted, read and revoked; and the signatures of envelopes."""

import secrets
import time
import uuid
from typing import Any, Final, Literal, NamedTuple

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER: Final = "https://sandbox.invopop.invalid"

# What a key may do: an API key of a workspace, or the short-lived token of an application in it.
Scope = Literal["api", "enrolled"]


class Claims(NamedTuple):
    """What a valid key says: the workspace that it opens, its scope, and its Unix end (0: none)."""

    workspace_id: str
    scope: Scope
    expires: int


def is_of_sandbox(key: str) -> bool:
    """Whether a key says that some sandbox made it. Nothing is verified."""
    try:
        claims: dict[str, Any] = jwt.decode(key, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return False
    return claims.get("iss") == ISSUER


class Signer:
    """Holds two private keys, made fresh: its API keys open no other sandbox, and no Invopop."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._signature_key = ec.generate_private_key(ec.SECP256R1())
        self._revoked: set[str] = set()

    def mint(self, workspace_id: str, lifetime: float | None = None, scope: Scope = "api") -> str:
        """A fresh key of that workspace; `lifetime` in seconds, below zero for a stale one.

        Without a lifetime it never expires: Invopop's own keys then say `exp: 0`.
        """
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": workspace_id,
            "iat": int(now),
            "exp": 0 if lifetime is None else int(now + lifetime),
            "jti": str(uuid.uuid4()),
            "scope": scope,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, key: str) -> Claims | None:
        """What a key says, or None for one that is not, or no longer, valid."""
        options = {"require": ["iss", "sub", "iat", "exp", "jti", "scope"], "verify_exp": False}
        try:
            claims = jwt.decode(
                key,
                self._secret,
                algorithms=["HS256"],
                issuer=ISSUER,
                options=options,  # type: ignore[arg-type]
            )
        except jwt.InvalidTokenError:
            return None
        if claims["jti"] in self._revoked or (claims["exp"] and claims["exp"] <= time.time()):
            return None
        return Claims(str(claims["sub"]), claims["scope"], int(claims["exp"]))

    def revoke(self, key: str) -> None:
        """Revokes a key of this sandbox at once. Raises ValueError for any other."""
        if self.read(key) is None:
            raise ValueError("not a valid key of this sandbox")
        self._revoked.add(jwt.decode(key, options={"verify_signature": False})["jti"])

    def signature(self, head: dict[str, Any]) -> str:
        """A JSON Web Signature (RFC 7515, ES256) of an envelope's head."""
        payload = orjson.dumps(head, option=orjson.OPT_SORT_KEYS)
        return jwt.api_jws.encode(payload, self._signature_key, algorithm="ES256")
