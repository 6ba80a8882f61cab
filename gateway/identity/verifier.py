"""Verifies JSON Web Tokens of the configured issuers: claims first, then key, then signature.

Law: only what the signature covers, by a key of the issuer it names, becomes a caller.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import CallerError
from gateway.identity.claims import ClaimRules, tenant_of, valid_until
from gateway.identity.credentials import unauthenticated
from gateway.identity.jwt import Compact, parse
from gateway.identity.keys import KeySet, KeySource
from gateway.identity.token_cache import Verdict
from gateway.model import Caller


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer, ready for use. `max_size` bounds its tokens, in bytes."""

    rules: ClaimRules
    algorithms: frozenset[str]
    max_size: int
    keys: KeySource


class KeyNeeded(CallerError):
    """A refusal that a fetch of the issuer's keys may still turn: fetch, then ask again, once."""

    def __init__(self, source: KeySource, key_id: str | None) -> None:
        super().__init__("unauthenticated", cause="unknown_key")
        self.source = source
        self.key_id = key_id


class Verifier:
    """Knows the issuers, and which of them each caller lists: `believed` are (caller, issuer)."""

    def __init__(
        self, issuers: Iterable[TrustedIssuer], believed: Iterable[tuple[str, str]]
    ) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        self._believed = frozenset(believed)
        self._largest = max((issuer.max_size for issuer in self._issuers.values()), default=8192)

    def verify(self, token: bytes, now: float) -> Verdict:
        """The verdict on a token at `now` (Unix time).

        Raises `CallerError`: "unauthenticated", also as `KeyNeeded`; for a valid token
        "caller_unknown" or "tenant_required".
        """
        if token.count(b".") != 2:
            raise unauthenticated("unknown_token")
        if len(token) > self._largest:
            raise unauthenticated("token_too_large")
        compact = parse(token)
        issuer = self._issuer(compact, len(token))
        # Before the signature, because it is cheap: an expired token must not cause a key fetch.
        until = valid_until(compact.claims, issuer.rules, now)
        keys = _verified(compact, issuer.keys)
        return Verdict(self._caller(compact, issuer.rules), until, keys, issuer.keys)

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
        if (name, rules.issuer) not in self._believed:
            raise CallerError("caller_unknown", cause="jwt")
        if tenant is None and rules.tenant and rules.tenant_required:
            raise CallerError("tenant_required", cause="tenant_claim")
        return Caller(name, "jwt", tenant, tenant_free=tenant is None)


def _verified(compact: Compact, source: KeySource) -> KeySet:
    """The key set, one of whose keys made the token's signature."""
    keys = source.current
    key = keys.find(compact.key_id, compact.algorithm)
    if key is None:
        if source.wanted(compact.key_id):
            raise KeyNeeded(source, compact.key_id)
        raise unauthenticated("unknown_key")
    if not key.verifies(compact.signing_input, compact.signature):
        raise unauthenticated("bad_signature")
    return keys
