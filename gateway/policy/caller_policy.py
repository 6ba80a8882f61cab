"""What one caller's rules say of a method and path, in every reading of it.

Rule: decides; does no I/O. What is refused in any reading of a path is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from gateway.invopop.table import OTHER
from gateway.policy.patterns import PolicyRules
from gateway.policy.readings import Reading, other_readings
from gateway.policy.tenants import CallerTenants

Why = Literal[
    "default",  # there is no `allow`
    "allow",  # an entry of `allow` covers it
    "deny",  # an entry of `deny` covers it
    "not_allowed",  # no entry of `allow` covers it
    "not_enforced",  # the same, but `enforce = false`
    "unknown",  # it is no known operation, and there is a `deny` but no `allow`
    "credentials",  # its replies hold credentials, and no entry of `allow` names it
    "ambiguous",  # its path can be read in too many ways
]
_ALLOWING: Final[tuple[Why, ...]] = ("default", "allow", "not_enforced")

_Found = tuple[str, Why, Reading]


class Decision(NamedTuple):
    """What policy says of a request, by which rule (a key path), why, and in which reading."""

    operation: str
    route: str
    allowed: bool
    rule: str
    why: Why
    reading: str = "as sent"


class Rules:
    """A caller's entries, compiled, and the text of each by its key path.

    `allow` is None where everything is allowed, `deny` where nothing is denied. `credentials`
    covers what gives credentials, as a `deny` of it would. Callers without entries share one.
    """

    __slots__ = (
        "allow", "allows_by_pattern", "credentials", "denies_by_pattern", "deny", "entries",
    )  # fmt: skip

    def __init__(
        self,
        allow: PolicyRules | None,
        deny: PolicyRules | None,
        credentials: PolicyRules,
        entries: Mapping[str, str],
    ) -> None:
        self.allow = allow
        self.deny = deny
        self.credentials = credentials
        self.entries = entries
        self.allows_by_pattern = allow is not None and bool(allow.patterns)
        self.denies_by_pattern = deny is not None and bool(deny.patterns)


class CallerPolicy:
    """One caller's tenants and rules; `key` is its key path."""

    __slots__ = ("enforce", "key", "rules", "tenants")

    def __init__(self, key: str, tenants: CallerTenants, rules: Rules, *, enforce: bool) -> None:
        self.key = key
        self.tenants = tenants
        self.rules = rules
        self.enforce = enforce

    def decides_by_name(self, name: str) -> bool:
        """Whether the name of a known operation decides, if its path has no `%` and no `;`.

        Letter case is then all that another reading changes, and it leaves the operation as it is:
        the table has no literal beside a parameter that is not a UUID.
        """
        rules = self.rules
        if rules.denies_by_pattern:
            return False
        if not rules.allows_by_pattern:
            return True
        return rules.allow is not None and name in rules.allow.names

    def judge(self, sent: Reading, path: bytes) -> Decision:
        """What these rules say of a request, its tenant aside. `path` is the raw one."""
        operation = sent.operation
        name, route = (operation.name, operation.template) if operation else (OTHER, OTHER)
        others = other_readings(sent, path)
        if others is None:
            return Decision(name, route, False, self.key, "ambiguous")
        rule, why, reading = self._refusal(sent, others) or self._permission(sent, others)
        return Decision(name, route, why in _ALLOWING, rule, why, str(reading))

    def _refusal(self, sent: Reading, others: Sequence[Reading]) -> _Found | None:
        """What refuses a request whatever `allow` and `enforce` say; None if nothing does."""
        deny = self.rules.deny
        readings = (sent, *others)
        if deny is not None:
            for reading in readings:
                rule = _denying(deny, reading)
                if rule:
                    return rule, "deny", reading
        for reading in readings:
            if self._is_closed(reading):
                rule = self.key if self.rules.allow is None else f"{self.key}.allow"
                return rule, "credentials", reading
        if deny is not None and self.rules.allow is None and sent.operation is None:
            return f"{self.key}.deny", "unknown", sent
        return None

    def _is_closed(self, reading: Reading) -> bool:
        """Whether a reading gives credentials, or may, and `allow` does not name it."""
        if not _denying(self.rules.credentials, reading):
            return False
        operation, allow = reading.operation, self.rules.allow
        return operation is None or allow is None or operation.name not in allow.names

    def _permission(self, sent: Reading, others: Sequence[Reading]) -> _Found:
        """The rule that allows every reading that counts; else the reading that none allows."""
        if self.rules.allow is None:
            return self.key, "default", sent
        rule = _allowing(self.rules.allow, sent)
        missing = None if rule else sent
        for reading in others:
            if missing is None and _counts(sent, reading):
                missing = None if _allowing(self.rules.allow, reading) else reading
        if rule and missing is None:
            return rule, "allow", sent
        if self.enforce:
            return f"{self.key}.allow", "not_allowed", missing or sent
        return f"{self.key}.enforce", "not_enforced", missing or sent


def _denying(rules: PolicyRules, reading: Reading) -> str | None:
    """The entry that denies a reading; of one that is but a longer value, only a pattern can."""
    if reading.is_value:
        return rules.find_pattern(reading.method, reading.segments)
    return rules.find(reading.method, reading.segments, reading.operation)


def _allowing(rules: PolicyRules, reading: Reading) -> str | None:
    return rules.find(reading.method, reading.segments, reading.operation)


def _counts(sent: Reading, reading: Reading) -> bool:
    """Whether a reading must be allowed too: a known operation, or more segments than were sent.

    But not one that is but a longer value, nor one in another letter case: patterns heed it.
    """
    if reading.operation is not None:
        return True
    longer = len(reading.segments) > len(sent.segments)
    return longer and not reading.is_value and not reading.folded
