"""Readiness as a list of checks, each with a reason. Law: only start-up and draining make 503.

Later troubles show as `degraded`: restarting the process would not mend them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

STARTING: Final = "starting"
READY: Final = "ready"
DRAINING: Final = "draining"


class Finding(NamedTuple):
    """What a room says of itself: whether it has been `tried` once, and what troubles it.

    `trouble` is "" when all is well, else a few words without secrets.
    """

    tried: bool
    trouble: str = ""

    def told(self) -> dict[str, str]:
        """The check as `/readyz` shows it."""
        if not self.tried:
            return {"status": "pending"}
        if self.trouble:
            return {"status": "degraded", "reason": self.trouble}
        return {"status": "ok"}


@dataclass(slots=True)
class Health:
    """The process's state, and the rooms that have something to say of theirs."""

    state: str = STARTING
    checks: dict[str, Callable[[], Finding]] = field(default_factory=dict)

    def report(self) -> tuple[int, dict[str, object]]:
        """The status code of `/readyz`, and its JSON."""
        found = {name: room() for name, room in self.checks.items()}
        loaded = "fail" if self.state == STARTING else "ok"
        draining = "fail" if self.state == DRAINING else "ok"
        checks = {"configuration": {"status": loaded}, "draining": {"status": draining}}
        checks |= {name: finding.told() for name, finding in found.items()}
        state = self.state
        if state == READY and not all(finding.tried for finding in found.values()):
            state = STARTING
        degraded = state == READY and any(finding.trouble for finding in found.values())
        return (200 if state == READY else 503), {
            "status": "degraded" if degraded else state,
            "checks": checks,
        }
