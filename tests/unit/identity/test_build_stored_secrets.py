"""A shared secret in a store: read like remote keys, never by what reads their documents."""

import json
import time
from dataclasses import dataclass, field

import pytest

from gateway.events import Event, JwksRefreshed
from gateway.identity.authenticator import Authenticator, SigningKeyNeeded
from gateway.identity.build import build_authenticator
from gateway.identity.jwks import RemoteKeys
from gateway.identity.keys import KeySetError
from gateway.secret import Secret
from gateway.settings.schema import Settings
from tests.support.identities import AUDIENCE, ISSUER, refusal, shows
from tests.support.jwks import running, until
from tests.support.jwt import compact, hs256

FIRST, SECOND = "first-shared-secret-of-the-issuer-01", "second-shared-secret-of-the-issuer-2"


@dataclass
class Store:
    """A store in the test's hand: what it answers, and what was told."""

    answer: str | Exception = FIRST
    reads: int = 0
    events: list[Event] = field(default_factory=list)

    async def read(self) -> Secret:
        """The secret, or why there is none."""
        self.reads += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return Secret(self.answer)

    def gate(self, previous: Authenticator | None = None, **changes: float) -> Authenticator:
        """An authenticator whose only issuer's secret is here."""
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("HS256",),
                  "secret": {"aws": "id"}, **changes}  # fmt: skip
        settings = Settings.model_validate({"issuers": (issuer,), "callers": {"billing": {}}})
        gate, problems = build_authenticator(settings, {ISSUER: self.read}, self.events.append)
        assert not problems
        if previous is not None:
            gate.adopt(previous)
        return gate

    def outcomes(self) -> list[tuple[str, str]]:
        """How each read ended."""
        return [(e.outcome, e.reason) for e in self.events if isinstance(e, JwksRefreshed)]


def keys_of(gate: Authenticator) -> RemoteKeys:
    """The issuer's keys."""
    (keys,) = gate.remote
    return keys


def token(secret: str) -> str:
    """A token of `billing`, signed with this secret."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "billing", "exp": time.time() + 600}
    return compact(b'{"alg":"HS256"}', json.dumps(claims).encode(), hs256(secret.encode()))


async def test_read_like_remote_keys() -> None:
    """Nothing is read while building; a request before the first read waits for it."""
    store = Store()
    gate = store.gate()
    assert (store.reads, gate.issuers()) == (0, ((ISSUER, False, False),))
    needed = refusal(shows, gate, token(FIRST), time.time())
    assert isinstance(needed, SigningKeyNeeded)
    async with running(gate.run):
        await gate.fetch_keys(needed)
    assert shows(gate, token(FIRST), time.time()).name == "billing"
    assert (store.reads, gate.issuers()) == (1, ((ISSUER, True, True),))
    assert store.outcomes() == [("success", "")]


async def test_rotation_drops_verdicts() -> None:
    """With the next read a token of the old secret is refused, remembered or not."""
    store = Store()
    gate = store.gate()
    old, new = token(FIRST), token(SECOND)
    await keys_of(gate).refresh()
    assert shows(gate, old, time.time())
    store.answer = SECOND
    await keys_of(gate).refresh()
    assert refusal(shows, gate, old, time.time()).cause == "bad_signature"
    assert shows(gate, new, time.time())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (KeySetError("unavailable"), "unavailable"),
        ("x" * 31, "weak_secret"),
        ("", "weak_secret"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0" * 8}]}), "weak_secret"),
        (RuntimeError(FIRST), "unexpected: RuntimeError"),
    ],
)
async def test_a_store_that_fails(answer: str | Exception, reason: str) -> None:
    """The last good secret serves for `jwks_max_stale`, then none; a good one ends that.

    A key set document in the store is no key set: only the secret itself is taken.
    """
    store = Store()
    patient, strict = store.gate(), store.gate(jwks_refresh=1e-6, jwks_max_stale=0.0)
    for gate in (patient, strict):
        await keys_of(gate).refresh()
    store.answer = answer
    for gate in (patient, strict):
        await keys_of(gate).refresh()
        assert gate.issuers() == ((ISSUER, True, False),)
    assert store.outcomes()[2:] == [("failure", reason)] * 2
    assert shows(patient, token(FIRST), time.time())
    assert refusal(shows, strict, token(FIRST), time.time()).cause == "unknown_key"
    store.answer = FIRST
    await keys_of(strict).refresh()
    assert shows(strict, token(FIRST), time.time())


async def test_reload() -> None:
    """An unchanged issuer keeps its key set over a reload, which has the store read at once."""
    store = Store()
    old = store.gate()
    await keys_of(old).refresh()
    store.answer = KeySetError("unavailable")
    new = store.gate(old)
    assert keys_of(new).current is keys_of(old).current
    async with running(new.run):
        await until(lambda: store.reads == 2)
    assert shows(new, token(FIRST), time.time())
    assert new.issuers() == ((ISSUER, True, False),)


async def test_a_reload_that_changes_the_issuer_starts_anew() -> None:
    """An issuer that is not the same in every setting takes nothing over."""
    store = Store()
    old = store.gate()
    await keys_of(old).refresh()
    assert len(keys_of(store.gate(old, jwks_refresh=7.0)).current) == 0
