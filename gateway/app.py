"""The composition root: a loaded configuration becomes wired objects, all made here, visibly.

Law: makes, connects and replaces; decides nothing about a request.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from starlette.applications import Starlette
from starlette.routing import Router

from gateway.admin.app import admin_app
from gateway.admin.health import DRAINING, READY
from gateway.compiled import (
    CompiledConfiguration,
    compile_configuration,
    files_of,
    new_sender,
    new_transport,
    restart_required,
    trust_of,
    with_file,
)
from gateway.errors import ConfigurationError, Problem
from gateway.events import ConfigReloaded, Events, Noticed
from gateway.identity.authenticator import Authenticator
from gateway.identity.listener_tls import CurrentListenerTls
from gateway.inbound import RequestIds
from gateway.observe.logs import Logger, describe_exception
from gateway.observers import Observers
from gateway.pipeline import Pipeline
from gateway.policy.permits import Permits
from gateway.policy.rates import RateRules, Rates
from gateway.policy.rates_shared import SharedRates, connect, is_shared
from gateway.services import Services
from gateway.settings.load import Loaded, load
from gateway.settings.schema import Settings
from gateway.upstream.sender import Sender
from gateway.upstream.transport import Transport
from gateway.upstream.workspace import WorkspaceCheck
from gateway.vault.snapshot import Snapshot
from gateway.vault.vault import Vault
from gateway.watcher import Watcher

RESTART_SECONDS: Final = 1.0  # after a defect ended a background loop


class _Next(NamedTuple):
    """All that a reload takes into use: with it in hand, nothing can fail any more."""

    loaded: Loaded
    compiled: CompiledConfiguration
    snapshot: Snapshot
    transport: Transport
    shared_rates: SharedRates | None


class Gateway:
    """The program, wired but not yet serving: its two ASGI applications and their life span.

    Must be made within the running event loop; `load` must be awaited before it serves. Raises
    `ConfigurationError` if Invopop's trust anchor cannot be read.
    """

    def __init__(self, loaded: Loaded, environ: Mapping[str, str], logger: Logger) -> None:
        settings = loaded.settings
        self.loaded = loaded
        self._started = settings
        self._environ = environ
        self._shared_rates: SharedRates | None = None
        self._authenticating: asyncio.Task[None] | None = None
        self.listener_tls = CurrentListenerTls()
        self.new_request_id = RequestIds()
        self.events = Events()
        self.observers = Observers(settings, logger)
        self.observers.observe(self.events)
        self._trust = trust_of(settings.upstream, str(loaded.file))
        self.transport = new_transport(settings.upstream, self._trust.context, self.events.emit)
        self._check_workspace = WorkspaceCheck(self._sender(settings, circuit=False))
        self.vault = Vault(settings, loaded.vault, environ, self.events.emit, self._check_workspace)
        self._watcher = Watcher(self.reload)
        self._loading_since = time.time()
        self.health = self.observers.health
        self.admin: Starlette
        self.services: Services
        self.callers: Router

    # Start and end

    async def load(self) -> None:
        """Compiles it and reads the keys. Raises `ConfigurationError` with all problems."""
        compiled, problems = None, list[Problem]()
        try:
            compiled = await compile_configuration(self.loaded, self.vault, self.events.emit)
        except ConfigurationError as error:
            problems += error.problems
        problems += with_file(await self.vault.load(), self.loaded)
        problems += await self.observers.audit_and_traces.problems(
            str(self.loaded.file), self.vault.resolve
        )
        if problems or compiled is None:
            raise ConfigurationError(problems)
        self.services = self._new_rooms(self.loaded.settings, compiled)
        self.listener_tls.current = compiled.listener
        self._watch_files()
        self.observers.watch(self.services, lambda: self.transport)
        overview = self.observers.overview(
            self.services, lambda: self.transport, lambda: self.loaded
        )
        self.admin = admin_app(self.health, self.observers.metrics.exposition, overview)
        # A bare router: the application's own middleware costs 5 % and catches what we answer.
        pipeline = Pipeline(self.services, self.new_request_id, self.events.emit)
        self.callers = Router(default=pipeline, redirect_slashes=False, lifespan=self._lifespan)
        self._tell_warnings()

    def ask_reload(self) -> None:
        """Has the configuration loaded again soon, changed or not: for `SIGHUP`."""
        self._watcher.ask()

    def drain(self) -> None:
        """The end has been asked for: readiness says so."""
        self.health.state = DRAINING

    async def aclose(self) -> None:
        """Gives up connections to stores and to Invopop."""
        await self.vault.aclose()
        await self.transport.aclose()
        if self._shared_rates is not None:
            await self._shared_rates.aclose()

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        """Owns every background loop."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            keys, files = self._restarting(self.vault.run), self._restarting(self._watcher.run)
            loops = [group.create_task(keys), group.create_task(files)]
            self._authenticate(self.services.authenticator)
            self.observers.metrics.configuration_in_force(took_effect=True)
            self.health.state = READY
            # What was loaded lives long: full collections need not walk it while requests wait.
            gc.collect()
            gc.freeze()
            try:
                yield
            finally:
                for loop in (*loops, self._authenticating):
                    if loop is not None:
                        loop.cancel()
        await self.aclose()

    async def _restarting(self, run: Callable[[], Awaitable[None]]) -> None:
        """Runs a background loop; should a defect end it, tells so and starts it again."""
        while True:
            try:
                return await run()
            except Exception as error:  # noqa: BLE001 - requests must not pay for a loop's defect
                self.events.emit(Noticed("background_failure", "error", describe_exception(error)))
                await asyncio.sleep(RESTART_SECONDS)

    # Reload

    async def reload(self) -> None:
        """Takes the configuration as it is now into use, whole or not at all; tells of it."""
        self._loading_since = time.time()
        try:
            with _gentle_on_requests():
                await self._reload()
        except Exception as defect:
            # Told like any other failure; where it was raised, whoever runs the loop tells.
            self.events.emit(ConfigReloaded("failure", (f"a defect: {type(defect).__name__}",)))
            raise

    async def _reload(self) -> None:
        try:
            new = await self._prepare()
        except ConfigurationError as error:
            await self.vault.reread()  # a broken file must not hold up a rotated key
            self._watch_files(error)
            problems = tuple(str(problem) for problem in error.problems)
            self.events.emit(ConfigReloaded("failure", problems))
            return
        await self._commit(new)
        changed = restart_required(self._started, new.loaded.settings)
        self.events.emit(ConfigReloaded("success", restart_required=changed))
        self._tell_warnings()

    async def _prepare(self) -> "_Next":
        """The configuration as it is now, made. Raises `ConfigurationError` with it as draft."""
        new = await asyncio.to_thread(load, self.loaded.file, self._environ)
        try:
            compiled = await compile_configuration(new, self.vault, self.events.emit)
            shared = self._share(new, compiled, self.services.rates)
        except ConfigurationError as error:
            raise ConfigurationError(error.problems, draft=new) from None
        upstream, transport = new.settings.upstream, self.transport
        if upstream != self.loaded.settings.upstream or compiled.trust.anchor != self._trust.anchor:
            transport = new_transport(upstream, compiled.trust.context, self.events.emit)
        snapshot = await self.vault.prepare(new.vault, new.settings)
        if snapshot.problems:
            raise ConfigurationError(with_file(snapshot.problems, new), draft=new)
        return _Next(new, compiled, snapshot, transport, shared)

    async def _commit(self, new: "_Next") -> None:
        """One step for requests: nothing is awaited before everything is replaced."""
        services, compiled, settings = self.services, new.compiled, new.loaded.settings
        limits = settings.limits
        self.vault.commit(new.snapshot)
        self.loaded = new.loaded
        compiled.authenticator.adopt(services.authenticator)
        services.authenticator, services.grants = compiled.authenticator, compiled.grants
        services.max_body = limits.max_body
        services.permits.max_in_flight = limits.max_in_flight
        services.permits.max_per_tenant = limits.max_in_flight_per_tenant
        services.rates.rules = RateRules.of(limits, settings.callers)
        shared, transport = services.shared_rates, self.transport
        services.shared_rates = self._shared_rates = new.shared_rates
        if new.transport is not transport:
            self._trust, self.transport = compiled.trust, new.transport
            services.sender = self._sender(settings)
            self._check_workspace.sender = self._sender(settings, circuit=False)
        self._authenticate(compiled.authenticator)
        self._watch_files()
        await self.listener_tls.apply(settings, compiled.listener)
        if transport is not self.transport:
            await transport.aclose()
        if shared is not None:
            await shared.aclose()

    def _authenticate(self, authenticator: Authenticator) -> None:
        """Lets the new version refresh its issuers' keys, in place of the old."""
        if self._authenticating is not None:
            self._authenticating.cancel()
        self._authenticating = self._group.create_task(self._restarting(authenticator.run))

    def _watch_files(self, refused: ConfigurationError | None = None) -> None:
        """What is in use; of a configuration that was refused also what may come to mend it."""
        files = files_of(self.loaded) | self.vault.files()
        if refused is not None:
            files |= {Path(problem.file) for problem in refused.problems if problem.file}
            if isinstance(refused.draft, Loaded):
                files |= files_of(refused.draft)
        self._watcher.watch(files, self._loading_since)

    # Making

    def _new_rooms(self, settings: Settings, compiled: CompiledConfiguration) -> Services:
        limits = settings.limits
        rates = Rates(RateRules.of(limits, settings.callers))
        self._shared_rates = self._share(self.loaded, compiled, rates)
        return Services(
            authenticator=compiled.authenticator,
            grants=compiled.grants,
            rates=rates,
            permits=Permits(limits.max_in_flight, limits.max_in_flight_per_tenant),
            vault=self.vault,
            sender=self._sender(settings),
            max_body=limits.max_body,
            shared_rates=self._shared_rates,
        )

    def _sender(self, settings: Settings, *, circuit: bool = True) -> Sender:
        return new_sender(self.transport, settings.upstream, self.events.emit, circuit=circuit)

    def _share(
        self, loaded: Loaded, compiled: CompiledConfiguration, rates: Rates
    ) -> SharedRates | None:
        """The rate limits that replicas share, if they do. Raises `ConfigurationError`."""
        limits = loaded.settings.limits
        if not is_shared(limits):
            return None
        try:
            return connect(limits, compiled.storage_password, rates, self.events.emit)
        except ConfigurationError as error:
            raise ConfigurationError(with_file(error.problems, loaded)) from None

    def _tell_warnings(self) -> None:
        for warning in self.loaded.warnings:
            self.events.emit(Noticed("configuration_warning", "warning", {"detail": warning}))


@contextmanager
def _gentle_on_requests() -> Iterator[None]:
    """Loads beside requests: no full collection meanwhile, and short turns for other threads.

    With 10,000 tenants one collection holds requests up for some 50 ms.
    """
    turn = sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.freeze()
        gc.enable()
