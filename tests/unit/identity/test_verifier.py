"""`verifier`: the bounds on a token, and what a key that is missing leads to."""

import time
from typing import Any

import pytest

from gateway.errors import CallerError
from gateway.identity.authenticator import Authenticator, KeyNeeded
from gateway.identity.keys import FixedKeys, KeySet
from gateway.identity.verifier import TrustedIssuer, Verifier
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

    def wanted(self, key_id: str | None) -> bool:
        """For any token that names a key."""
        return key_id is not None


@pytest.fixture
def remote(gate: Authenticator) -> Verifier:
    """A verifier whose issuer has published nothing yet."""
    rules = gate._ways.verifier._issuers[ISSUER].rules
    keys = Fetchable(KeySet(()))
    return Verifier([TrustedIssuer(rules, frozenset({"EdDSA"}), 8192, keys)], ())


def test_key_needed(remote: Verifier, issuer: Issuer) -> None:
    """A token that only lacks its key says so, and is a refusal like any other until fetched."""
    error = refusal(remote.verify, token_of(issuer, 1).encode(), NOW)
    assert isinstance(error, KeyNeeded)
    assert isinstance(error, CallerError)
    assert (error.key, error.status, error.cause) == ("unauthenticated", 401, "unknown_key")
    assert error.key_id == "ed-1"
    assert error.source is remote._issuers[ISSUER].keys


LACKING: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 60}, "for others": {"aud": "other"}, "of others": {"iss": "https://x"},
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_no_fetch_for_what_would_be_refused(remote: Verifier, issuer: Issuer, name: str) -> None:
    """Only a token that could become good is worth a fetch."""
    token = token_of(issuer, 1, **LACKING[name]).encode()
    assert not isinstance(refusal(remote.verify, token, NOW), KeyNeeded)


def test_no_fetch_for_another_algorithm(remote: Verifier, issuer: Issuer) -> None:
    """Nor is one whose algorithm the issuer does not use."""
    claims = issuer.claims("billing", iat=NOW, exp=NOW + 300)
    error = refusal(remote.verify, issuer.token(claims, "RS256").encode(), NOW)
    assert error.cause == "algorithm"
    assert not isinstance(error, KeyNeeded)
