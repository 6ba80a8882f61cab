"""`verifier`: bounds on tokens, what a missing key leads to, and the cache of tokens."""

import time
from typing import Any

import pytest

from gateway.errors import CallerError
from gateway.identity.authenticator import Authenticator, SigningKeyNeeded
from gateway.identity.keys import FixedKeys, KeySet
from gateway.identity.verifier import TokenCache, TrustedIssuer, VerifiedToken, Verifier
from gateway.model import Caller
from tests.support.identities import ISSUER, PEM, build, refusal, settings_for, shows
from tests.support.jwt import Issuer

NOW = int(time.time())


def token_of(issuer: Issuer, size: int, **claims: Any) -> str:
    """A token of exactly `size` bytes, which must be one that base64 can make."""
    lawful = issuer.claims("billing", **{"iat": NOW, "exp": NOW + 300, **claims})
    for padding in range(size):
        token = issuer.token({**lawful, "x": "x" * padding}, "EdDSA")
        if len(token) >= size:
            return token
    raise AssertionError(size)


def test_age(issuer: Issuer) -> None:
    """A token older than its issuer allows is refused, also once it was let in."""
    gate = build(settings_for(issuer, max_token_age=60.0))
    token = token_of(issuer, 1, exp=NOW + 9999)
    assert shows(gate, token, NOW + 64.9).name == "billing"
    assert refusal(shows, gate, token, NOW + 65).cause == "expired"


def test_size(issuer: Issuer) -> None:
    """A token of `max_token_bytes` is let in, a larger one is not, each issuer by its own bound."""
    token = token_of(issuer, 1000)
    gate = build(settings_for(issuer, max_token_bytes=len(token)))
    assert shows(gate, token, NOW).name == "billing"
    assert refusal(shows, gate, token_of(issuer, len(token) + 1), NOW).cause == "token_too_large"
    large = issuer.claims("billing", iss=PEM, iat=NOW, exp=NOW + 300, tenant="a", x="x" * 1000)
    assert shows(gate, issuer.token(large), NOW).name == "billing"


def test_size_of_anything(gate: Authenticator) -> None:
    """What is larger than any issuer allows is not even read: 8 KiB unless configured."""
    assert refusal(shows, gate, "." * 2 + "x" * 8190, NOW).cause == "malformed_token"
    assert refusal(shows, gate, "." * 2 + "x" * 8191, NOW).cause == "token_too_large"


def test_size_without_issuers() -> None:
    """The same holds where no issuer is configured."""
    nobody = Verifier([], ())
    assert refusal(nobody.verify, b".." + b"x" * 8190, NOW).cause == "malformed_token"
    assert refusal(nobody.verify, b".." + b"x" * 8191, NOW).cause == "token_too_large"


class Fetchable(FixedKeys):
    """Keys that a fetch may bring."""

    def may_fetch(self, key_id: str | None) -> bool:
        """For any token that names a key."""
        return key_id is not None


@pytest.fixture
def remote(gate: Authenticator) -> Verifier:
    """A verifier whose issuer has published nothing yet."""
    rules = gate._methods.verifier._issuers[ISSUER].rules
    keys = Fetchable(KeySet(()))
    return Verifier([TrustedIssuer(rules, frozenset({"EdDSA"}), 8192, keys)], ())


def test_key_needed(remote: Verifier, issuer: Issuer) -> None:
    """A token that only lacks its key says so, and is a refusal like any other until fetched."""
    error = refusal(remote.verify, token_of(issuer, 1).encode(), NOW)
    assert isinstance(error, SigningKeyNeeded)
    assert isinstance(error, CallerError)
    assert (error.key, error.status, error.cause) == ("unauthenticated", 401, "unknown_key")
    assert error.key_id == "ed-1"
    assert error.keys is remote._issuers[ISSUER].keys


LACKING: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 60}, "for others": {"aud": "other"}, "of others": {"iss": "https://x"},
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_no_fetch_for_what_would_be_refused(remote: Verifier, issuer: Issuer, name: str) -> None:
    """Only a token that could become good is worth a fetch."""
    token = token_of(issuer, 1, **LACKING[name]).encode()
    assert not isinstance(refusal(remote.verify, token, NOW), SigningKeyNeeded)


def test_no_fetch_for_another_algorithm(remote: Verifier, issuer: Issuer) -> None:
    """Nor is one whose algorithm the issuer does not use."""
    claims = issuer.claims("billing", iat=NOW, exp=NOW + 300)
    error = refusal(remote.verify, issuer.token(claims, "RS256").encode(), NOW)
    assert error.cause == "algorithm"
    assert not isinstance(error, SigningKeyNeeded)


CALLER = Caller("billing", "jwt")


def verified(source: FixedKeys, until: float = 100.0) -> VerifiedToken:
    """A token verified by the keys that `source` has now."""
    return VerifiedToken(CALLER, until, source.current, source)


def test_cache_ends_with_the_token() -> None:
    """Good until the token ends, not a moment longer, and then forgotten."""
    cache = TokenCache()
    cache.keep(b"a", verified(FixedKeys(KeySet(()))))
    assert cache.find(b"a", 99.9) is CALLER
    assert cache.find(b"a", 100.0) is None
    assert len(cache) == 0


def test_cache_ends_with_the_keys() -> None:
    """Any other key set ends it, for good."""
    source = FixedKeys(KeySet(()))
    cache = TokenCache()
    cache.keep(b"a", verified(source))
    before, source.current = source.current, KeySet(())
    assert cache.find(b"a", 0) is None
    source.current = before
    assert cache.find(b"a", 0) is None


def test_cache_is_bounded() -> None:
    """The oldest entry makes room for the newest."""
    source = FixedKeys(KeySet(()))
    cache = TokenCache(most=2)
    for digest in (b"a", b"b", b"c"):
        cache.keep(digest, verified(source))
    assert len(cache) == 2
    assert cache.find(b"a", 0) is None
    assert cache.find(b"b", 0) is cache.find(b"c", 0) is CALLER


def test_cache_of_unknown_tokens() -> None:
    """What was never verified is not remembered."""
    assert TokenCache().find(b"a", 0) is None
