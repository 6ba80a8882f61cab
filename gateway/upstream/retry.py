"""Retries: whether what an attempt came to is worth another one, why, and after how long.

Rule: decides; no I/O, time and chance come in. What may have reached Invopop is sent again only if
its method is idempotent (RFC 9110 9.2.2), and never what cannot be sent again whole.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from gateway.errors import AttemptFailure
from gateway.events import RetryReason
from gateway.model import Headers
from gateway.upstream.window import SlidingCount

MAX_RETRY_AFTER: Final = 10.0  # seconds; if Invopop asks for more, there is no retry
FIRST_BACKOFF: Final = 0.05  # seconds; doubles with each retry
MAX_BACKOFF: Final = 1.0

WINDOW: Final = 10.0  # seconds that count as recent
REQUESTS_PER_RETRY: Final = 5  # so retries are at most 20 % of requests …
ALWAYS_PER_SECOND: Final = 10  # … but these are allowed even with little traffic

STALE: Final = "stale"  # the kind of a reused connection that was closed before any reply byte

# What happened -> the label of `upstream_retries_total`. What is not in here is never retried: a
# read timeout above all, whose request may still be at work.
_KINDS: Final[dict[str, RetryReason]] = {
    "dns": "connect",
    "connect": "connect",
    "connect_refused": "connect",
    "connect_timeout": "connect",
    "proxy": "connect",
    "tls": "connect",
    STALE: STALE,
}
STATUSES: Final[dict[int, RetryReason]] = {
    429: "status_429",
    502: "status_502",
    503: "status_503",
    504: "status_504",
}

# RFC 9110 5.6.7: the form to send, and the two obsolete ones that must still be understood.
_DATES: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


class AttemptOutcome(NamedTuple):
    """What an attempt came to. `reason` is "" for what another one would not fix.

    `sent` is false only if no byte of the request left; `retry_after` is what Invopop asked for,
    in seconds.
    """

    reason: RetryReason | Literal[""]
    sent: bool
    retry_after: float = 0.0


class Tried(NamedTuple):
    """A request that has been sent `attempts` times, the last of which came to `outcome`.

    `replayable` says that all of its body read so far is still at hand; `patience` is for how many
    seconds its caller still waits.
    """

    method: str
    attempts: int
    replayable: bool
    outcome: AttemptOutcome
    patience: float = float("inf")


class Retry(NamedTuple):
    """The request is to be sent again `after` seconds; `reason` is the metric's label."""

    after: float
    reason: RetryReason


class RetryRules(NamedTuple):
    """What the operator allows. `methods` are those that may be sent twice."""

    max_retries: int
    methods: frozenset[str]


def failed(kind: AttemptFailure | Literal["stale"], *, sent: bool) -> AttemptOutcome:
    """The outcome of an attempt without a reply; `kind` is an UpstreamError's, or `STALE`."""
    reason: RetryReason | Literal[""] = _KINDS.get(kind, "")
    if reason == "connect" and sent:  # TLS that breaks later on is no failure to connect
        reason = ""
    return AttemptOutcome(reason, sent)


def replied(status: int, headers: Headers, now: float) -> AttemptOutcome:
    """The outcome of an attempt that was answered. `now` is wall clock time, in seconds."""
    asked = [retry_after(value, now) for name, value in headers if name == b"retry-after"]
    seconds = [one for one in asked if one is not None]
    if status == 429 and not seconds:
        return AttemptOutcome("", sent=True)
    return AttemptOutcome(
        STATUSES.get(status, ""), sent=True, retry_after=max(seconds, default=0.0)
    )


def retry_after(value: bytes, now: float) -> float | None:
    """The seconds that a `Retry-After` asks for (RFC 9110 10.2.3), None if it is malformed."""
    if value.isdigit():
        return float(value)
    text = value.decode("latin-1")
    for form in _DATES:
        try:
            date = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return max(0.0, date.timestamp() - now)
    return None


def backoff(attempts: int, chance: float) -> float:
    """Seconds until the next attempt after so many: half is certain, the rest up to `chance`."""
    most: float = min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (attempts - 1))
    return most * (1 + chance) / 2


def decide(tried: Tried, rules: RetryRules, chance: float) -> Retry | None:
    """Whether to send a request again, the budget aside. `chance` is from 0 to 1."""
    outcome = tried.outcome
    if not outcome.reason or not tried.replayable or tried.attempts > rules.max_retries:
        return None
    if outcome.sent and tried.method not in rules.methods:
        return None
    if outcome.retry_after > MAX_RETRY_AFTER:
        return None
    # That a connection had been closed while idle says nothing against trying another at once;
    # the back-off on top of a Retry-After is so that not all come back at the same moment.
    stale = outcome.reason == STALE
    after = 0.0 if stale else outcome.retry_after + backoff(tried.attempts, chance)
    return Retry(after, outcome.reason) if after < tried.patience else None


class Budget:
    """Keeps retries a small share of the traffic, or they would become the overload."""

    def __init__(self) -> None:
        self._requests = SlidingCount(WINDOW)
        self._retries = SlidingCount(WINDOW)
        self._latest: deque[float] = deque(maxlen=ALWAYS_PER_SECOND)

    def request(self, now: float) -> None:
        """A request is about to be sent for the first time."""
        self._requests.add(now)

    def take(self, now: float) -> bool:
        """Whether one more retry is within the budget; it is counted if so."""
        few = len(self._latest) < ALWAYS_PER_SECOND or now - self._latest[0] >= 1.0
        retries = self._retries.count(now) + 1
        if not few and retries * REQUESTS_PER_RETRY > self._requests.count(now):
            return False
        self._retries.add(now)
        self._latest.append(now)
        return True


class Retries:
    """The rules together with the budget. `chance` gives numbers from 0 to 1."""

    def __init__(self, rules: RetryRules, chance: Callable[[], float]) -> None:
        self._rules = rules
        self._chance = chance
        self._budget = Budget()

    def request(self, now: float) -> None:
        """A request is about to be sent for the first time; `now` is monotonic seconds."""
        self._budget.request(now)

    def next(self, tried: Tried, now: float) -> Retry | None:
        """The retry that is due, already taken from the budget; None: the outcome stands.

        A stale connection's is free: each has served a request well before, so that there are
        never more of them than of those, however fast the upstream closes what is idle.
        """
        retry = decide(tried, self._rules, self._chance())
        if retry is None or retry.reason == STALE or self._budget.take(now):
            return retry
        return None
