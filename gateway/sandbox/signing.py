"""The sandbox's keys: JWTs of a workspace, minted, verified and revoked; and GOBL signatures."""

import secrets
import time
import uuid
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER: Final = "https://sandbox.invopop.invalid"
LIFETIME: Final = 30 * 86400.0


class Signer:
    """Holds two private keys, made fresh: its API keys open no other sandbox, and no Invopop."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._signature_key = ec.generate_private_key(ec.SECP256R1())
        self._revoked: set[str] = set()

    def mint(self, workspace_id: str, lifetime: float = LIFETIME) -> str:
        """A fresh API key of that workspace; `lifetime` in seconds, below zero for a stale one."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": workspace_id,
            "iat": int(now),
            "exp": int(now + lifetime),
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def workspace_id(self, key: str) -> str | None:
        """The workspace that a key opens, or None for a key that opens nothing (any more)."""
        required = {"require": ["iss", "sub", "iat", "exp", "jti"]}
        try:
            claims = jwt.decode(
                key,
                self._secret,
                algorithms=["HS256"],
                issuer=ISSUER,
                options=required,  # type: ignore[arg-type]
            )
        except jwt.InvalidTokenError:
            return None
        return None if claims["jti"] in self._revoked else str(claims["sub"])

    def revoke(self, key: str) -> None:
        """Makes a key of this sandbox worthless at once. Raises ValueError for any other."""
        if self.workspace_id(key) is None:
            raise ValueError("not a valid key of this sandbox")
        self._revoked.add(jwt.decode(key, options={"verify_signature": False})["jti"])

    def signature(self, head: dict[str, Any]) -> str:
        """A JSON Web Signature (RFC 7515, ES256) of an envelope's head."""
        payload = orjson.dumps(head, option=orjson.OPT_SORT_KEYS)
        return jwt.api_jws.encode(payload, self._signature_key, algorithm="ES256")
