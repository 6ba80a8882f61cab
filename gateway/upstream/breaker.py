"""The circuit breaker: while Invopop fails for everyone, requests are refused at once.

Decides; no I/O, emits nothing, time comes in as `now` (monotonic seconds). Opens only on failures
met by two tenants and by two callers, or by the only tenant or caller with traffic.
"""

from math import ceil, inf
from typing import Final

from gateway.errors import GatewayFault
from gateway.events import CircuitChanged
from gateway.shares import Party
from gateway.upstream.window import SlidingCount

WINDOW: Final = 10.0  # seconds of attempts that are judged
MIN_ATTEMPTS: Final = 20  # fewer are not judged
# Seconds until another probe may go: Invopop may take a minute over one job. The number of probes
# under way is thus at most the longest time of an attempt divided by this.
PROBE_TIME: Final = 5.0

FAILING_STATUSES: Final = frozenset({502, 503, 504})


class Probe:
    """An attempt let through an open circuit: on whose account, and since when."""

    __slots__ = ("party", "since")

    def __init__(self, party: Party, since: float) -> None:
        self.party = party
        self.since = since


class _RecentNames:
    """Whether several names were seen lately: the last one, and the last other one before it."""

    __slots__ = ("_last", "_last_at", "_other_at")

    def __init__(self) -> None:
        self._last = ""
        self._last_at = self._other_at = -inf

    def see(self, name: str, now: float) -> None:
        if name != self._last:
            self._last, self._other_at = name, self._last_at
        self._last_at = now

    def several(self, since: float) -> bool:
        """Whether two or more were seen after `since`."""
        return self._other_at > since


class _Spread:
    """Among how many tenants, or callers, the traffic of the window and its failures are spread."""

    __slots__ = ("_failing", "_plural", "_seen", "_singular")

    def __init__(self, singular: str, plural: str) -> None:
        self._singular, self._plural = singular, plural
        self._seen, self._failing = _RecentNames(), _RecentNames()

    def see(self, name: str, now: float) -> None:
        self._seen.see(name, now)

    def fail(self, name: str, now: float) -> None:
        self._failing.see(name, now)

    def shared(self, since: float) -> bool:
        """Whether the failures are Invopop's rather than those of one name among several."""
        return self._failing.several(since) or not self._seen.several(since)

    def described(self, since: float) -> str:
        """Whose failures they are, if they are shared."""
        several = self._failing.several(since)
        return f"several {self._plural}" if several else f"the only {self._singular}"


class Breaker:
    """Judges attempts at Invopop. `ratio` 0 never opens; `open_for` is seconds.

    Each attempt is admitted, then recorded or, if it says nothing about Invopop, released.
    """

    def __init__(self, ratio: float, open_for: float) -> None:
        self._ratio = ratio
        self._open_for = open_for
        self._opened_at: float | None = None  # or when a probe failed last
        self._probe: Probe | None = None
        self._failed_prober: Party = ("", "")
        self._other_tenant_waits = self._other_caller_waits = False
        self._forget()

    def __repr__(self) -> str:
        state = "open" if self._probe is None else "half-open"
        return f"<Breaker {state if self.open else 'closed'}>"

    @property
    def open(self) -> bool:
        """Whether requests are refused; probes go through even so."""
        return self._opened_at is not None

    def check(self, party: Party, now: float) -> None:
        """Raises GatewayFault("circuit_open") if an attempt would not be admitted now."""
        if self._opened_at is None or self._may_probe(party, now):
            return
        (tenant, caller), (failed_tenant, failed_caller) = party, self._failed_prober
        self._other_tenant_waits = self._other_tenant_waits or tenant != failed_tenant
        self._other_caller_waits = self._other_caller_waits or caller != failed_caller
        wait = max(1, ceil(self._next_probe() - now))
        raise GatewayFault(
            "circuit_open",
            "Invopop fails too often: wait for Retry-After.",
            headers=[(b"retry-after", b"%d" % wait)],
        )

    def admit(self, party: Party, now: float) -> Probe | None:
        """Lets an attempt through, as a probe while the circuit is open; raises as `check` does."""
        if self._opened_at is None:
            return None
        self.check(party, now)
        self._probe = Probe(party, now)
        return self._probe

    def record(
        self, party: Party, now: float, ok: bool, probe: Probe | None
    ) -> CircuitChanged | None:
        """What became of an admitted attempt: whether Invopop answered it as it should."""
        if not self._ratio:
            return None
        if self._opened_at is not None:
            return self._judge(probe, now, ok) if probe is not None else None
        attempts = self._attempts.add(now)
        tenant, caller = party
        self._tenants.see(tenant, now)
        self._callers.see(caller, now)
        if not ok:
            self._fail(party, now)
        return self._opening(attempts, now)

    def broke_off(self, party: Party, now: float) -> CircuitChanged | None:
        """A reply has broken off: its attempt, recorded as good at its head, has failed."""
        if not self._ratio or self._opened_at is not None:
            return None
        self._fail(party, now)
        return self._opening(self._attempts.count(now), now)

    def _fail(self, party: Party, now: float) -> None:
        tenant, caller = party
        self._failures.add(now)
        self._tenants.fail(tenant, now)
        self._callers.fail(caller, now)

    def _opening(self, attempts: int, now: float) -> CircuitChanged | None:
        if attempts < MIN_ATTEMPTS:
            return None
        failures, since = self._failures.count(now), now - WINDOW
        if failures < attempts * self._ratio:
            return None
        if not self._tenants.shared(since) or not self._callers.shared(since):
            return None
        self._opened_at = now
        share = f"{failures} of {attempts} attempts within {WINDOW:.0f} s failed"
        whose = f"{self._tenants.described(since)} and {self._callers.described(since)}"
        return CircuitChanged(True, f"{share}, for {whose}")

    def release(self, probe: Probe | None) -> None:
        """An admitted attempt ended without saying anything about Invopop: its caller left, say."""
        if probe is self._probe:
            self._probe = None

    def _judge(self, probe: Probe, now: float, ok: bool) -> CircuitChanged | None:
        self._probe = None
        if not ok:
            self._opened_at = now
            self._failed_prober = probe.party
            self._other_tenant_waits = self._other_caller_waits = False
            return None
        self._opened_at = None
        self._failed_prober = ("", "")
        self._forget()
        return CircuitChanged(False, "a probe succeeded")

    def _forget(self) -> None:
        self._attempts, self._failures = SlidingCount(WINDOW), SlidingCount(WINDOW)
        self._tenants = _Spread("tenant", "tenants")
        self._callers = _Spread("caller", "callers")

    def _may_probe(self, party: Party, now: float) -> bool:
        if now < self._next_probe():
            return False
        # A tenant or caller whose own troubles fail every probe must not keep the circuit open for
        # others: it lets them probe first, for as long again.
        if now - (self._opened_at or 0.0) >= 2 * self._open_for:
            return True
        (tenant, caller), (failed_tenant, failed_caller) = party, self._failed_prober
        return not (
            (tenant == failed_tenant and self._other_tenant_waits)
            or (caller == failed_caller and self._other_caller_waits)
        )

    def _next_probe(self) -> float:
        due = (self._opened_at or 0.0) + self._open_for
        return due if self._probe is None else max(due, self._probe.since + PROBE_TIME)
