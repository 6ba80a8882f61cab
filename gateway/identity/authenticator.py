"""Who is calling? A token, else a certificate, else an address: the first that is there decides.

Law: synchronous and without I/O, so that no request waits; only `fetch_keys` and `run` do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from gateway.errors import CallerError
from gateway.identity.browsers import sign_of_a_page
from gateway.identity.certificates import Certificates
from gateway.identity.credentials import presented, unauthenticated
from gateway.identity.jwks import RemoteKeys
from gateway.identity.networks import Networks
from gateway.identity.token_cache import TokenCache
from gateway.identity.tokens import OpaqueToken
from gateway.identity.verifier import KeyNeeded, Verifier
from gateway.model import Caller, Credentials, Inbound

__all__ = ["Authenticator", "IssuerState", "KeyNeeded", "Ways"]


_TO_PAGES: Final = (
    "An address is no identity for web pages: show a token, or call the gateway by an address, "
    "localhost, a local name or one of `listen.host_names`."
)


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways in which a caller can be known. `tokens` are found by their SHA-256.

    `own_names` are what else than local names clients may call us by, Invopop's among them.
    """

    placeholders: frozenset[bytes]
    tokens: Mapping[bytes, OpaqueToken]
    verifier: Verifier
    certificates: Certificates
    networks: Networks
    remote: Sequence[RemoteKeys]
    own_names: frozenset[bytes]


class IssuerState(NamedTuple):
    """How an issuer's remote keys stand: fetched once yet, and whether the last fetch went well."""

    issuer: str
    tried: bool
    healthy: bool


class Authenticator:
    """One version of the configuration's callers; a reload makes another."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._placeholders = ways.placeholders
        self._tokens = ways.tokens
        self._cache = TokenCache()

    def authenticate(self, inbound: Inbound, credentials: Credentials, now: float) -> Caller:
        """The caller, at `now` (Unix time, seconds).

        Raises `CallerError`: "unauthenticated" (as `KeyNeeded` if `fetch_keys` may help),
        "caller_unknown", "tenant_required" or "browser_refused".
        """
        token = presented(credentials, self._placeholders)
        if token is None:
            return self._ambient(inbound, now)
        digest = sha256(token).digest()
        opaque = self._tokens.get(digest)
        if opaque is not None:
            if now < opaque.until:
                return opaque.caller
            raise unauthenticated("expired")
        caller = self._cache.find(digest, now)
        if caller is None:
            verdict = self._ways.verifier.verify(token, now)
            self._cache.keep(digest, verdict)
            caller = verdict.caller
        return caller

    async def fetch_keys(self, needed: KeyNeeded) -> None:
        """Waits, 2 s at most, for the fetch that may bring the key; then authenticate again."""
        await needed.source.wait(needed.key_id)

    def adopt(self, previous: "Authenticator") -> None:
        """Takes over the remote keys of issuers that have not changed, before `run`."""
        known = {keys.settings.issuer: keys for keys in previous.remote}
        for keys in self.remote:
            other = known.get(keys.settings.issuer)
            if other is not None and other.settings == keys.settings:
                keys.adopt(other)

    async def run(self) -> None:
        """Keeps remote key sets fresh, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for keys in self._ways.remote:
                group.create_task(keys.run())

    def issuers(self) -> tuple[IssuerState, ...]:
        """The state of each issuer whose keys are remote: for readiness and the status page."""
        return tuple(
            IssuerState(keys.settings.issuer, keys.tried, keys.healthy)
            for keys in self._ways.remote
        )

    @property
    def remote(self) -> Sequence[RemoteKeys]:
        """The key sets that `run` keeps fresh; the next version goes on from them."""
        return self._ways.remote

    def _ambient(self, inbound: Inbound, now: float) -> Caller:
        """A caller known by its connection alone."""
        peer = inbound.peer
        if peer.uris is not None or peer.dns_names is not None:
            # TLS verifies a certificate once: connections and resumed sessions outlive it.
            name = self._ways.certificates.find(peer) if now < peer.until else None
            if name is None:
                raise CallerError("caller_unknown", cause="certificate")
            return Caller(name, "certificate")
        name = self._ways.networks.find(peer)
        if name is None:
            raise unauthenticated("no_credential")
        if sign := sign_of_a_page(inbound, self._ways.own_names):
            raise CallerError("browser_refused", _TO_PAGES, cause=sign)
        return Caller(name, "network")
