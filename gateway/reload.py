"""Takes a changed configuration into use while requests go on, whole or not at all.

Rule: whatever can fail comes first; then everything is replaced without an `await` in between.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.admin.shown_callers import ShownCaller, shown_callers
from gateway.compiled import (
    CompiledConfiguration,
    Trust,
    attempt,
    compile_configuration,
    files_of,
    new_enrollment_call,
    new_file_hosts,
    new_sender,
    new_transport,
    restart_required,
    trust_of,
)
from gateway.errors import ConfigurationError, Problem
from gateway.events import ConfigReloaded, Emit, Noticed
from gateway.identity.listener_tls import CurrentListenerTls
from gateway.policy.rates import RateRules
from gateway.policy.rates_shared import LOOK_SECONDS
from gateway.services import Services
from gateway.settings.environment import attributed
from gateway.settings.load import Loaded, load
from gateway.settings.positions import located
from gateway.upstream.enrollment import EnrollmentCall, EnrollmentCalls
from gateway.upstream.sender import Sender
from gateway.upstream.transport import Transport
from gateway.upstream.workspace import WorkspaceCheck
from gateway.vault.equal_keys import equal_keys
from gateway.vault.snapshot import Snapshot
from gateway.watcher import Watcher


@dataclass(slots=True)
class InUse:
    """What a reload replaces. Of `services` it replaces the members.

    `loaded` is without callers and listed tenants; of `callers` there is what is shown.
    """

    loaded: Loaded
    callers: Mapping[str, ShownCaller]
    trust: Trust
    transport: Transport
    services: Services
    workspace_check: WorkspaceCheck
    enrollments: EnrollmentCalls
    listener_tls: CurrentListenerTls


class _Next(NamedTuple):
    """All that a reload takes into use: once this is made, nothing can fail any more."""

    loaded: Loaded
    callers: Mapping[str, ShownCaller]
    rates: RateRules
    compiled: CompiledConfiguration
    snapshot: Snapshot
    trust: Trust
    transport: Transport


class Reloader:
    """Watches the files in use, and reloads when one changes or when asked.

    `since` is the wall clock when reading the configuration began.
    """

    def __init__(self, in_use: InUse, environ: Mapping[str, str], emit: Emit, since: float) -> None:
        self.in_use = in_use
        self._environ = environ
        self._emit = emit
        self._settings_at_start = in_use.loaded.settings
        self._reading_since = since
        self._refreshing: asyncio.Task[None] | None = None
        self._watcher = Watcher(self.reload)
        self._watch_files()

    async def watch(self) -> None:
        """Reloads whenever that is due, until cancelled."""
        await self._watcher.run()

    def ask(self) -> None:
        """Requests a reload soon, whether or not a file has changed: for `SIGHUP`."""
        self._watcher.ask()

    async def refresh_issuers(self) -> None:
        """Keeps the issuers' keys fresh, of the version in use, until cancelled."""
        while True:
            async with asyncio.TaskGroup() as group:
                # A reload cancels the task: the next turn runs the new version's.
                authenticator = self.in_use.services.authenticator
                self._refreshing = group.create_task(authenticator.run())

    async def watch_rate_storage(self) -> None:
        """Knows whether it is there also while no request asks it, until cancelled."""
        while True:
            if (rates := self.in_use.services.shared_rates) is not None:
                await rates.look(time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    async def reload(self) -> None:
        """Takes the configuration, as it is now, into use; emits how that went."""
        self._reading_since = time.time()
        try:
            with _without_long_pauses():
                await self._reload()
        except Exception as defect:
            # Reported as any other failure; whoever runs the loop logs where it was raised.
            self._emit(ConfigReloaded("failure", (f"a defect: {type(defect).__name__}",)))
            raise

    def log_warnings(self, more: Iterable[str]) -> None:
        """Logs what is allowed in the configuration, but probably not intended.

        `more` is what only the keys themselves tell.
        """
        for warning in (*self.in_use.loaded.warnings, *more):
            self._emit(Noticed("configuration_warning", "warning", {"detail": warning}))

    async def _reload(self) -> None:
        try:
            new = await self._prepare()
        except ConfigurationError as error:
            # A broken file must not hold up a rotated key.
            await self.in_use.services.vault.reread()
            self._watch_files(error)
            problems = await asyncio.to_thread(located, error.problems)
            self._emit(ConfigReloaded("failure", tuple(map(str, problems))))
            return
        await self._commit(new)
        changed = restart_required(self._settings_at_start, new.loaded.settings)
        self._emit(ConfigReloaded("success", restart_required=changed))
        vault = self.in_use.services.vault
        # In a thread: with 100,000 tenants this takes longer than a request should wait.
        self.log_warnings(await asyncio.to_thread(equal_keys, vault.rings()))

    async def _prepare(self) -> _Next:
        """The configuration as it is now. Raises `ConfigurationError` with it as `draft`."""
        current, services, problems = self.in_use, self.in_use.services, list[Problem]()
        new = await asyncio.to_thread(load, current.loaded.file, self._environ)
        compiling = compile_configuration(
            new, services.vault, services.rates, self._emit, services.shared_rates
        )
        compiled = await attempt(compiling, problems)
        trust = await attempt(trust_of(new), problems)
        snapshot = await services.vault.prepare(new.vault, new.settings)
        problems += snapshot.problems
        if problems or compiled is None or trust is None:
            found = attributed(problems, str(new.file), self._environ)
            raise ConfigurationError(found, draft=new)
        upstream, transport = new.settings.upstream, current.transport
        if upstream != current.loaded.settings.upstream or trust.anchor != current.trust.anchor:
            resolver = transport.resolver
            transport = new_transport(upstream, trust.context, self._emit, resolver)
        rates = compiled.shared_rates
        if rates is not None and rates is not services.shared_rates:
            await rates.look(time.monotonic())
        callers = await asyncio.to_thread(shown_callers, new.settings)
        rules = RateRules.of(new.settings.limits, new.settings.callers)
        return _Next(new.without_members(), callers, rules, compiled, snapshot, trust, transport)

    async def _commit(self, new: _Next) -> None:
        """For requests this is one step: nothing is awaited before everything is replaced."""
        current, services = self.in_use, self.in_use.services
        compiled, settings = new.compiled, new.loaded.settings
        limits = settings.limits
        services.vault.commit(new.snapshot)
        current.loaded, current.callers = new.loaded, new.callers
        compiled.authenticator.adopt(services.authenticator)
        services.authenticator, services.grants = compiled.authenticator, compiled.grants
        services.tunnels = compiled.tunnels
        services.max_body = limits.max_body
        services.permits.max_in_flight = limits.max_in_flight
        services.permits.max_per_tenant = limits.max_in_flight_per_tenant
        services.rates.rules = new.rates
        shared, transport = services.shared_rates, current.transport
        services.shared_rates = compiled.shared_rates
        retired: list[Transport | EnrollmentCall] = []
        if new.transport is not transport:
            current.trust, current.transport = new.trust, new.transport
            services.sender = self._new_sender(circuit=True)
            services.files = new_file_hosts(new.transport, settings.upstream, self._emit)
            current.workspace_check.sender = self._new_sender(circuit=False)
            retired += [transport, current.enrollments.current]
            current.enrollments.current = new_enrollment_call(
                settings.upstream, new.trust.context, self._emit, new.transport.resolver
            )
        if self._refreshing is not None:
            self._refreshing.cancel()
        self._watch_files()
        await current.listener_tls.apply(settings, compiled.listener)
        for old in retired:
            await old.aclose()
        if shared is not None and shared is not services.shared_rates:
            await shared.aclose()

    def _new_sender(self, *, circuit: bool) -> Sender:
        current = self.in_use
        upstream = current.loaded.settings.upstream
        return new_sender(current.transport, upstream, self._emit, circuit=circuit)

    def _watch_files(self, refused: ConfigurationError | None = None) -> None:
        """Watches the files in use, and those whose change may fix a refused configuration."""
        files = files_of(self.in_use.loaded) | self.in_use.services.vault.files()
        if refused is not None:
            files |= {Path(problem.file) for problem in refused.problems if problem.file}
            if isinstance(refused.draft, Loaded):
                files |= files_of(refused.draft, refused=True)
        self._watcher.watch(files, self._reading_since)


@contextmanager
def _without_long_pauses() -> Iterator[None]:
    """No full garbage collection while a configuration is made, and short turns for other threads.

    With 10,000 tenants one collection would stop all requests for some 50 ms.
    """
    switch_interval = sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_interval)
        gc.freeze()
        gc.enable()
