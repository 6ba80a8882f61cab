"""May this caller do this for that tenant? `decide` gives the grant, without which nothing is sent.

Law: decides; does no I/O. What is refused by any reading of a path is refused; `explain` tells
what `decide` does because both come from `Policy.judge`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.errors import CallerError, Problem
from gateway.invopop.operations import (
    OTHER,
    Operation,
    is_parameter,
    match,
    segments_of,
    split_path,
)
from gateway.model import Caller, Grant
from gateway.policy.patterns import PolicyRules, compile_allow, compile_deny, fold
from gateway.policy.tenants import Tenants, compile_tenants
from gateway.settings.callers import CallerSettings

AS_SENT: Final = "as sent"
ANOTHER_CASE: Final = "in another letter case"
WITH_SLASH: Final = "with %2F read as a slash"

# Grants kept at most, some 300 bytes each; then they are all forgotten, and decided anew.
MAX_DECISIONS: Final = 16_384

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED_SLASH: Final = re.compile(rb"%2[Ff]")


class Verdict(NamedTuple):
    """What policy says of a method and path, by which rule (a key path), and in which reading.

    `would_deny` marks what is allowed only by `enforce = false`.
    """

    operation: str
    route: str
    allowed: bool
    rule: str
    reading: str = AS_SENT
    would_deny: bool = False


class OperationDenied(CallerError):
    """403 `operation_denied`, with the verdict behind it: for the metrics and the log."""

    def __init__(self, verdict: Verdict) -> None:
        what = "That method and path" if verdict.operation == OTHER else verdict.operation
        detail = f"Not allowed for this caller: {what}."
        super().__init__("operation_denied", detail, cause=verdict.rule)
        self.verdict = verdict


class Explanation(NamedTuple):
    """What `decide` does: the grant, or the error; and the verdict, if it came to one.

    `entry` is the text of the `allow` or `deny` entry that decided, or "".
    """

    grant: Grant | None
    error: CallerError | None
    verdict: Verdict | None
    entry: str


class _Reading(NamedTuple):
    """A method and path in one way to read them."""

    method: str
    segments: tuple[str, ...]
    operation: Operation | None


class Policy(NamedTuple):
    """One caller's rules. `key` is its key path, `entries` the text of each rule by key path.

    `allow` is None where everything is allowed, `deny` where nothing is denied.
    """

    key: str
    tenants: Tenants
    allow: PolicyRules | None
    deny: PolicyRules | None
    enforce: bool
    entries: Mapping[str, str]

    def settled_by(self, operation: Operation | None, path: bytes) -> bool:
        """Whether the operation alone decides: there is one way to read the path, and no pattern.

        With a `deny` another letter case is another reading.
        """
        if b"%" in path:
            return False
        if self.deny and (self.deny.patterns or operation is None or not path.islower()):
            return False
        if self.allow is None or not self.allow.patterns:
            return True
        return operation is not None and operation.name in self.allow.names

    def judge(self, sent: _Reading, path: bytes) -> Verdict:
        """What these rules say of a request, its tenant aside. `path` is the raw one."""
        slashed = None
        if _ESCAPED_SLASH.search(path):
            slashed = _read(sent.method, _ESCAPED_SLASH.sub(b"/", path))
        operation = sent.operation
        name, route = (operation.name, operation.template) if operation else (OTHER, OTHER)
        denied = _denial(self.deny, sent, slashed) if self.deny else None
        if denied:
            return Verdict(name, route, False, *denied)
        if slashed and slashed.operation is None and _is_data(path, operation):
            slashed = None
        rule, reading = self._permission(sent, slashed)
        if rule:
            return Verdict(name, route, True, rule)
        if self.enforce:
            return Verdict(name, route, False, f"{self.key}.allow", reading)
        return Verdict(name, route, True, f"{self.key}.enforce", reading, would_deny=True)

    def _permission(self, sent: _Reading, slashed: _Reading | None) -> tuple[str | None, str]:
        """The rule that allows every reading; without one, the reading that none allows."""
        if self.allow is None:
            return self.key, AS_SENT
        rule = self.allow.find(*sent)
        if rule and slashed and not self.allow.find(*slashed):
            return None, WITH_SLASH
        return rule, AS_SENT


class Grants:
    """The policies of all callers, of one version of the configuration.

    Grants are remembered where nothing but caller, tenant and operation decides.
    """

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.policies = policies
        self._decided: dict[tuple[str, str, Operation | None], Grant] = {}

    def decide(
        self, caller: Caller, tenant_headers: Sequence[bytes], method: str, path: bytes
    ) -> Grant:
        """The grant for a request: its tenant first, then its operation.

        Raises what `tenant_of` and `grant` raise.
        """
        return self.grant(caller, self.tenant_of(caller, tenant_headers), method, path)

    def tenant_of(self, caller: Caller, headers: Sequence[bytes]) -> str:
        """The tenant that the request means, which its caller may act for.

        `headers` are its `X-Invopop-Tenant` values. Raises CallerError: `caller_unknown`,
        `bad_request`, `tenant_required` or `tenant_denied`.
        """
        return self._policy(caller).tenants.resolve(caller, headers)

    def grant(self, caller: Caller, tenant: str, method: str, path: bytes) -> Grant:
        """The grant for an operation on behalf of what `tenant_of` gave; `path` is the raw one.

        Raises CallerError: `bad_request`, or `operation_denied` as OperationDenied.
        """
        policy = self._policy(caller)
        sent = _read(method, path)
        if not policy.settled_by(sent.operation, path):
            return _grant(caller.name, tenant, policy.judge(sent, path))
        decision = (caller.name, tenant, sent.operation)
        grant = self._decided.get(decision)
        if grant is None:
            grant = _grant(caller.name, tenant, policy.judge(sent, path))
            if len(self._decided) >= MAX_DECISIONS:
                self._decided.clear()
            self._decided[decision] = grant
        return grant

    def _policy(self, caller: Caller) -> Policy:
        policy = self.policies.get(caller.name)
        if policy is None:
            raise CallerError("caller_unknown", "This caller is not configured.")
        return policy

    def explain(
        self, caller: Caller, tenant_headers: Sequence[bytes], method: str, path: bytes
    ) -> Explanation:
        """What `decide` does with the same request, and why. Raises nothing."""
        try:
            grant = self.decide(caller, tenant_headers, method, path)
        except OperationDenied as error:
            return self._explained(caller, None, error, error.verdict)
        except CallerError as error:
            return Explanation(None, error, None, "")
        verdict = self.policies[caller.name].judge(_read(method, path), path)
        return self._explained(caller, grant, None, verdict)

    def _explained(
        self, caller: Caller, grant: Grant | None, error: CallerError | None, verdict: Verdict
    ) -> Explanation:
        entry = self.policies[caller.name].entries.get(verdict.rule, "")
        return Explanation(grant, error, verdict, entry)


def compile_grants(
    callers: Mapping[str, CallerSettings], file: str
) -> tuple[Grants, list[Problem]]:
    """The grants of all callers, and every entry of theirs that means nothing."""
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    for name, settings in callers.items():
        policies[name], found = _compile_policy(name, settings, file)
        problems += found
    return Grants(policies), problems


def _compile_policy(name: str, settings: CallerSettings, file: str) -> tuple[Policy, list[Problem]]:
    key = f"callers.{name}" if _BARE_KEY.fullmatch(name) else f'callers."{name}"'
    tenants, problems = compile_tenants(settings.tenants, f"{key}.tenants", file)
    allow, wrong = compile_allow(settings.allow or (), f"{key}.allow", file)
    deny, bad = compile_deny(settings.deny, f"{key}.deny", file)
    policy = Policy(
        key,
        tenants,
        None if settings.allow is None else allow,
        deny if settings.deny else None,
        settings.enforce,
        dict(_numbered(f"{key}.allow", settings.allow or ()))
        | dict(_numbered(f"{key}.deny", settings.deny)),
    )
    return policy, problems + wrong + bad


def _numbered(key: str, entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"{key}[{index}]", entry) for index, entry in enumerate(entries))


def _read(method: str, path: bytes) -> _Reading:
    """A raw path as a caller means it. Raises CallerError `bad_request` if it is no UTF-8."""
    method = "GET" if method == "HEAD" else method
    try:
        segments = split_path(path)
    except UnicodeDecodeError:
        raise CallerError("bad_request", "The path is not valid UTF-8.") from None
    return _Reading(method, segments, match(method, segments))


def _grant(caller: str, tenant: str, verdict: Verdict) -> Grant:
    if not verdict.allowed:
        raise OperationDenied(verdict)
    return Grant(caller, tenant, verdict.operation, verdict.route, verdict.rule, verdict.would_deny)


def _denial(deny: PolicyRules, sent: _Reading, slashed: _Reading | None) -> tuple[str, str] | None:
    """The rule that denies any reading, in any letter case, and that reading."""
    for reading, label in ((sent, AS_SENT), (slashed, WITH_SLASH)):
        if reading is None:
            continue
        rule = deny.find(*reading)
        if rule:
            return rule, label
        folded = fold(reading.segments)
        if folded == reading.segments:
            continue
        rule = deny.find(reading.method, folded, match(reading.method, folded))
        if rule:
            return rule, ANOTHER_CASE if reading is sent else label
    return None


def _is_data(path: bytes, operation: Operation | None) -> bool:
    """Whether every escaped slash lies in the template's last parameter, as in an entry's key."""
    if operation is None:
        return False
    template = segments_of(operation.template)
    parameters = [at for at, segment in enumerate(template) if is_parameter(segment)]
    raw = path.split(b"/")[1:]
    # A segment with an escaped slash equals no literal of a template: there is a parameter.
    return all(at == parameters[-1] for at, part in enumerate(raw) if _ESCAPED_SLASH.search(part))
