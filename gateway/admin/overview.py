"""Collects what the components know into one `Status`. Reads only; nothing waits for it.

What grows with the number of tenants is looked at in a thread, and no more often than needed.
"""

import asyncio
import math
import time
from dataclasses import replace
from typing import Final

from gateway import __version__
from gateway.admin import concerns
from gateway.admin.advice import key_advice
from gateway.admin.configuration import callers, configuration, issuers
from gateway.admin.failure import Failure
from gateway.admin.history import STEP, History, Interval, quantile, sum_of
from gateway.admin.sources import StatusSources
from gateway.admin.view import (
    Concern,
    FailedAttempts,
    IntervalRow,
    KeyRow,
    Status,
    TenantSummary,
    Traffic,
    UpstreamStatus,
)
from gateway.settings.load import Loaded
from gateway.settings.wording import masked, masked_name
from gateway.vault.report import KeyState, Now, Survey, survey

MOST_TENANTS: Final = 50
_SURVEY_SECONDS: Final = 5.0  # 100,000 tenants take some 50 ms
_MINUTE: Final = int(60 / STEP)


class Overview:
    """The status, whenever it is asked for. All methods belong to one event loop."""

    def __init__(self, sources: StatusSources) -> None:
        self._sources = sources
        self._looking = asyncio.Lock()
        self._survey: Survey | None = None
        self._surveyed = 0.0

    async def status(self) -> Status:
        """Everything as of now; of the tenants, as of a few seconds ago at most."""
        found = await self._tenants()
        sources, now = self._sources, time.time()
        loaded, clock = sources.loaded(), time.perf_counter()
        readiness = sources.health.readiness()
        up = now - sources.recent_events.started_at
        traffic = _traffic(sources.history.steps(clock), clock, up)
        upstream = self._upstream(loaded)
        tenants = _tenants(found, loaded, sources.history)
        policies = sources.services.grants.policies
        known = callers(sources.callers(), policies, sources.history, now - clock)
        who = issuers(
            loaded.settings, sources.services.authenticator.issuers(), sources.recent_events
        )
        ends = {name: read() for name, read in sources.certificates.items()}
        ends = {name: end for name, end in ends.items() if not math.isnan(end)}
        settings = configuration(loaded, sources.recent_events, found.warnings, ends)
        worries: list[Concern] = [
            *concerns.upstream_concerns(upstream, traffic, now),
            *concerns.tenants_concerns(tenants),
            *concerns.configuration_concerns(settings),
            *concerns.certificates_concerns(ends, now),
            *concerns.health_concerns(readiness.state, readiness.checks),
            *concerns.callers_concerns(known, who),
        ]
        return Status(
            version=__version__,
            at=now,
            started_at=sources.recent_events.started_at,
            state=readiness.state,
            checks=readiness.checks,
            concerns=tuple(sorted(worries, key=lambda concern: concern.level)),
            traffic=traffic,
            upstream=upstream,
            failures=tuple(map(_failure, reversed(sources.history.failures))),
            tenants=tenants,
            callers=known,
            issuers=who,
            configuration=settings,
        )

    async def _tenants(self) -> Survey:
        async with self._looking:
            if self._survey is None or time.monotonic() - self._surveyed > _SURVEY_SECONDS:
                vault = self._sources.services.vault
                now = Now(time.monotonic(), time.time())
                self._survey = await asyncio.to_thread(
                    lambda: survey(vault.rings(), vault.sharing, now, MOST_TENANTS)
                )
                self._surveyed = now.monotonic
            return self._survey

    def _upstream(self, loaded: Loaded) -> UpstreamStatus:
        recent_events, services = self._sources.recent_events, self._sources.services
        pools = self._sources.transport().pools
        settings = loaded.settings.upstream
        changed, last = recent_events.circuit, recent_events.last_failed_attempt
        return UpstreamStatus(
            url=masked(settings.url),
            proxy=masked(settings.proxy or ""),
            circuit="open" if services.sender.circuit_open else "closed",
            circuit_since=changed.at if changed else None,
            circuit_reason=changed.reason if changed else "",
            file_hosts_open=tuple(
                masked(host.decode())
                for host, sender in services.files.senders.items()
                if sender.circuit_open
            ),
            in_flight=services.permits.in_flight,
            active=sum(pool.active for pool in pools),
            idle=sum(pool.idle for pool in pools),
            waiting=sum(pool.waiting for pool in pools),
            max_connections=settings.max_connections,
            failed_attempts=tuple(
                FailedAttempts(kind, count)
                for kind, count in recent_events.failed_attempts.most_common()
            ),
            last_failed_at=last.at if last else None,
            last_failed_kind=last.kind if last else "",
        )


def _traffic(steps: list[Interval], clock: float, up: float) -> Traffic:
    """`steps` are the complete ones and the one in progress; `up` is the process's age."""
    complete, minute = steps[:-1], sum_of(steps[-_MINUTE:])
    forwarded = sum(minute.latency)
    seconds = min((_MINUTE - 1) * STEP + clock % STEP, max(up, 1.0))
    offset = time.time() - clock
    return Traffic(
        requests_per_second=minute.requests / seconds,
        requests=minute.requests,
        refused=minute.refused,
        failed=minute.failed,
        p50=quantile(minute.latency, 0.5),
        p95=quantile(minute.latency, 0.95),
        own_seconds=minute.own / forwarded if forwarded else None,
        step_seconds=STEP,
        steps=tuple(
            _interval(step, offset) for step in complete if (step.number + 1) * STEP > clock - up
        ),
    )


def _interval(step: Interval, offset: float) -> IntervalRow:
    return IntervalRow(
        at=step.number * STEP + offset,
        requests=step.requests,
        refused=step.refused,
        failed=step.failed,
        p50=quantile(step.latency, 0.5),
        p95=quantile(step.latency, 0.95),
    )


def _tenants(found: Survey, loaded: Loaded, history: History) -> TenantSummary:
    discover = loaded.vault.discover
    keys = tuple(_key(state, history.tenants_failed) for state in found.states)
    where = discover.key.describe() if discover else ""
    return TenantSummary(
        total=found.total,
        troubled=found.troubled,
        ending=found.ending,
        discovery=where,
        keys=keys,
    )


def _failure(failure: Failure) -> Failure:
    caller, tenant = masked_name(failure.caller), masked_name(failure.tenant)
    return replace(failure, caller=caller, tenant=tenant)


def _key(state: KeyState, failed: dict[str, int]) -> KeyRow:
    return KeyRow(
        tenant=masked_name(state.tenant),
        slot=state.slot,
        source=state.source,
        fingerprint=state.fingerprint,
        expires_at=state.expires_at,
        pinned=state.pinned,
        state=state.state,
        advice=key_advice(state.state, state.source),
        read_at=state.read_at,
        used_at=state.used_at,
        failed=failed.get(state.tenant, 0),
    )
