"""May this caller do this for that tenant? `grant` gives the grant, without which nothing is sent.

Rule: decides; does no I/O. `explain` says what `decide` does: both come from `CallerPolicy.judge`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.errors import CallerError, Problem
from gateway.invopop.table import CREDENTIALS, OTHER, Operation
from gateway.model import Caller, Grant
from gateway.policy.caller_policy import CallerPolicy, Decision, Rules
from gateway.policy.patterns import compile_allow, compile_deny
from gateway.policy.readings import Reading, read_as_sent
from gateway.policy.tenants import compile_tenants
from gateway.settings.callers import CallerSettings
from gateway.settings.wording import key_path

# Grants kept at most, some 300 bytes each; then they are all forgotten, and decided anew.
MAX_DECISIONS = 16_384  # not Final: compiled code would have it inlined, and tests set it


class OperationDenied(CallerError):
    """403 `operation_denied`, with the decision behind it: for the metrics and the log."""

    def __init__(self, decision: Decision) -> None:
        what = "That method and path" if decision.operation == OTHER else decision.operation
        detail = f"Not allowed for this caller: {what}."
        super().__init__("operation_denied", detail, cause=decision.rule)
        self.decision = decision


class Explanation(NamedTuple):
    """What `decide` does: the grant, or the error; and the decision, if it came to one.

    `entry` is the text of the `allow` or `deny` entry that decided, or "".
    """

    grant: Grant | None
    error: CallerError | None
    decision: Decision | None
    entry: str


class Grants:
    """The policies of all callers, of one version of the configuration.

    Grants are remembered where nothing but caller, tenant and operation decides.
    """

    def __init__(self, policies: Mapping[str, CallerPolicy]) -> None:
        self.policies = policies
        self._decided: dict[tuple[str, str, Operation], Grant] = {}

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
        """The grant for an operation on behalf of what `tenant_of` gave.

        `path` is the raw one; of a file it is `/.files/HOST/PATH`, however it was sent. Raises
        CallerError: `bad_request`, or `operation_denied` as OperationDenied.
        """
        policy = self._policy(caller)
        sent = _read(method, path)
        operation = sent.operation
        if operation is None or path.find(b"%") >= 0 or path.find(b";") >= 0:
            return _grant(caller.name, tenant, policy.judge(sent, path))
        key = (caller.name, tenant, operation)
        grant = self._decided.get(key) if policy.decides_by_name(operation.name) else None
        if grant is None:
            grant = _grant(caller.name, tenant, policy.judge(sent, path))
            if policy.decides_by_name(operation.name):
                self._remember(key, grant)
        return grant

    def _remember(self, key: tuple[str, str, Operation], grant: Grant) -> None:
        if len(self._decided) >= MAX_DECISIONS:
            self._decided.clear()
        self._decided[key] = grant

    def explain(
        self, caller: Caller, tenant_headers: Sequence[bytes], method: str, path: bytes
    ) -> Explanation:
        """What `decide` does with the same request, and why. Raises nothing."""
        try:
            grant = self.decide(caller, tenant_headers, method, path)
        except OperationDenied as denied:
            return self._explained(caller, None, denied, denied.decision)
        except CallerError as error:
            return Explanation(None, error, None, "")
        decision = self.policies[caller.name].judge(_read(method, path), path)
        return self._explained(caller, grant, None, decision)

    def _policy(self, caller: Caller) -> CallerPolicy:
        policy = self.policies.get(caller.name)
        if policy is None:
            raise CallerError("caller_unknown", "This caller is not configured.")
        return policy

    def _explained(
        self, caller: Caller, grant: Grant | None, error: CallerError | None, decision: Decision
    ) -> Explanation:
        entry = self.policies[caller.name].rules.entries.get(decision.rule, "")
        return Explanation(grant, error, decision, entry)


def compile_grants(
    callers: Mapping[str, CallerSettings], file: str
) -> tuple[Grants, list[Problem]]:
    """The grants of all callers, and every entry of theirs that means nothing."""
    credentials, _ = compile_deny((f"{CREDENTIALS}*",), "", "")
    unruled = Rules(None, None, credentials, {})  # shared by all who have no rules
    policies: dict[str, CallerPolicy] = {}
    problems: list[Problem] = []
    for name, settings in callers.items():
        key = key_path(("callers", name))
        tenants, wrong = compile_tenants(settings.tenants, f"{key}.tenants", file)
        problems += wrong
        rules, wrong = _compile_rules(settings, key, file, unruled)
        problems += wrong
        policies[name] = CallerPolicy(key, tenants, rules, enforce=settings.enforce)
    return Grants(policies), problems


def _compile_rules(
    settings: CallerSettings, key: str, file: str, unruled: Rules
) -> tuple[Rules, list[Problem]]:
    if settings.allow is None and not settings.deny:
        return unruled, []
    allow, wrong = compile_allow(settings.allow or (), f"{key}.allow", file)
    deny, bad = compile_deny(settings.deny, f"{key}.deny", file)
    rules = Rules(
        None if settings.allow is None else allow,
        deny if settings.deny else None,
        unruled.credentials,
        dict(_numbered(f"{key}.allow", settings.allow or ()))
        | dict(_numbered(f"{key}.deny", settings.deny)),
    )
    return rules, wrong + bad


def _numbered(key: str, entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"{key}[{index}]", entry) for index, entry in enumerate(entries))


def _read(method: str, path: bytes) -> Reading:
    """A raw path as a caller means it. Raises CallerError `bad_request` if it is not UTF-8."""
    try:
        return read_as_sent(method, path)
    except UnicodeDecodeError:
        raise CallerError("bad_request", "The path is not valid UTF-8.") from None


def _grant(caller: str, tenant: str, decision: Decision) -> Grant:
    if not decision.allowed:
        raise OperationDenied(decision)
    operation, route, _, rule, why, _ = decision
    return Grant(caller, tenant, operation, route, rule, why == "not_enforced")
