"""The composition root: a loaded configuration becomes wired objects, all made here, visibly.

Rule: makes and connects; decides nothing about a request.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from math import nan
from typing import Final

from starlette.routing import Router

from gateway.admin.app import admin_app
from gateway.admin.shown_callers import shown_callers
from gateway.asgi import Receive, Scope, Send
from gateway.compiled import (
    attempt,
    compile_configuration,
    new_enrollment_call,
    new_file_hosts,
    new_sender,
    new_transport,
    trust_nobody,
    trust_of,
)
from gateway.errors import ConfigurationError, Problem, with_file
from gateway.events import ConfigReloaded, Emit, Events, Noticed
from gateway.identity.listener_tls import CurrentListenerTls
from gateway.inbound import RequestIds
from gateway.observe.logs import Logger, describe_exception
from gateway.observers import Observers
from gateway.pipeline import Pipeline
from gateway.policy.permits import Permits
from gateway.policy.rates import RateRules, Rates
from gateway.reload import InUse, Reloader
from gateway.services import Services
from gateway.settings.environment import attributed
from gateway.settings.load import Loaded
from gateway.turns import Turns
from gateway.upstream.enrollment import EnrollmentCalls
from gateway.upstream.workspace import WorkspaceCheck
from gateway.vault.equal_keys import equal_keys
from gateway.vault.upkeep import InvopopCalls
from gateway.vault.vault import Vault

RESTART_SECONDS: Final = 1.0  # after a defect ended a background loop


class _CallersApp:
    """The callers' application. Requests go straight to the pipeline: a router costs each of them.

    Starlette's router runs the life span.
    """

    def __init__(self, pipeline: Pipeline, router: Router) -> None:
        self._pipeline = pipeline
        self._router = router

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._pipeline(scope, receive, send)
        return self._router(scope, receive, send)


class Gateway:
    """The program, wired but not yet serving: its two ASGI applications and their life span."""

    def __init__(self, events: Events, observers: Observers, reloader: Reloader) -> None:
        self.events = events
        self.observers = observers
        self.reloader = reloader
        self.in_use = in_use = reloader.in_use
        self.services = in_use.services
        self.new_request_id = RequestIds()
        self._health = observers.health
        observers.watch(self.services, lambda: in_use.transport)
        if in_use.listener_tls.current is not None:
            observers.watch_certificate(
                "callers", "listen.tls_certificate", in_use.listener_tls.expires_at
            )
        self._watch_tunnels()
        events.subscribe(ConfigReloaded, lambda _: self._watch_tunnels())
        sources = observers.status_sources(
            self.services,
            lambda: in_use.transport,
            lambda: in_use.loaded,
            lambda: in_use.callers,
        )
        self.admin = admin_app(self._health, observers.metrics.exposition, sources)
        pipeline = Pipeline(self.services, self.new_request_id, events.emit)
        self.callers = _CallersApp(pipeline, Router(lifespan=self._lifespan))
        reloader.log_warnings(equal_keys(self.services.vault.rings()))

    def _watch_tunnels(self) -> None:
        """A reload may turn tunnels on, and off again: then there is no expiry (NaN)."""
        services = self.services
        if services.tunnels is not None:
            self.observers.watch_certificate(
                "tunnel",
                "tunnel.certificate",
                lambda: services.tunnels.expires_at if services.tunnels is not None else nan,
            )

    def drain(self) -> None:
        """Shutdown was requested: readiness says so."""
        self._health.state = "draining"

    async def aclose(self) -> None:
        """Closes the connections to stores and to Invopop."""
        await self.services.vault.aclose()
        await self.in_use.enrollments.aclose()
        await self.in_use.transport.aclose()
        if self.services.shared_rates is not None:
            await self.services.shared_rates.aclose()

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        """Owns every background loop."""
        reloader = self.reloader
        loops = (
            self.services.vault.run,
            reloader.watch,
            reloader.refresh_issuers,
            reloader.watch_rate_storage,
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_supervise(loop, self.events.emit)) for loop in loops]
            self.observers.metrics.configuration_in_force(took_effect=True)
            self._health.state = "ready"
            # What was loaded lives long: full collections need not walk it while requests wait.
            # Not collected first: a start leaves 650 objects in cycles, and takes a tenth longer.
            gc.freeze()
            # Requests leave few cycles: looked for every 700 objects, they took a fifth of the time
            # of a busy gateway with 10,000 tenants.
            gc.set_threshold(10_000, 20, 20)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        await self.aclose()


async def open_gateway(loaded: Loaded, environ: Mapping[str, str], logger: Logger) -> Gateway:
    """Makes the program: compiles the configuration, reads the keys on this machine, connects.

    Nothing is served yet. Await `aclose` in the end, unless the life span of `callers` was run.
    Raises `ConfigurationError` with all problems.
    """
    since = time.time()
    events, observers = Events(), Observers(loaded.settings, logger)
    observers.subscribe(events)
    in_use = await _wire(loaded, environ, observers, events.emit)
    return Gateway(events, observers, Reloader(in_use, environ, events.emit, since))


async def _wire(
    loaded: Loaded, environ: Mapping[str, str], observers: Observers, emit: Emit
) -> InUse:
    settings, problems = loaded.settings, list[Problem]()
    upstream, limits = settings.upstream, settings.limits
    async with AsyncExitStack() as on_failure:
        trust = await attempt(trust_of(loaded), problems) or trust_nobody()
        transport = new_transport(upstream, trust.context, emit)
        on_failure.push_async_callback(transport.aclose)
        check = WorkspaceCheck(new_sender(transport, upstream, emit, circuit=False))
        enrollments = EnrollmentCalls(
            new_enrollment_call(upstream, trust.context, emit, transport.resolver)
        )
        on_failure.push_async_callback(enrollments.aclose)
        calls = InvopopCalls(check.ask, enrollments.post)
        vault = Vault(settings, loaded.vault, environ, emit, calls)
        on_failure.push_async_callback(vault.aclose)
        rates = Rates(RateRules.of(limits, settings.callers))
        compiled = await attempt(compile_configuration(loaded, vault, rates, emit), problems)
        problems += with_file(await vault.load(), str(loaded.file))
        problems += await observers.problems(str(loaded.file), vault.resolve)
        if problems or compiled is None:
            raise ConfigurationError(attributed(problems, str(loaded.file), environ))
        on_failure.pop_all()
    services = Services(
        authenticator=compiled.authenticator,
        grants=compiled.grants,
        rates=rates,
        permits=Permits(limits.max_in_flight, limits.max_in_flight_per_tenant),
        turns=Turns(asyncio.get_running_loop()),
        vault=vault,
        sender=new_sender(transport, upstream, emit, circuit=True),
        files=new_file_hosts(transport, upstream, emit),
        max_body=limits.max_body,
        proxy_variable=settings.listen.proxy_variable,
        shared_rates=compiled.shared_rates,
        tunnels=compiled.tunnels,
    )
    listener_tls = CurrentListenerTls(compiled.listener)
    callers, kept = shown_callers(settings), loaded.without_members()
    return InUse(kept, callers, trust, transport, services, check, enrollments, listener_tls)


async def _supervise(loop: Callable[[], Awaitable[None]], emit: Emit) -> None:
    """Runs a background loop; if a defect ends it, logs that and starts it again."""
    while True:
        try:
            return await loop()
        except Exception as error:  # noqa: BLE001 - requests must not pay for a loop's defect
            emit(Noticed("background_failure", "error", describe_exception(error)))
            await asyncio.sleep(RESTART_SECONDS)
