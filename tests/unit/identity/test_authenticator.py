"""`authenticator`: which way of knowing a caller decides, and how long a verdict lasts."""

import asyncio
import base64
import gc
import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm

from gateway.identity.authenticator import Authenticator, SigningKeyNeeded
from gateway.identity.keys import FixedKeys, KeySet
from gateway.identity.tokens import hash_token
from gateway.known_head import KnownLines, KnownRequest
from gateway.model import Caller, Peer
from gateway.settings.callers import CallerToken
from gateway.settings.schema import Settings
from tests.support.identities import (
    AUDIENCE,
    ISSUER,
    PEM,
    SHARED,
    TOKEN,
    bearer,
    build,
    inbound,
    refusal,
    settings_for,
    shows,
)
from tests.support.jwt import Issuer

NOW = int(time.time())
NETWORK = Peer("10.1.2.3")
CERTIFICATE = Peer("10.1.2.3", None, ("spiffe://prod/billing",), ())
STRANGER = Peer("10.1.2.3", None, ("spiffe://prod/other",), ())


def changed(settings: Settings, caller: str, **changes: Any) -> Settings:
    """The same settings with another entry for a caller."""
    entry = replace(settings.callers[caller], **changes)
    return settings.model_copy(update={"callers": {**settings.callers, caller: entry}})


def claims_of(issuer: Issuer, subject: str, **changes: Any) -> dict[str, Any]:
    """Claims that hold at `NOW`; None removes one."""
    return issuer.claims(subject, **{"iat": NOW, "exp": NOW + 300, **changes})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_jwt(gate: Authenticator, issuer: Issuer, algorithm: str) -> None:
    """A token of the issuer, by each algorithm on its list, is the caller in its claim."""
    token = issuer.token(claims_of(issuer, "billing"), algorithm)
    assert shows(gate, token, NOW) == Caller("billing", "jwt")


def test_opaque_token(gate: Authenticator) -> None:
    """An opaque token is its caller's, as Bearer and as Basic."""
    basic = b"Basic " + base64.b64encode(b"any:" + TOKEN.encode())
    for shown in (b"Bearer " + TOKEN.encode(), basic):
        assert gate.authenticate(inbound(), shown, NOW) == Caller("billing", "token")


def test_a_digest_that_is_known_is_that_of_one_version_only(settings: Settings) -> None:
    """A token that was removed is refused on a connection that has shown it before, too."""
    shown = bearer(TOKEN)
    known = KnownRequest(KnownLines([], [], []), -1, -1)
    request = replace(inbound(), known=known)
    gate = build(settings)
    assert gate.authenticate(request, shown, NOW).name == "billing"
    assert gate.authenticate(request, shown, NOW).name == "billing"
    after = build(changed(settings, "billing", tokens=()))
    assert refusal(after.authenticate, request, shown, NOW).cause == "unknown_token"


def test_expiring_token(settings: Settings) -> None:
    """A token holds through its last day, UTC, and is refused after it."""
    token = CallerToken(hash=hash_token("t"), expires=date(2027, 1, 31))
    gate = build(changed(settings, "billing", tokens=(token,)))
    midnight = 1801440000  # 2027-02-01T00:00:00Z
    assert shows(gate, "t", midnight - 1).name == "billing"
    assert refusal(shows, gate, "t", midnight).cause == "expired"


def test_tenant_claim(gate: Authenticator, issuer: Issuer) -> None:
    """The claim names the tenant; without it a header may, unless the issuer requires the claim."""
    named = shows(gate, issuer.token(claims_of(issuer, "billing", tenant="acme")), NOW)
    assert named == Caller("billing", "jwt", "acme", tenant_free=False)
    free = shows(gate, issuer.token(claims_of(issuer, "billing")), NOW)
    assert (free.tenant, free.tenant_free) == (None, True)
    required = issuer.token(claims_of(issuer, "billing", iss=PEM))
    error = refusal(shows, gate, required, NOW)
    assert (error.key, error.status, error.cause) == ("tenant_required", 403, "tenant_claim")


@pytest.mark.parametrize("subject", ["nobody", "tokens-only", "BILLING", "billing ", "*", "other"])
def test_valid_but_not_configured(gate: Authenticator, issuer: Issuer, subject: str) -> None:
    """A true identity without an entry, or one that does not list the issuer, is 403."""
    for token in (issuer.token(claims_of(issuer, subject)),
                  issuer.token(claims_of(issuer, subject, iss=PEM, tenant="acme"))):  # fmt: skip
        error = refusal(shows, gate, token, NOW)
        assert (error.key, error.status, error.cause) == ("caller_unknown", 403, "jwt")


def test_caller_unknown_needs_a_true_token(gate: Authenticator, issuer: Issuer) -> None:
    """Only a verified token learns that its caller is not configured: names cannot be probed."""
    token = issuer.token(claims_of(issuer, "nobody"))[:-8] + "AAAAAAAA"
    assert refusal(shows, gate, token, NOW).key == "unauthenticated"


def test_issuers_of_a_caller(settings: Settings, issuer: Issuer) -> None:
    """A caller believes the issuers it lists; the only one, if it lists nothing."""
    token = issuer.token(claims_of(issuer, "billing"))
    for listed in ((), (PEM, SHARED)):
        gate = build(changed(settings, "billing", issuers=listed))
        assert refusal(shows, gate, token, NOW).key == "caller_unknown"
    gate = build(changed(settings, "billing", issuers=None))
    assert refusal(shows, gate, token, NOW).key == "caller_unknown"
    alone = settings.model_copy(update={"issuers": settings.issuers[:1]})
    gate = build(changed(alone, "billing", issuers=None))
    assert shows(gate, token, NOW).name == "billing"


def test_kubernetes(issuer: Issuer) -> None:
    """A projected service-account token is the caller `namespace/serviceaccount`."""
    settings = settings_for(issuer, caller_template="{namespace}/{serviceaccount}")
    entry = settings.callers["billing"]
    callers = {"payments/billing": entry, "billing": entry}
    gate = build(settings.model_copy(update={"callers": callers}))
    pod = {"namespace": "payments", "serviceaccount": {"name": "billing", "uid": "u"},
           "pod": {"name": "p", "uid": "u"}, "node": {"name": "n", "uid": "u"}}  # fmt: skip
    claims = claims_of(issuer,
        "system:serviceaccount:payments:billing", aud=[AUDIENCE], nbf=NOW, jti="j",
        **{"kubernetes.io": pod},
    )  # fmt: skip
    assert shows(gate, issuer.token(claims), NOW).name == "payments/billing"
    missing = issuer.token(claims_of(issuer, "billing"))
    assert refusal(shows, gate, missing, NOW).cause == "caller_claim"


def test_claim_by_path(issuer: Issuer) -> None:
    """`caller_claim` reaches into claims whose own names hold dots."""
    gate = build(settings_for(issuer, caller_claim="kubernetes.io.serviceaccount.name"))
    claims = claims_of(issuer, "x", **{"kubernetes.io": {"serviceaccount": {"name": "billing"}}})
    assert shows(gate, issuer.token(claims), NOW).name == "billing"


def test_no_issuer_at_all(settings: Settings, issuer: Issuer) -> None:
    """Without issuers a JSON Web Token is nobody's."""
    gate = build(changed(settings, "billing", issuers=()).model_copy(update={"issuers": ()}))
    token = issuer.token(claims_of(issuer, "billing"))
    assert refusal(shows, gate, token, NOW).cause == "unknown_issuer"


AMBIENT: dict[str, tuple[Peer, Caller | str]] = {
    "network": (NETWORK, Caller("billing", "network")),
    "mapped address": (Peer("::ffff:10.1.2.3"), Caller("billing", "network")),
    "unix uid": (Peer("", 1000), Caller("billing", "network")),
    "another uid": (Peer("", 1001), "unauthenticated"),
    "elsewhere": (Peer("192.0.2.1"), "unauthenticated"),
    "certificate": (CERTIFICATE, Caller("billing", "certificate")),
    "certificate from elsewhere": (CERTIFICATE._replace(address="192.0.2.1"),
                                   Caller("billing", "certificate")),
    "certificate in its last second": (CERTIFICATE._replace(until=NOW + 1),
                                       Caller("billing", "certificate")),
    "certificate that has ended": (CERTIFICATE._replace(until=NOW), "caller_unknown"),
    "unknown certificate": (STRANGER, "caller_unknown"),
    "certificate without names": (Peer("10.1.2.3", None, (), ()), "caller_unknown"),
    "DNS names alone": (Peer("10.1.2.3", None, None, ("x.internal",)), "caller_unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIENT)
def test_without_a_credential(gate: Authenticator, name: str) -> None:
    """Certificate, then address; a certificate that matches no caller is refused, not passed on."""
    peer, expected = AMBIENT[name]
    for shown in (None, b"Bearer unused"):
        if isinstance(expected, Caller):
            assert gate.authenticate(inbound(peer), shown, NOW) == expected
        else:
            error = refusal(gate.authenticate, inbound(peer), shown, NOW)
            assert error.key == expected
            known = {"unauthenticated": "no_credential", "caller_unknown": "certificate"}
            assert error.cause == known[expected]


@pytest.mark.parametrize("peer", [NETWORK, CERTIFICATE, Peer("", 1000)])
@pytest.mark.parametrize("value", [b"Bearer wrong", b"Bearer", b"", b"Basic x", b"Bearer a.b.c"])
def test_shown_and_wrong_is_no_fall_through(gate: Authenticator, peer: Peer, value: bytes) -> None:
    """A wrong credential is 401 even where certificate or address alone would do."""
    error = refusal(gate.authenticate, inbound(peer), value, NOW)
    assert (error.key, error.status) == ("unauthenticated", 401)


@pytest.mark.parametrize("field", [b"origin", b"sec-fetch-site"])
@pytest.mark.parametrize("peer", [NETWORK, Peer("", 1000)])
def test_pages_may_not_use_an_address(gate: Authenticator, peer: Peer, field: bytes) -> None:
    """A web page on the caller's machine is refused, unless it has a token or certificate."""
    page = inbound(peer, (field, b"null"))
    error = refusal(gate.authenticate, page, None, NOW)
    assert (error.key, error.status) == ("browser_refused", 403)
    assert error.cause == "browser_field"
    assert "listen.host_names" in error.detail
    assert gate.authenticate(page, bearer(TOKEN), NOW).by == "token"
    assert gate.authenticate(replace(page, peer=CERTIFICATE), None, NOW).by == "certificate"


def test_a_client_that_calls_itself_a_browser(gate: Authenticator) -> None:
    """It is told which field is in its way."""
    page = inbound(NETWORK, (b"user-agent", b"Mozilla/5.0 (compatible; billing)"))
    error = refusal(gate.authenticate, page, None, NOW)
    assert (error.key, error.cause) == ("browser_refused", "user_agent")
    assert "User-Agent" in error.detail


def test_pages_learn_nothing(gate: Authenticator) -> None:
    """A page from an address that is nobody's is 401 like everyone else."""
    page = inbound(Peer("192.0.2.1"), (b"origin", b"https://evil"))
    assert refusal(gate.authenticate, page, None, NOW).key == "unauthenticated"


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keeps each signature that is really checked."""
    seen: list[bytes] = []
    verify = RSAAlgorithm.verify

    def spy(self: RSAAlgorithm, msg: bytes, key: Any, sig: bytes) -> bool:
        seen.append(sig)
        return verify(self, msg, key, sig)

    monkeypatch.setattr(RSAAlgorithm, "verify", spy)
    return seen


def test_a_token_is_verified_once(
    gate: Authenticator, issuer: Issuer, verified: list[bytes]
) -> None:
    """A verdict is remembered until the token ends, leeway included, and no longer."""
    claims = claims_of(issuer, "billing", exp=NOW + 60)
    token = issuer.token(claims)
    first = shows(gate, token, NOW)
    assert all(shows(gate, token, NOW + second) is first for second in (1, 60, 64.9))
    assert len(verified) == 1
    assert refusal(shows, gate, token, NOW + 65).cause == "expired"


def test_refusals_are_not_remembered(
    gate: Authenticator, issuer: Issuer, verified: list[bytes]
) -> None:
    """A token that is not valid yet is, later; nothing wrong fills the memory."""
    token = issuer.token(claims_of(issuer, "billing", nbf=NOW + 60))
    assert refusal(shows, gate, token, NOW).cause == "not_yet_valid"
    assert shows(gate, token, NOW + 60).name == "billing"
    bad = issuer.token(claims_of(issuer, "billing"))[:-8] + "AAAAAAAA"
    for _ in range(2):
        assert refusal(shows, gate, bad, NOW).cause == "bad_signature"
    assert len(verified) == 3


def test_a_verdict_ends_with_its_key(gate: Authenticator, issuer: Issuer) -> None:
    """A key that leaves the issuer's set takes with it the tokens that it signed, at once."""
    token = issuer.token(claims_of(issuer, "billing"))
    assert shows(gate, token, NOW).name == "billing"
    source = gate._methods.verifier._issuers[ISSUER].keys
    source.current = type(source.current)(
        named for named in source.current.contents if named[0] != "rsa-1"
    )
    assert refusal(shows, gate, token, NOW).cause == "unknown_key"
    assert shows(gate, issuer.token(claims_of(issuer, "billing"), "ES256"), NOW).name == "billing"


def test_a_verdict_ends_with_its_caller(settings: Settings, issuer: Issuer) -> None:
    """A reload forgets all verdicts: what the new settings do not allow is out at once."""
    token = issuer.token(claims_of(issuer, "billing"))
    old = build(settings)
    assert shows(old, token, NOW).name == "billing"
    new = build(changed(settings, "billing", issuers=(), tokens=()), previous=old)
    assert refusal(shows, new, token, NOW).key == "caller_unknown"
    assert refusal(shows, new, TOKEN, NOW).cause == "unknown_token"


def test_secrets_stay_inside(gate: Authenticator, issuer: Issuer) -> None:
    """No text of the authenticator or of its verdicts holds a token."""
    token = issuer.token(claims_of(issuer, "billing"))
    shows(gate, token, NOW)
    held = gc.get_referents(gate, gate._cache)  # compiled, they have no `__dict__`
    told = repr(held) + repr(gate._methods.verifier._issuers)
    assert token not in told
    assert TOKEN not in told
    assert "a shared secret" not in told


async def test_run_without_remote_keys(gate: Authenticator) -> None:
    """Where nothing is remote, it only waits to be cancelled, and there is nothing to report."""
    running = asyncio.create_task(gate.run())
    done, _ = await asyncio.wait({running}, timeout=0.01)
    running.cancel()
    assert not done
    assert gate.issuers() == ()


async def test_the_key_that_is_needed_is_what_is_waited_for(gate: Authenticator) -> None:
    """A fetch is asked of the issuer that lacks the key, for the `kid` that the token names."""

    class Awaited(FixedKeys):
        """Keys that remember who waited."""

        async def wait(self, key_id: str | None) -> None:
            waited.append(key_id)

    waited: list[str | None] = []
    await gate.fetch_keys(SigningKeyNeeded(Awaited(KeySet(())), "ed-2"))
    assert waited == ["ed-2"]
