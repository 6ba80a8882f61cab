"""May this request be sent? Who calls, for which tenant, which operation, as of now.

Rule: sends nothing. A verdict is renewed after every wait, by what is in force then.
"""

from time import perf_counter, time
from typing import Final

from gateway.errors import CallerError, GatewayError, tenant_denied
from gateway.identity.authenticator import Authenticator, SigningKeyNeeded
from gateway.identity.credentials import IdentityRefused, without_copies
from gateway.inbound import Head
from gateway.inbound_body import body_too_large
from gateway.model import Caller, Exchange, Grant
from gateway.policy.grants import Grants, OperationDenied
from gateway.services import Services

# Seconds until a verdict is renewed though no reload came: its token may expire, or the issuer may
# withdraw a signing key. What does not wait is sent sooner.
MAX_AGE: Final = 0.1
_BY_CREDENTIAL: Final = frozenset({"token", "jwt"})


class Admission:
    """The verdict on one request. `grant` is the newest; `admit` makes the first."""

    __slots__ = ("_authenticator", "_caller", "_grants", "_judged_at", "_services", "_x", "head")

    def __init__(self, services: Services, x: Exchange, head: Head) -> None:
        self._services = services
        self._x = x
        self.head = head
        self._authenticator: Authenticator | None = None
        self._grants: Grants | None = None
        self._caller = ""
        self._judged_at = 0.0

    async def admit(self) -> Grant:
        """The first verdict: checks caller, tenant, operation and size, in this order.

        Raises `CallerError`.
        """
        x = self._x
        if x.trace is not None:
            x.step("authenticate")
        caller = await self.authenticate()
        if self.head.trace is not None:
            x.join_trace(self.head.trace)
        if x.trace is not None:
            x.step("authorize")
        grant = self._authorize(caller)
        x.operation, x.route, x.rule = grant.operation, grant.route, grant.rule
        if self._services.vault.has(grant.tenant):  # else the name is only what a client sent
            x.tenant = grant.tenant
        limit = self._services.max_body
        if limit and (self.head.inbound.content_length or 0) > limit:
            raise body_too_large(limit)
        return grant

    def holds(self, grant: Grant) -> bool:
        """Whether the verdict would be the same now."""
        services = self._services
        if (
            services.authenticator is self._authenticator
            and services.grants is self._grants
            and perf_counter() - self._judged_at < MAX_AGE
        ):
            return True
        try:
            caller = services.authenticator.authenticate(
                self.head.inbound, self.head.credential, time()
            )
            return caller.name == self._caller and self._authorize(caller) == grant
        except GatewayError:
            return False

    async def after_wait(self, grant: Grant) -> Grant:
        """The verdict after a wait: the same if it holds, else renewed. Raises `CallerError`."""
        return grant if self.holds(grant) else await self.renew(grant)

    async def renew(self, grant: Grant) -> Grant:
        """The verdict as of now, for the same tenant. Raises `CallerError`."""
        x = self._x
        renewed = self._authorize(await self.authenticate())
        if renewed.tenant != grant.tenant:  # a request never changes the company it acts for
            raise tenant_denied("tenant_changed")
        x.operation, x.route, x.rule = renewed.operation, renewed.route, renewed.rule
        x.would_deny = renewed.would_deny
        return renewed

    async def authenticate(self) -> Caller:
        """The caller. Raises `CallerError`, after waiting for an issuer's keys if need be."""
        try:
            return self._identify()
        except SigningKeyNeeded as error:
            needed = error
        began = perf_counter()
        await self._services.authenticator.fetch_keys(needed)
        self._x.waited_seconds += perf_counter() - began
        return self._identify()  # by now the configuration, or the time, may say otherwise

    def _identify(self) -> Caller:
        """The caller. Raises `CallerError`, as `SigningKeyNeeded` if waiting may help."""
        x, inbound, shown = self._x, self.head.inbound, self.head.credential
        try:
            caller = self._services.authenticator.authenticate(inbound, shown, time())
        except CallerError as refused:
            if refused.key == "unauthenticated" and inbound.proxy_form:
                refused.status = 407  # RFC 9110 15.5.8: a proxy asks with its own status
                refused.detail = f"Show a valid token to the proxy: {self._services.proxy_variable}"
            if isinstance(refused, IdentityRefused):
                x.issuer, x.subject = refused.issuer, refused.subject
            raise
        x.caller, x.by = caller.name, caller.by
        if shown is not None and caller.by in _BY_CREDENTIAL:
            unread = self.head.unread
            if unread:
                unread = self._services.authenticator.without_placeholders(unread)
            rest = without_copies(inbound, shown, unread)
            if rest is not inbound:
                self.head.inbound = rest
        return caller

    def _authorize(self, caller: Caller) -> Grant:
        """The grant for a caller who was just authenticated: checks tenant and operation."""
        x, services, inbound = self._x, self._services, self.head.inbound
        tenant = services.grants.tenant_of(caller, self.head.tenant_headers)
        services.vault.require(tenant)
        try:
            grant = services.grants.grant(caller, tenant, inbound.method, inbound.path)
        except OperationDenied as denied:
            decision = denied.decision
            x.operation, x.route, x.rule = decision.operation, decision.route, decision.rule
            if services.vault.has(tenant):
                x.tenant = tenant
            raise
        self._authenticator, self._grants = services.authenticator, services.grants
        self._caller, self._judged_at = caller.name, perf_counter()
        return grant
