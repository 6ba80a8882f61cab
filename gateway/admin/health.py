"""Readiness as a list of checks, each with a reason. Only start-up and draining make it 503.

Later troubles show as `degraded`: restarting the process would not fix them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

State = Literal["starting", "ready", "degraded", "draining"]
"""How the process is."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of readiness, and why it is not "ok"."""

    name: str
    status: Literal["ok", "pending", "degraded", "fail"]
    reason: str


class ComponentHealth(NamedTuple):
    """How a component is: whether it has been `tried` once, and its `trouble`, "" if it has none.

    `trouble` is a few words without secrets.
    """

    tried: bool
    trouble: str = ""

    def check(self, name: str) -> Check:
        """The component's line of readiness."""
        if not self.tried:
            return Check(name, "pending", "")
        return Check(name, "degraded" if self.trouble else "ok", self.trouble)


class Readiness(NamedTuple):
    """The answer to `/readyz`."""

    state: State
    checks: tuple[Check, ...]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return 200 if self.state in {"ready", "degraded"} else 503

    def as_json(self) -> dict[str, object]:
        """The body; a check has a `reason` only where there is one."""
        checks = {
            check.name: {"status": check.status}
            | ({"reason": check.reason} if check.reason else {})
            for check in self.checks
        }
        return {"status": self.state, "checks": checks}


@dataclass(slots=True)
class Health:
    """The process's state, and where its components are asked for theirs (None: not in use)."""

    state: Literal["starting", "ready", "draining"] = "starting"
    components: dict[str, Callable[[], ComponentHealth | None]] = field(default_factory=dict)
    reload_refused: bool = False  # the last one; what was loaded before it stays in force

    def readiness(self) -> Readiness:
        """All checks as of now."""
        asked = [(name, component()) for name, component in self.components.items()]
        found = tuple(health.check(name) for name, health in asked if health is not None)
        own = (
            self._configuration(),
            Check("draining", "fail" if self.state == "draining" else "ok", ""),
        )
        state: State = self.state
        if state == "ready":
            if any(check.status == "pending" for check in found):
                state = "starting"
            elif any(check.status == "degraded" for check in own + found):
                state = "degraded"
        return Readiness(state, own + found)

    def _configuration(self) -> Check:
        if self.state == "starting":
            return Check("configuration", "fail", "")
        if self.reload_refused:
            return Check("configuration", "degraded", "the last reload was refused")
        return Check("configuration", "ok", "")
