"""Every way to forge, replay or confuse a token fails closed, and all of them look the same."""

import json

import pytest

from gateway.errors import error_response
from gateway.identity.authenticator import Authenticator
from tests.support.forgeries import (
    ATTACKS,
    HEADER,
    NOW,
    claiming,
    lawful,
    of_pem_issuer,
    signed,
    written,
)
from tests.support.identities import SECRET, SHARED, bearer, inbound, refusal, shows
from tests.support.jwt import Issuer, compact, hs256

# What each case may fail for: an attack that is refused for another reason was badly forged.
REASONS = {
    "144": {"malformed_token", "unknown_token", "token_too_large"},
    "145": {"unknown_token"},
    "146": {"algorithm", "header_refused", "bad_signature", "unknown_key"},
    "147": {"header_refused", "unknown_key", "bad_signature", "token_too_large"},
    "148": {"expired", "exp_claim", "not_yet_valid", "nbf_claim", "issued_in_future", "iat_claim",
            "malformed_token"},
    "149": {"audience", "unknown_issuer", "algorithm", "caller_claim", "tenant_claim"},
    "150": {"malformed_token"},
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(gate: Authenticator, issuer: Issuer, name: str) -> None:
    """Cases 144 to 150: refused twice over, and the answer is the same for every cause."""
    token = ATTACKS[name](issuer)
    for _ in range(2):
        error = refusal(shows, gate, token, NOW)
        assert error.cause in REASONS[name[5:8]]
        assert error_response(error, "id") == error_response(refusal(shows, gate, "x", NOW), "id")
        assert (b"www-authenticate", b"Bearer") in error_response(error, "id")[0]
        assert token not in repr(error) + str(error) + error.cause or len(token) == 1


def test_the_unforged_is_let_in(gate: Authenticator, issuer: Issuer) -> None:
    """The tables' unchanged claims, header and signer are good: each attack fails for its cause."""
    claims = lawful(issuer)
    for token in (
        issuer.forged(HEADER, claims),
        signed()(issuer),
        claiming()(issuer),
        written(f'"sub":"billing","exp":{NOW + 60}')(issuer),
        of_pem_issuer(issuer),
        of_pem_issuer(issuer, "PS256"),
        compact(b'{"alg":"HS256"}', json.dumps(lawful(issuer, iss=SHARED)).encode(),
                hs256(SECRET.encode())),
    ):  # fmt: skip
        assert shows(gate, token, NOW).name == "billing"


CAUSES = {
    "case 148: expired a minute ago": "expired",
    "case 148: nbf future": "not_yet_valid",
    "case 148: exp text": "exp_claim",
    "case 149: wrong aud": "audience",
    "case 149: wrong iss": "unknown_issuer",
    "case 149: no sub": "caller_claim",
    "case 149: tenant empty": "tenant_claim",
    "case 146: RS512, not on the list": "algorithm",
    "case 146: broken signature": "bad_signature",
    "case 147: kid '/etc/passwd'": "unknown_key",
    "case 147: crit": "header_refused",
    "case 150: sub twice": "malformed_token",
    "case 145: longer": "unknown_token",
    "case 144: too large": "token_too_large",
}


@pytest.mark.parametrize("name", CAUSES)
def test_log_knows_the_cause(gate: Authenticator, issuer: Issuer, name: str) -> None:
    """Operators learn in one constant word what callers are not told."""
    assert refusal(shows, gate, ATTACKS[name](issuer), NOW).cause == CAUSES[name]


def test_case_144_none(gate: Authenticator) -> None:
    """Case 144: without a credential the answer is the same too."""
    nothing = refusal(gate.authenticate, inbound(), None, NOW)
    wrong = refusal(gate.authenticate, inbound(), bearer("x"), NOW)
    assert error_response(nothing, "id") == error_response(wrong, "id")
    assert nothing.cause == "no_credential"
