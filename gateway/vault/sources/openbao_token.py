"""The gateway's own token for OpenBao: logs in, renews before it ends, logs in again if refused.

Rule: one login at a time, and not one right after the other: a store that denies is not flooded.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from gateway.network.http_client import failure_of
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.stores import OpenBao
from gateway.vault.sources.key_check import check_secret
from gateway.vault.sources.registry import open_source
from gateway.vault.sources.source import DENIED, UNAVAILABLE, Connections, SourceError

# Seconds from one login to the next, if it failed or its token was refused.
LOGIN_INTERVAL: Final = 2.0
RENEW_AT: Final = 2 / 3  # of a token's life
RETRY_RENEWAL: Final = (
    2.0  # seconds; also the shortest time between two renewals, but for dying tokens
)
ENDLESS: Final = 0.0


class Lease(NamedTuple):
    """A token and for how many seconds it lives; `ENDLESS` also if that is unknown."""

    token: Secret
    seconds: float


class Token:
    """A token from the configured login, renewed also while nobody reads."""

    def __init__(
        self, http: httpx.AsyncClient, settings: OpenBao, connections: Connections
    ) -> None:
        self._http = http
        self._settings = settings
        self._connections = connections
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._since = float("-inf")
        self._ends = float("inf")
        self._error: SourceError | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def current(self) -> Secret:
        """The token in use; logs in first if there is none."""
        return self._token or await self._login(None)

    async def after(self, refused: Secret) -> Secret | None:
        """Another token than the refused one; None if there is none."""
        now = time.monotonic()
        if self._token == refused and now < min(self._since + LOGIN_INTERVAL, self._ends):
            return None
        token = await self._login(refused)
        return token if token != refused else None

    async def aclose(self) -> None:
        """Ends the renewal. The token is not revoked: others may use it."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait((self._renewal,))

    async def _login(self, refused: Secret | None) -> Secret:
        # The one lock held over the network: whoever waits for it wants just this login.
        async with self._lock:
            if self._token is not None and self._token != refused:
                return self._token
            if self._error is not None and time.monotonic() < self._since + LOGIN_INTERVAL:
                raise SourceError(self._error.outcome, self._error.reason)
            self._since = time.monotonic()
            try:
                lease = await self._obtain()
            except SourceError as error:
                self._error = error
                raise
            self._error = None
            self._ends = self._since + lease.seconds if lease.seconds > 0 else float("inf")
            if self._renewal is not None:
                self._renewal.cancel()
            self._renewal = asyncio.get_running_loop().create_task(self._keep_alive(lease))
            self._token = lease.token
            return lease.token

    async def _obtain(self) -> Lease:
        settings = self._settings
        if settings.approle is not None:
            secret = await self._secret(settings.approle.secret_id)
            body = {"role_id": settings.approle.role_id, "secret_id": secret.reveal()}
            return await self._log_in(settings.approle.mount, body)
        if settings.kubernetes is not None:
            jwt = await self._secret(KeySource("file", str(settings.kubernetes.jwt_file)))
            body = {"role": settings.kubernetes.role, "jwt": jwt.reveal()}
            return await self._log_in(settings.kubernetes.mount, body)
        if settings.token is None:
            raise SourceError(
                DENIED, "OpenBao: no login is configured: set token, approle or kubernetes"
            )
        return await self._given(await self._secret(settings.token))

    async def _given(self, token: Secret) -> Lease:
        try:
            reply = await self._call("GET", "token/lookup-self", token=token)
        except SourceError as error:
            # A policy may forbid the question, not the token: reading will show.
            if error.outcome != DENIED:
                raise
            return Lease(token, ENDLESS)
        data = reply.get("data") or {}
        if not data.get("renewable") or not data.get("creation_ttl"):
            return Lease(token, ENDLESS)
        return Lease(token, max(1.0, _seconds(data.get("ttl"))))  # the server rounds down

    async def _log_in(self, mount: str, body: Mapping[str, str]) -> Lease:
        return _lease(await self._call("POST", f"{mount}/login", body=body))

    async def _keep_alive(self, lease: Lease) -> None:
        while lease.seconds > 0:
            await asyncio.sleep(lease.seconds * RENEW_AT)
            asked = time.monotonic()
            renewed = await self._renew(lease.token, asked + lease.seconds * (1 - RENEW_AT))
            # Near its greatest age a token gets ever shorter leases: a new login ends that.
            if renewed is None or renewed.seconds < lease.seconds / 2:
                self._token = None
                return
            self._ends = asked + renewed.seconds
            lease = renewed

    async def _renew(self, token: Secret, deadline: float) -> Lease | None:
        """The token's new lease; None if it is refused, or without an answer until `deadline`."""
        while time.monotonic() < deadline:
            try:
                return _lease(await self._call("POST", "token/renew-self", token=token))
            except SourceError as error:
                if error.outcome == DENIED:
                    return None
            await asyncio.sleep(RETRY_RENEWAL)
        return None

    async def _secret(self, source: KeySource) -> Secret:
        secret = await open_source(source.kind, self._connections).read(source)
        check_secret(secret)
        return secret

    async def _call(
        self,
        method: str,
        path: str,
        *,
        token: Secret | None = None,
        body: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        headers = {"X-Vault-Token": token.reveal()} if token is not None else {}
        try:
            reply = await self._http.request(method, f"v1/auth/{path}", headers=headers, json=body)
        except httpx.HTTPError as error:
            raise SourceError(UNAVAILABLE, f"OpenBao: {failure_of(error)}") from None
        document = body_of(reply)
        if reply.status_code == 200:
            return document
        # 400 is what a login with a wrong secret, or the renewal of an endless token gets.
        refused = reply.status_code in {400, 401, 403}
        reason = f"OpenBao: {path} answered {reply.status_code}"
        raise SourceError(DENIED if refused else UNAVAILABLE, reason)


def body_of(reply: httpx.Response) -> dict[str, Any]:
    """A reply's JSON object, or an empty one: garbage says nothing."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _lease(reply: dict[str, Any]) -> Lease:
    auth = reply.get("auth")
    token = auth.get("client_token") if isinstance(auth, dict) else None
    if not isinstance(auth, dict) or not isinstance(token, str) or not token:
        raise SourceError(UNAVAILABLE, "OpenBao: the reply holds no token")
    secret = Secret(token)
    check_secret(secret)
    return Lease(secret, _seconds(auth.get("lease_duration")) if auth.get("renewable") else ENDLESS)


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else ENDLESS
