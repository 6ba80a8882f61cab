"""Grants held against a second implementation: the contract spelt out, slow and plain."""

import re
from fnmatch import fnmatchcase
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.invopop.operations import OPERATIONS, OTHER, Operation, is_parameter, segments_of
from gateway.invopop.presets import globs
from gateway.model import Caller
from gateway.policy.grants import Grants, OperationDenied, compile_grants
from gateway.settings.callers import CallerSettings

BILLING = Caller("billing", "jwt", "acme")
Lists = tuple[tuple[str, ...] | None, tuple[str, ...]]


def compiled(
    allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = (), *, enforce: bool = True
) -> Grants:
    caller = CallerSettings(tenants=("acme",), allow=allow, deny=deny, enforce=enforce)
    grants, problems = compile_grants({"billing": caller}, "gateway.toml")
    assert problems == []
    return grants


def decided(grants: Grants, method: str, path: str) -> str:
    """The rule that allows a request, or `!` and the rule that refuses it."""
    try:
        return grants.decide(BILLING, (), method, path.encode()).rule
    except OperationDenied as denied:
        return f"!{denied.verdict.rule}"


ENTRIES = st.sampled_from(
    [
        "silo.*",
        "silo.entries.*",
        "silo.entries.fetch",
        "*.list",
        "transform.jobs.create",
        "other",
        "*",
        "access.*",
        "@read_only",
        "GET /silo/**",
        "* /silo/v1/entries/*",
        "GET /**/states",
        "PUT /Silo/v1/*/E1",
        "* /access/**",
        "GET /silo/v1/entries/key/*",
        "* /**",
        "GET /new/*",
    ]
)
POLICIES = st.tuples(
    st.none() | st.lists(ENTRIES, max_size=3).map(tuple),
    st.lists(ENTRIES, max_size=2).map(tuple),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
SEGMENTS = ["silo", "v1", "entries", "Entries", "e1", "E1", "key", "related", "states", "files"]
SEPARATORS = st.sampled_from(["/", "/", "/", "%2F", "%2f"])


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Paths near the table's own: parameters filled, segments swapped, slashes escaped."""
    template = segments_of(draw(st.sampled_from(OPERATIONS)).template)
    parts = [
        draw(st.sampled_from([*SEGMENTS, "access", "a%252Fb"]))
        if is_parameter(part) or draw(st.integers(0, 9)) == 0
        else part
        for part in template
    ]
    path = "/" + parts[0] + "".join(draw(SEPARATORS) + part for part in parts[1:])
    return path + draw(st.sampled_from(["", "", "/"]))


def naive_operation(method: str, segments: list[str]) -> Operation | None:
    path = "\0".join(segments)
    fitting = [
        row
        for row in OPERATIONS
        if row.method == method
        and re.fullmatch(re.sub(r"{\w+}", "[^\0]*", row.template[1:].replace("/", "\0")), path)
    ]
    precedence = {
        row: [is_parameter(part) for part in segments_of(row.template)] for row in fitting
    }
    return min(fitting, key=lambda row: precedence[row], default=None)


def naive_covers(entry: str, method: str, segments: list[str], *, deny: bool) -> bool:
    if " " in entry:
        expected, path = entry.split(" ")
        expression = "".join(
            {"*": "\0[^\0]*", "**": "(?:\0[^\0]*)*"}.get(part, f"\0{re.escape(part)}")
            for part in path.split("/")[1:]
        )
        flags = re.IGNORECASE if deny else 0
        text = "".join(f"\0{segment}" for segment in segments)
        return expected in ("*", method) and re.fullmatch(expression, text, flags) is not None
    known = naive_operation(method, segments)
    candidates = [known.name] if known else [OTHER]
    if deny:
        folded = [segment.casefold() for segment in segments]
        for reading in (segments, folded):
            operation = naive_operation(method, reading)
            unversioned = [part for part in reading if not re.fullmatch("v[0-9]+", part)]
            candidates += (
                [operation.name] if operation else [".".join([*unversioned, OTHER]), OTHER]
            )
    return any(fnmatchcase(name, glob) for name in candidates for glob in globs(entry))


def naive(policy: Lists, method: str, path: str) -> bool:
    allow, deny = policy
    method = "GET" if method == "HEAD" else method
    split = [unquote(part) for part in path.removesuffix("/").split("/")[1:]]
    slashed = re.sub("%2F", "/", path, flags=re.IGNORECASE)
    again = [unquote(part) for part in slashed.removesuffix("/").split("/")[1:]]
    readings = [split] if slashed == path else [split, again]
    if any(naive_covers(entry, method, r, deny=True) for entry in deny for r in readings):
        return False
    if allow is None:
        return True
    operation = naive_operation(method, split)
    if len(readings) == 2 and operation and naive_operation(method, again) is None:
        parts = segments_of(operation.template)
        last = max(index for index, part in enumerate(parts) if is_parameter(part))
        raw = path.split("/")[1:]
        if all(i == last for i, part in enumerate(raw) if "%2f" in part.lower()):
            readings = [split]
    return all(any(naive_covers(entry, method, r, deny=False) for entry in allow) for r in readings)


@settings(max_examples=300)
@given(POLICIES, st.lists(st.tuples(METHODS, paths()), min_size=1, max_size=6))
def test_decide_agrees_with_the_contract_spelt_out(
    policy: Lists, requests: list[tuple[str, str]]
) -> None:
    """Request after request, the fast implementation allows what a slow and plain one does."""
    grants = compiled(*policy)
    for method, path in requests + requests:
        assert decided(grants, method, path).startswith("!") != naive(policy, method, path)


@given(POLICIES, ENTRIES, METHODS, paths())
def test_deny_always_wins_and_allow_only_adds(
    policy: Lists, entry: str, method: str, path: str
) -> None:
    """More `deny` never allows more, more `allow` never less; what both name is denied."""
    allow, deny = policy
    before = not decided(compiled(allow, deny), method, path).startswith("!")
    denied_too = not decided(compiled(allow, (*deny, entry)), method, path).startswith("!")
    assert before or not denied_too
    if allow is not None:
        allowed_too = not decided(compiled((*allow, entry), deny), method, path).startswith("!")
        assert allowed_too or not before
    if not decided(compiled((entry,)), method, path).startswith("!"):
        assert decided(compiled((entry,), (entry,)), method, path) == "!callers.billing.deny[0]"


@given(POLICIES, METHODS, paths())
def test_enforce_false_differs_only_where_allow_refuses(
    policy: Lists, method: str, path: str
) -> None:
    """Whatever `enforce` is, `deny` refuses the same, and `would_deny` marks all the rest."""
    strict, lax = compiled(*policy), compiled(*policy, enforce=False)
    rule = decided(strict, method, path)
    if rule.startswith("!callers.billing.deny"):
        assert decided(lax, method, path) == rule
    else:
        grant = lax.decide(BILLING, (), method, path.encode())
        assert grant.would_deny == rule.startswith("!")


@given(POLICIES, METHODS, paths())
def test_explain_says_what_decide_does(policy: Lists, method: str, path: str) -> None:
    """`explain` and `decide` never differ."""
    grants = compiled(*policy)
    explained = grants.explain(BILLING, (), method, path.encode())
    rule = decided(grants, method, path)
    assert explained.verdict is not None
    assert explained.verdict.rule == rule.removeprefix("!")
    assert (explained.error is None) == (not rule.startswith("!"))
    if explained.grant is not None:
        assert explained.grant == grants.decide(BILLING, (), method, path.encode())
