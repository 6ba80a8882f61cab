"""The circuit breaker: while Invopop fails for everyone, requests are refused at once.

Decides; no I/O, emits nothing, time comes in as `now` (monotonic seconds). Opens only on failures
of two tenants' requests, or of the only tenant's with traffic.
"""

from math import ceil, inf
from typing import Final

from gateway.errors import GatewayFault
from gateway.events import CircuitChanged
from gateway.upstream.window import SlidingCount

WINDOW: Final = 10.0  # seconds of attempts that are judged
MIN_ATTEMPTS: Final = 20  # fewer are not judged
# Seconds until another probe may go: Invopop may take a minute over one job. The number of probes
# under way is thus at most the longest time of an attempt divided by this.
PROBE_TIME: Final = 5.0

FAILING_STATUSES: Final = frozenset({502, 503, 504})


class Probe:
    """An attempt let through an open circuit: for which tenant, and since when."""

    __slots__ = ("since", "tenant")

    def __init__(self, tenant: str, since: float) -> None:
        self.tenant = tenant
        self.since = since


class _RecentTenants:
    """Whether several tenants were seen lately: the last one, and the last one before it."""

    __slots__ = ("_last", "_last_at", "_other_at")

    def __init__(self) -> None:
        self._last = ""
        self._last_at = self._other_at = -inf

    def see(self, tenant: str, now: float) -> None:
        if tenant != self._last:
            self._last, self._other_at = tenant, self._last_at
        self._last_at = now

    def several(self, since: float) -> bool:
        """Whether two or more were seen after `since`."""
        return self._other_at > since


class Breaker:
    """Judges attempts at Invopop. `ratio` 0 never opens; `open_for` is seconds.

    Each attempt is admitted, then recorded or, if it says nothing about Invopop, released.
    """

    def __init__(self, ratio: float, open_for: float) -> None:
        self._ratio = ratio
        self._open_for = open_for
        self._opened_at: float | None = None  # or when a probe failed last
        self._probe: Probe | None = None
        self._failed_prober = ""
        self._others_wait = False
        self._forget()

    def __repr__(self) -> str:
        state = "open" if self._probe is None else "half-open"
        return f"<Breaker {state if self.open else 'closed'}>"

    @property
    def open(self) -> bool:
        """Whether requests are refused; probes go through even so."""
        return self._opened_at is not None

    def check(self, tenant: str, now: float) -> None:
        """Raises GatewayFault("circuit_open") if an attempt would not be admitted now."""
        if self._opened_at is None or self._may_probe(tenant, now):
            return
        self._others_wait = self._others_wait or tenant != self._failed_prober
        wait = max(1, ceil(self._next_probe() - now))
        raise GatewayFault(
            "circuit_open",
            "Invopop fails too often: wait for Retry-After.",
            headers=[(b"retry-after", b"%d" % wait)],
        )

    def admit(self, tenant: str, now: float) -> Probe | None:
        """Lets an attempt through, as a probe while the circuit is open; raises as `check` does."""
        if self._opened_at is None:
            return None
        self.check(tenant, now)
        self._probe = Probe(tenant, now)
        return self._probe

    def record(
        self, tenant: str, now: float, ok: bool, probe: Probe | None
    ) -> CircuitChanged | None:
        """What became of an admitted attempt: whether Invopop answered it as it should."""
        if not self._ratio:
            return None
        if self._opened_at is not None:
            return self._judge(probe, now, ok) if probe is not None else None
        attempts = self._attempts.add(now)
        self._tenants.see(tenant, now)
        if not ok:
            self._fail(tenant, now)
        return self._opening(attempts, now)

    def broke_off(self, tenant: str, now: float) -> CircuitChanged | None:
        """A reply has broken off: its attempt, recorded as good at its head, has failed."""
        if not self._ratio or self._opened_at is not None:
            return None
        self._fail(tenant, now)
        return self._opening(self._attempts.count(now), now)

    def _fail(self, tenant: str, now: float) -> None:
        self._failures.add(now)
        self._failing.see(tenant, now)

    def _opening(self, attempts: int, now: float) -> CircuitChanged | None:
        if attempts < MIN_ATTEMPTS:
            return None
        failures = self._failures.count(now)
        if failures < attempts * self._ratio or not self._is_shared(now - WINDOW):
            return None
        self._opened_at = now
        return CircuitChanged(
            True, f"{failures} of {attempts} attempts within {WINDOW:.0f} s failed"
        )

    def release(self, probe: Probe | None) -> None:
        """An admitted attempt ended without saying anything about Invopop: its caller left, say."""
        if probe is self._probe:
            self._probe = None

    def _judge(self, probe: Probe, now: float, ok: bool) -> CircuitChanged | None:
        self._probe = None
        if not ok:
            self._opened_at = now
            self._failed_prober, self._others_wait = probe.tenant, False
            return None
        self._opened_at = None
        self._failed_prober = ""
        self._forget()
        return CircuitChanged(False, "a probe succeeded")

    def _forget(self) -> None:
        self._attempts, self._failures = SlidingCount(WINDOW), SlidingCount(WINDOW)
        self._tenants, self._failing = _RecentTenants(), _RecentTenants()

    def _is_shared(self, since: float) -> bool:
        """Whether the failures are Invopop's rather than one tenant's among others."""
        return self._failing.several(since) or not self._tenants.several(since)

    def _may_probe(self, tenant: str, now: float) -> bool:
        if now < self._next_probe():
            return False
        # A tenant whose own troubles fail every probe must not keep the circuit open for others: it
        # lets them probe first, for as long again.
        waited = now - (self._opened_at or 0.0) >= 2 * self._open_for
        return waited or tenant != self._failed_prober or not self._others_wait

    def _next_probe(self) -> float:
        due = (self._opened_at or 0.0) + self._open_for
        return due if self._probe is None else max(due, self._probe.since + PROBE_TIME)
