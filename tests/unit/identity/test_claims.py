"""`claims`: what verified claims say, and what they must not."""

from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.identity.claims import (
    ABSENT,
    ClaimRules,
    claim_template,
    find,
    parse_template,
    split_path,
    tenant_of,
    valid_until,
)
from tests.support.identities import refusal

NOW = 1_800_000_000.0
RULES = ClaimRules("https://id", "gateway", 5.0, inf, claim_template("sub"), ("tenant",), True)
YOUNG = ClaimRules("https://id", "gateway", 5.0, 60.0, claim_template("sub"), None, True)
KUBERNETES = {
    "sub": "system:serviceaccount:payments:billing",
    "kubernetes.io": {
        "namespace": "payments",
        "serviceaccount": {"name": "billing", "uid": "1"},
        "pod": {"name": "billing-1"},
    },
}


def lawful(**changes: Any) -> dict[str, Any]:
    """Claims that hold for a minute; None removes one."""
    claims = {"aud": "gateway", "exp": NOW + 60, **changes}
    return {name: value for name, value in claims.items() if value is not None}


HOLD: dict[str, tuple[dict[str, Any], float]] = {
    "plain": ({}, NOW + 65),
    "whole number": ({"exp": int(NOW) + 60}, NOW + 65),
    "fraction": ({"exp": NOW + 0.5}, NOW + 5.5),
    "expired within leeway": ({"exp": NOW - 4.9}, NOW + 0.1),
    "nbf now": ({"nbf": NOW}, NOW + 65),
    "nbf within leeway": ({"nbf": NOW + 5}, NOW + 65),
    "iat within leeway": ({"iat": NOW + 5}, NOW + 65),
    "old iat": ({"iat": 0}, NOW + 65),
    "list of one": ({"aud": ["gateway"]}, NOW + 65),
    "one of two": ({"aud": ["gateway", "account"]}, NOW + 65),
    "last of many": ({"aud": [*map(str, range(99)), "gateway"]}, NOW + 65),
    "twice": ({"aud": ["gateway", "gateway"]}, NOW + 65),
    "last second": ({"exp": 253402300799}, 253402300804),
}


@pytest.mark.parametrize("name", HOLD)
def test_claims_that_hold(name: str) -> None:
    """Case 148: numbers of seconds, whole or not, with the leeway given to the token's side."""
    changes, until = HOLD[name]
    assert valid_until(lawful(**changes), RULES, NOW) == pytest.approx(until, abs=1e-6)


FAIL: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": NOW - 5}, "expired"),
    "long expired": ({"exp": NOW - 60}, "expired"),
    "negative": ({"exp": -1}, "expired"),
    "no exp": ({"exp": None}, "exp_claim"),
    "exp text": ({"exp": "9999999999"}, "exp_claim"),
    "exp true": ({"exp": True}, "exp_claim"),
    "exp list": ({"exp": [NOW + 60]}, "exp_claim"),
    "exp infinite": ({"exp": inf}, "exp_claim"),
    "exp NaN": ({"exp": float("nan")}, "exp_claim"),
    "exp huge": ({"exp": 10**4000}, "exp_claim"),
    "exp in milliseconds": ({"exp": NOW * 1000}, "exp_claim"),
    "exp just too late": ({"exp": 253402300800}, "exp_claim"),
    "nbf future": ({"nbf": NOW + 5.1}, "not_yet_valid"),
    "nbf text": ({"nbf": "0"}, "nbf_claim"),
    "nbf false": ({"nbf": False}, "nbf_claim"),
    "iat future": ({"iat": NOW + 5.1}, "issued_in_future"),
    "iat text": ({"iat": "0"}, "iat_claim"),
    "iat infinite": ({"iat": -inf}, "iat_claim"),
    "no aud": ({"aud": None}, "audience"),
    "another aud": ({"aud": "other"}, "audience"),
    "prefix": ({"aud": "gatewa"}, "audience"),
    "longer": ({"aud": "gateway/"}, "audience"),
    "case": ({"aud": "Gateway"}, "audience"),
    "empty list": ({"aud": []}, "audience"),
    "list of another": ({"aud": ["other"]}, "audience"),
    "list of others": ({"aud": ["gatewa", "gateway/", "Gateway", ""]}, "audience"),
    "ours and a number": ({"aud": ["gateway", 1]}, "audience"),
    "ours and a list": ({"aud": ["gateway", ["other"]]}, "audience"),
    "text with ours in it": ({"aud": "gateway account"}, "audience"),
    "nested": ({"aud": [["gateway"]]}, "audience"),
    "object": ({"aud": {"gateway": 1}}, "audience"),
    "number": ({"aud": 1}, "audience"),
    "bytes": ({"aud": b"gateway"}, "audience"),
}


@pytest.mark.parametrize("name", FAIL)
def test_cases_148_149_claims_that_fail(name: str) -> None:
    """Cases 148, 149: every other type, time and audience is a refusal."""
    changes, cause = FAIL[name]
    error = refusal(valid_until, lawful(**changes), RULES, NOW)
    assert (error.key, error.cause) == ("unauthenticated", cause)


@pytest.mark.parametrize("member", ["exp", "nbf", "iat", "aud"])
def test_null_is_absent(member: str) -> None:
    """Serializers write null for a time that they do not have; what is required is missing then."""
    claims = {**lawful(nbf=NOW, iat=NOW), member: None}
    if member in {"nbf", "iat"}:
        assert valid_until(claims, RULES, NOW) == valid_until(lawful(), RULES, NOW)
    else:
        assert refusal(valid_until, claims, RULES, NOW).key == "unauthenticated"
    assert refusal(valid_until, {**claims, "iat": None}, YOUNG, NOW).key == "unauthenticated"


def test_single_audience() -> None:
    """With `single_audience` a token is for us alone: its other receivers could show it here."""
    strict = replace(RULES, single_audience=True)
    for alone in ("gateway", ["gateway"]):
        assert valid_until(lawful(aud=alone), strict, NOW) == NOW + 65
    for shared in (["gateway", "account"], ["gateway", "gateway"], []):
        assert refusal(valid_until, lawful(aud=shared), strict, NOW).cause == "audience"


def test_max_age() -> None:
    """With a maximum age a token needs `iat`, and ends that long after it, or at `exp`."""
    assert refusal(valid_until, lawful(), YOUNG, NOW).cause == "iat_claim"
    assert valid_until(lawful(exp=NOW + 999, iat=NOW - 10), YOUNG, NOW) == NOW + 55
    assert valid_until(lawful(exp=NOW + 20, iat=NOW - 10), YOUNG, NOW) == NOW + 25
    old = lawful(exp=NOW + 999, iat=NOW - 65)
    assert refusal(valid_until, old, YOUNG, NOW).cause == "expired"


PATHS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "plain": ({"sub": "x"}, "sub", "x"),
    "nested": ({"a": {"b": "x"}}, "a.b", "x"),
    "dotted key": (KUBERNETES, "kubernetes.io.serviceaccount.name", "billing"),
    "dotted key, one level": (KUBERNETES, "kubernetes.io.namespace", "payments"),
    "all one key": ({"https://x.io/tenant": "x"}, "https://x.io/tenant", "x"),
    "longest wins": ({"a": {"b": "short"}, "a.b": "long"}, "a.b", "long"),
    "longest wins within": ({"a": {"b.c": "long", "b": {"c": "short"}}}, "a.b.c", "long"),
    "null": ({"a": None}, "a", None),
    "absent": ({}, "a", ABSENT),
    "absent within": ({"a": {}}, "a.b", ABSENT),
    "no object on the way": ({"a": "x"}, "a.b", ABSENT),
    "no second try": ({"a.b": {}, "a": {"b": {"c": "x"}}}, "a.b.c", ABSENT),
    "list": ({"a": ["x"]}, "a.0", ABSENT),
}


@pytest.mark.parametrize("name", PATHS)
def test_paths(name: str) -> None:
    """A claim is found by path; a key that holds dots counts as one, the longest first."""
    claims, path, value = PATHS[name]
    assert find(claims, split_path(path)) == value


TEMPLATES = {
    "{namespace}/{serviceaccount}": "payments/billing",
    "{kubernetes.io.namespace}": "payments",
    "k8s:{kubernetes.io.serviceaccount.name}!": "k8s:billing!",
    "{namespace}{{x}": None,
    "{namespace}": "payments",
}


@pytest.mark.parametrize("text", TEMPLATES)
def test_templates(text: str) -> None:
    """A caller's name is made of claims, by path or by Kubernetes' short names."""
    if TEMPLATES[text] is None:
        with pytest.raises(ValueError, match="braces"):
            parse_template(text)
    else:
        assert parse_template(text).name(KUBERNETES) == TEMPLATES[text]


@pytest.mark.parametrize("text", ["", "x", "{}", "{a", "a}", "{a}}", "{a}{b}", "{{a}}"])
def test_templates_refused(text: str) -> None:
    """Stray braces, no claim at all, or two claims that run together are an error."""
    with pytest.raises(ValueError, match="claim"):
        parse_template(text)


NAMES: dict[str, Any] = {
    "missing": ABSENT, "null": None, "number": 1, "true": True, "list": ["x"], "object": {},
    "empty": "", "newline": "billing\n", "NUL": "billing\0", "escape": "\x1b[31mbilling",
    "lone surrogate": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_case_149_caller_claim(name: str) -> None:
    """Case 149: a caller's name is text that is not empty and holds no control character."""
    claims = {} if NAMES[name] is ABSENT else {"sub": NAMES[name]}
    assert refusal(claim_template("sub").name, claims).cause == "caller_claim"


def test_two_claims_cannot_make_anothers_name() -> None:
    """`a/b` and `c` do not become the caller `a/b/c` of `a` and `b/c`."""
    template = parse_template("{x}/{y}")
    assert template.name({"x": "a", "y": "b"}) == "a/b"
    for claims in [{"x": "a/b", "y": "c"}, {"x": "a", "y": "b/c"}]:
        assert refusal(template.name, claims).cause == "caller_claim"
    three = parse_template("{x}/{y}-{z}")
    assert three.name({"x": "X", "y": "Y", "z": "Z"}) == "X/Y-Z"
    assert refusal(three.name, {"x": "a", "y": "b", "z": "c-d"}).cause == "caller_claim"


@given(*[st.text(alphabet="ab-", min_size=1, max_size=4)] * 4)
def test_names_are_unambiguous(a: str, b: str, c: str, d: str) -> None:
    """Different claims never make the same name, whatever stands between them."""
    template = parse_template("{x}--{y}")
    names = []
    for claims in ({"x": a, "y": b}, {"x": c, "y": d}):
        with suppress(CallerError):
            names.append(template.name(claims))
    assert (a, b) == (c, d) or len(set(names)) == len(names)


def test_tenant_of() -> None:
    """The tenant claim is text that is not empty; without one the token names no tenant."""
    assert tenant_of({"tenant": "acme"}, RULES) == "acme"
    assert tenant_of({}, RULES) is None
    assert tenant_of({"tenant": "acme"}, YOUNG) is None
    for value in ("", None, 1, True, ["acme"], {"acme": 1}):
        assert refusal(tenant_of, {"tenant": value}, RULES).cause == "tenant_claim"
