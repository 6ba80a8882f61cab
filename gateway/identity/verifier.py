"""Verifies JSON Web Tokens of the configured issuers, and remembers which were verified. Pure.

Rule: a caller comes only from claims whose signature a key of their issuer verifies. A cached
result ends with its token, with any change of the issuer's keys, and with a reload.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import CallerError, ErrorKey
from gateway.identity.claims import ClaimRules, tenant_of, valid_until
from gateway.identity.credentials import IdentityRefused, unauthenticated
from gateway.identity.jwt import Compact, parse
from gateway.identity.keys import IssuerKeys, KeySet
from gateway.model import Caller

MOST_REMEMBERED_TOKENS: Final = 65536  # about 300 bytes each


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer, ready for use. `max_size` bounds its tokens, in bytes."""

    rules: ClaimRules
    algorithms: frozenset[str]
    max_size: int
    keys: IssuerKeys


class SigningKeyNeeded(CallerError):
    """The token's key is unknown, but a fetch of the issuer's keys may bring it."""

    def __init__(self, keys: IssuerKeys, key_id: str | None) -> None:
        super().__init__("unauthenticated", cause="unknown_key")
        self.keys = keys
        self.key_id = key_id


class VerifiedToken(NamedTuple):
    """Who showed a token, until when (Unix time) it is valid, and the key set that verified it."""

    caller: Caller
    until: float
    key_set: KeySet
    keys: IssuerKeys


class Verifier:
    """The configured issuers. `accepted` pairs each caller with each issuer it may come from."""

    def __init__(
        self, issuers: Iterable[TrustedIssuer], accepted: Iterable[tuple[str, str]]
    ) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        self._accepted = frozenset(accepted)
        self._largest = max((issuer.max_size for issuer in self._issuers.values()), default=8192)

    def verify(self, token: bytes, now: float) -> VerifiedToken:
        """Verifies a token at `now` (Unix time).

        Raises `CallerError`: "unauthenticated", also as `SigningKeyNeeded`; for a valid token
        "caller_unknown" or "tenant_required".
        """
        if token.count(b".") != 2:
            raise unauthenticated("unknown_token")
        if len(token) > self._largest:
            raise unauthenticated("token_too_large")
        compact = parse(token)
        issuer = self._issuer(compact, len(token))
        # Claims before the signature: an expired token must not cause a key fetch.
        until = valid_until(compact.claims, issuer.rules, now)
        key_set = _verifying_set(compact, issuer.keys)
        return VerifiedToken(self._caller(compact, issuer.rules), until, key_set, issuer.keys)

    def _issuer(self, compact: Compact, size: int) -> TrustedIssuer:
        name = compact.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise unauthenticated("unknown_issuer")
        if size > issuer.max_size:
            raise unauthenticated("token_too_large")
        if compact.algorithm not in issuer.algorithms:
            raise unauthenticated("algorithm")
        return issuer

    def _caller(self, compact: Compact, rules: ClaimRules) -> Caller:
        name = rules.caller.name(compact.claims)
        tenant = tenant_of(compact.claims, rules)
        if (name, rules.issuer) not in self._accepted:
            raise _refused("caller_unknown", "jwt", compact)
        if tenant is None and rules.tenant and rules.tenant_required:
            raise _refused("tenant_required", "tenant_claim", compact)
        return Caller(name, "jwt", tenant, tenant_free=tenant is None)


class TokenCache:
    """Verified tokens by their SHA-256; when it is full, the oldest entry is dropped."""

    def __init__(self, most: int = MOST_REMEMBERED_TOKENS) -> None:
        self._most = most
        self._by_digest: dict[bytes, VerifiedToken] = {}

    def find(self, digest: bytes, now: float) -> Caller | None:
        """The caller of that token, if it is still valid at `now` (Unix time)."""
        verified = self._by_digest.get(digest)
        if verified is None:
            return None
        caller, until, key_set, keys = verified
        if now < until and keys.current is key_set:
            return caller
        del self._by_digest[digest]
        return None

    def keep(self, digest: bytes, verified: VerifiedToken) -> None:
        """Remembers a token."""
        if len(self._by_digest) >= self._most:
            del self._by_digest[next(iter(self._by_digest))]
        self._by_digest[digest] = verified

    def __len__(self) -> int:
        return len(self._by_digest)


def _refused(key: ErrorKey, cause: str, compact: Compact) -> IdentityRefused:
    return IdentityRefused(key, cause, compact.claims.get("iss"), compact.claims.get("sub"))


def _verifying_set(compact: Compact, keys: IssuerKeys) -> KeySet:
    """The key set with the key that made the token's signature."""
    key_set = keys.current
    key = key_set.find(compact.key_id, compact.algorithm)
    if key is None:
        if keys.may_fetch(compact.key_id):
            raise SigningKeyNeeded(keys, compact.key_id)
        raise unauthenticated("unknown_key")
    if not key.verifies(compact.signing_input, compact.signature):
        raise unauthenticated("bad_signature")
    return key_set
