"""An issuer of JSON Web Tokens: lawful ones, and any forgery that can be spelt in bytes."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

Signer = Callable[[bytes], bytes]


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: bytes, payload: bytes, signer: Signer) -> str:
    """A compact JWS of exactly these bytes: header and payload need not be lawful JSON."""
    signed = f"{b64(header)}.{b64(payload)}".encode()
    return f"{signed.decode()}.{b64(signer(signed))}"


def hs256(secret: bytes) -> Signer:
    """Signs as HS256 does, with any bytes at all as the secret."""
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def unsigned(data: bytes) -> bytes:
    """The empty signature of `alg: none`."""
    return b""


class Issuer:
    """Holds one key per algorithm family and writes the files that a gateway is told to trust."""

    def __init__(self, directory: Path, name: str, audience: str = "invopop-gateway") -> None:
        self.name = name
        self.audience = audience
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()
        self.jwks_file = directory / "jwks.json"
        self.jwks_file.write_text(json.dumps(self.jwks()))
        self.public_key_file = directory / "issuer-rsa.pem"
        self.public_key_file.write_bytes(self.public_pem())

    def jwks(self) -> dict[str, Any]:
        """The issuer's JWK set: `rsa-1` (RS256), `ec-1` (ES256) and `ed-1` (EdDSA)."""
        made: list[dict[str, Any]] = []
        for kid, algorithm, key in (
            ("rsa-1", "RS256", self.rsa),
            ("ec-1", "ES256", self.ec),
            ("ed-1", "EdDSA", self.ed),
        ):
            to_jwk: Any = jwt.get_algorithm_by_name(algorithm)
            member = json.loads(to_jwk.to_jwk(key.public_key()))
            member.pop("key_ops", None)
            made.append({**member, "kid": kid, "alg": algorithm, "use": "sig"})
        return {"keys": made}

    def public_pem(self) -> bytes:
        """The RSA public key as SubjectPublicKeyInfo PEM."""
        return self.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def claims(self, subject: str, **changes: object) -> dict[str, Any]:
        """Lawful claims for five minutes; `changes` replace members, None removes one."""
        now = int(time.time())
        lawful = {
            "iss": self.name, "aud": self.audience, "sub": subject, "iat": now, "exp": now + 300,
        }  # fmt: skip
        return {k: v for k, v in {**lawful, **changes}.items() if v is not None}

    def token(
        self,
        claims: Mapping[str, Any],
        algorithm: str = "RS256",
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """A token really signed with the issuer's key for `algorithm`."""
        kid, key = self._key(algorithm)
        return jwt.encode(
            dict(claims), key, algorithm=algorithm, headers={"kid": kid, **(headers or {})}
        )

    def forged(self, header: object, payload: object, signer: Signer | None = None) -> str:
        """A token of any header and payload (bytes as they are, else JSON), RS256-signed."""
        return compact(_bytes(header), _bytes(payload), signer or self.sign_rs256)

    def sign_rs256(self, data: bytes) -> bytes:
        """Signs with the issuer's own RSA key."""
        return jwt.get_algorithm_by_name("RS256").sign(data, self.rsa)

    def _key(self, algorithm: str) -> tuple[str, Any]:
        if algorithm.startswith(("RS", "PS")):
            return "rsa-1", self.rsa
        return ("ed-1", self.ed) if algorithm == "EdDSA" else ("ec-1", self.ec)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
