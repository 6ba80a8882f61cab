"""Who is calling? A token, else a certificate, else an address: the first that is there decides.

Rule: synchronous and without I/O, so that no request waits; only `fetch_keys` and `run` wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Final, NamedTuple

from gateway.errors import CallerError
from gateway.identity.credentials import IdentityRefused, presented, unauthenticated
from gateway.identity.jwks import RemoteKeys
from gateway.identity.peers import Certificates, Networks, browser_sign
from gateway.identity.tokens import OpaqueTokens
from gateway.identity.verifier import SigningKeyNeeded, TokenCache, Verifier
from gateway.model import Caller, Inbound

__all__ = ["AuthenticationMethods", "Authenticator", "IssuerState", "SigningKeyNeeded"]


_REFUSED_TO_PAGES: Final = (
    "Web pages cannot be known by their address: show a token, or call the gateway by an address, "
    "localhost, a local name or one of `listen.host_names`."
)
_LOOKS_LIKE_A_PAGE: Final = (
    "The User-Agent begins with Mozilla/, as browsers' do, and web pages cannot be known by their "
    "address: send another User-Agent, or show a token."
)


@dataclass(frozen=True, slots=True)
class AuthenticationMethods:
    """All that a caller can be known by.

    `own_names` are names, besides local ones, by which clients may call us; Invopop's is one.
    """

    placeholders: frozenset[bytes]
    tokens: OpaqueTokens
    verifier: Verifier
    certificates: Certificates
    networks: Networks
    remote: Sequence[RemoteKeys]
    own_names: frozenset[bytes]


class IssuerState(NamedTuple):
    """An issuer's remote keys: whether a fetch has ended, and whether the last one succeeded."""

    issuer: str
    tried: bool
    healthy: bool


class Authenticator:
    """The callers of one version of the configuration; a reload makes another."""

    def __init__(self, methods: AuthenticationMethods) -> None:
        self._methods = methods
        self._placeholders = methods.placeholders
        self._tokens, self._ends = methods.tokens
        self._cache = TokenCache()
        self._mark = object()  # of this version

    def authenticate(self, inbound: Inbound, credential: bytes | None, now: float) -> Caller:
        """The caller, at `now` (Unix time, seconds), by the credential that `presented` reads.

        Raises `CallerError`: "unauthenticated" (as `SigningKeyNeeded` if `fetch_keys` may help),
        "caller_unknown", "tenant_required" or "browser_refused".
        """
        digest = self._digest(inbound, credential)
        if digest is None:
            return self._ambient(inbound, now)
        caller = self._tokens.get(digest)
        if caller is not None:
            if self._ends and now >= self._ends.get(digest, inf):
                raise unauthenticated("expired")
            return caller
        caller = self._cache.find(digest, now)
        if caller is None:
            token = presented(credential, self._placeholders)
            assert token is not None  # noqa: S101 - it has a digest
            verified = self._methods.verifier.verify(token, now)
            self._cache.keep(digest, verified)
            caller = verified.caller
        return caller

    def without_placeholders(self, credentials: Sequence[bytes]) -> tuple[bytes, ...]:
        """The values of credential fields less those that count as no credential."""
        return tuple(
            one for one in credentials if one.partition(b" ")[2].lstrip() not in self._placeholders
        )

    def _digest(self, inbound: Inbound, credential: bytes | None) -> bytes | None:
        """The SHA-256 of the token, or None without one. Raises "unauthenticated"."""
        known = inbound.known
        if known is not None and known.digest_by is self._mark:
            return known.digest
        token = presented(credential, self._placeholders)
        digest = None if token is None else sha256(token).digest()
        if known is not None:
            known.digest, known.digest_by = digest, self._mark
        return digest

    async def fetch_keys(self, needed: SigningKeyNeeded) -> None:
        """Waits up to 2 s for a fetch that may bring the key; then call `authenticate` again."""
        await needed.keys.wait(needed.key_id)

    def adopt(self, previous: "Authenticator") -> None:
        """Takes over the remote keys of unchanged issuers; call it before `run`."""
        known = {keys.settings.issuer: keys for keys in previous.remote}
        for keys in self.remote:
            other = known.get(keys.settings.issuer)
            if other is not None and other.settings == keys.settings:
                keys.adopt(other)

    async def run(self) -> None:
        """Keeps remote key sets fresh until cancelled, also if there are none."""
        async with asyncio.TaskGroup() as group:
            for keys in self._methods.remote:
                group.create_task(keys.run())
            await asyncio.get_running_loop().create_future()

    def issuers(self) -> tuple[IssuerState, ...]:
        """The state of each issuer with remote keys: for readiness and the status page."""
        return tuple(
            IssuerState(keys.settings.issuer, keys.tried, keys.healthy)
            for keys in self._methods.remote
        )

    @property
    def remote(self) -> Sequence[RemoteKeys]:
        """The key sets that `run` keeps fresh; the next version starts from them."""
        return self._methods.remote

    def _ambient(self, inbound: Inbound, now: float) -> Caller:
        """A caller known by its connection alone."""
        peer = inbound.peer
        if peer.uris is not None or peer.dns_names is not None:
            # TLS verifies a certificate once; connections and resumed sessions may outlive it.
            name = self._methods.certificates.find(peer) if now < peer.until else None
            if name is None:
                names = ", ".join((*(peer.uris or ()), *(peer.dns_names or ())))
                raise IdentityRefused("caller_unknown", "certificate", "", names)
            return Caller(name, "certificate")
        name = self._methods.networks.find(peer)
        if name is None:
            raise unauthenticated("no_credential")
        if sign := browser_sign(inbound, self._methods.own_names):
            detail = _LOOKS_LIKE_A_PAGE if sign == "user_agent" else _REFUSED_TO_PAGES
            raise CallerError("browser_refused", detail, cause=sign)
        return Caller(name, "network")
