"""Rate limits per tenant and per caller, in this process: token buckets, kept as one time each.

Rule: decides; no I/O, time comes in as `now`. Memory is bounded: a bucket that is full again is
forgotten. A refused request takes nothing from any bucket.
"""

from collections.abc import Mapping
from math import ceil
from typing import Final, NamedTuple

from gateway.errors import CallerError
from gateway.settings.callers import CallerSettings
from gateway.settings.schema import LimitsSettings

# Buckets in use, of one limiter, before full ones are swept out; half of the cap survives a sweep
# that finds too many others. 20,000 are sorted in some 5 ms.
MAX_BUCKETS: Final = 20_000
_FIRST_SWEEP: Final = 1_000


class Rate(NamedTuple):
    """A limit: requests per second in the long run (0 = none), and how many may come at once."""

    per_second: float
    burst: int

    @classmethod
    def of(cls, per_second: float, burst: int) -> "Rate":
        """A limit as configured, where a burst of 0 means one second's worth, at least one."""
        return cls(per_second, burst or max(1, ceil(per_second)))


class TokenBuckets:
    """The token buckets of many names, all of one kind.

    Kept as the generic cell rate algorithm does (ITU-T I.371): per name, the time at which its
    bucket will be full again. A name that is not kept has a full bucket.
    """

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._sweep_at = _FIRST_SWEEP

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, name: str, rate: Rate, now: float) -> float:
        """Seconds until a token is there: 0 if there is one. Takes nothing."""
        full_at = self._full_at.get(name, now)
        return max(0.0, full_at - now - (rate.burst - 1) / rate.per_second)

    def take(self, name: str, rate: Rate, now: float) -> None:
        """Takes one token."""
        if len(self._full_at) >= self._sweep_at:
            self._sweep(now)
        self._full_at[name] = max(self._full_at.get(name, now), now) + 1 / rate.per_second

    def _sweep(self, now: float) -> None:
        """Forgets full buckets; if that is not enough, those nearest to it, who gain the least."""
        left = {name: at for name, at in self._full_at.items() if at > now}
        if len(left) >= MAX_BUCKETS:
            fullest_last = sorted(left.items(), key=lambda item: item[1], reverse=True)
            left = dict(fullest_last[: MAX_BUCKETS // 2])
        self._full_at = left
        self._sweep_at = min(MAX_BUCKETS, max(_FIRST_SWEEP, 2 * len(left)))


class RateRules(NamedTuple):
    """The limits of one version of the configuration: one for each tenant, and by caller."""

    tenant: Rate
    callers: Mapping[str, Rate]

    @classmethod
    def of(cls, limits: LimitsSettings, callers: Mapping[str, CallerSettings]) -> "RateRules":
        """The limits that the settings ask for."""
        return cls(
            Rate.of(limits.requests_per_second, limits.burst),
            {
                name: Rate.of(settings.requests_per_second, settings.burst or 0)
                for name, settings in callers.items()
                if settings.requests_per_second
            },
        )

    def of_request(self, caller: str, tenant: str) -> list[tuple[str, str, Rate]]:
        """The limits that a request meets: kind (`caller`, `tenant`), name, limit."""
        met = []
        if caller in self.callers:
            met.append(("caller", caller, self.callers[caller]))
        if self.tenant.per_second:
            met.append(("tenant", tenant, self.tenant))
        return met


class Rates:
    """The rate limits as they stand. `rules` may be replaced at any moment; buckets are kept."""

    def __init__(self, rules: RateRules) -> None:
        self.rules = rules
        self._buckets = {"caller": TokenBuckets(), "tenant": TokenBuckets()}

    def take(self, caller: str, tenant: str, now: float) -> None:
        """Counts one request; `now` is monotonic seconds.

        Raises CallerError `rate_limited`, with `Retry-After`, if a limit is met.
        """
        met = self.rules.of_request(caller, tenant)
        for kind, name, rate in met:
            wait = self._buckets[kind].wait(name, rate, now)
            if wait > 0:
                raise rate_limited(kind, wait)
        for kind, name, rate in met:
            self._buckets[kind].take(name, rate, now)


def rate_limited(kind: str, wait: float) -> CallerError:
    """429: the limit of this `caller` or `tenant` is met; `wait` seconds from now it is not."""
    seconds = max(1, ceil(wait))
    return CallerError(
        "rate_limited",
        f"This {kind}'s request rate is at its limit.",
        headers=[(b"retry-after", b"%d" % seconds)],
        cause=kind,
    )
