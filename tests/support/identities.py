"""Callers that show tokens, certificates and addresses to an authenticator, without a server."""

import hashlib
from collections.abc import Callable
from typing import Any, ParamSpec

from gateway.errors import CallerError
from gateway.events import Emit, Event
from gateway.identity.authenticator import Authenticator
from gateway.identity.build import build_authenticator
from gateway.model import Caller, Inbound, Peer
from gateway.settings.schema import Settings
from tests.support.jwt import Issuer

ISSUER = "https://id.internal"
SHARED = "https://shared.internal"
PEM = "https://pem.internal"
SECRET = "a shared secret of forty characters, yes"
TOKEN = "igw_opaque-token-of-billing"
AUDIENCE = "invopop-gateway"
P = ParamSpec("P")
NOBODY = Peer("192.0.2.1")


def ignore(event: Event) -> None:
    """Nobody listens."""


def settings_for(issuer: Issuer, **changes: Any) -> Settings:
    """Three issuers by three kinds of keys, and callers known in every way."""
    issuers = (
        {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("RS256", "ES256", "EdDSA"),
         "jwks_file": issuer.jwks_file, "tenant_claim": "tenant", "tenant_claim_required": False,
         **changes},
        {"issuer": PEM, "audience": AUDIENCE, "algorithms": ("RS256", "PS256"),
         "public_key_file": issuer.public_key_file, "tenant_claim": "tenant"},
        {"issuer": SHARED, "audience": AUDIENCE, "algorithms": ("HS256",),
         "secret": {"env": "SHARED_SECRET"}},
    )  # fmt: skip
    billing = {
        "tokens": ({"hash": hashlib.sha256(TOKEN.encode()).hexdigest()},),
        "issuers": (ISSUER, PEM, SHARED),
        "certificates": ("spiffe://prod/billing",),
        "networks": ("10.0.0.0/8", "unix:1000"),
    }
    return Settings.model_validate(
        {
            "listen": {"placeholder_tokens": ("unused",)},
            "issuers": issuers,
            "callers": {"billing": billing, "tokens-only": {"issuers": ()}},
        }
    )


def build(
    settings: Settings, emit: Emit = ignore, previous: Authenticator | None = None
) -> Authenticator:
    """The authenticator of lawful settings."""
    gate, problems = build_authenticator(settings, {SHARED: SECRET}, emit)
    if previous is not None:
        gate.adopt(previous)
    assert not problems
    return gate


def inbound(peer: Peer = NOBODY, *headers: tuple[bytes, bytes]) -> Inbound:
    """A request from `peer`, by default one that is in nobody's network."""
    fields = [(b"host", b"gateway"), *headers]
    return Inbound("GET", b"/", b"/", fields, peer, 0, "id", proxy_form=False)


def bearer(token: str | bytes) -> bytes:
    """What a request shows that bears this token."""
    return b"Bearer " + (token if isinstance(token, bytes) else token.encode())


def refusal(ask: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> CallerError:
    """The error with which `ask` is refused."""
    try:
        answer = ask(*args, **kwargs)
    except CallerError as error:
        return error
    raise AssertionError(f"not refused: {answer}")


def shows(gate: Authenticator, token: str | bytes, now: float) -> Caller:
    """The caller that shows this token, from nowhere in particular."""
    return gate.authenticate(inbound(), bearer(token), now)
