"""What a decision tells of itself: the verdict in a refusal, and what `explain` says."""

from typing import Any

import pytest

from gateway.model import Caller
from gateway.policy.caller_policy import Decision
from gateway.policy.grants import OperationDenied
from tests.support.grants import BILLING, compiled, raw

SLASH = "with %2F read as a slash"


@pytest.mark.parametrize(
    ("path", "decision"),
    [
        ("/utils/v1/ping",
         ("utils.ping", "/utils/v1/ping", False, "callers.billing.deny[0]", "deny")),
        ("/silo/v1/search",
         ("silo.entries.search", "/silo/v1/search", False, "callers.billing.allow", "not_allowed")),
        ("/brand/new", ("other", "other", False, "callers.billing.allow", "not_allowed")),
        ("/access/v1/enrollment",
         ("access.enrollment.fetch", "/access/v1/enrollment", False, "callers.billing.allow",
          "credentials")),
        ("/new/a%2Fb",
         ("other", "other", False, "callers.billing.allow", "not_allowed", SLASH)),
        ("/new/" + "A%20%2F;" * 2000, ("other", "other", False, "callers.billing", "ambiguous")),
    ],
)  # fmt: skip
def test_a_refusal_carries_its_decision(path: str, decision: tuple[Any, ...]) -> None:
    """Metrics and log learn from it what would have been done, by which rule, read how."""
    grants = compiled(("silo.entries.fetch", "GET /new/*"), ("utils.*",))
    with pytest.raises(OperationDenied) as denied:
        grants.decide(BILLING, (), "GET", path.encode())
    assert denied.value.decision == Decision(*decision)


def test_a_decision_without_enforce_tells_the_reading_that_nothing_allows() -> None:
    """An operator who tries a policy out sees the operation, the route and why."""
    grants = compiled(("GET /silo/v1/*",), enforce=False)
    explained = grants.explain(BILLING, (), "GET", b"/silo/v1/search%2Fx")
    assert explained.decision == Decision(
        "other", "other", True, "callers.billing.enforce", "not_enforced", SLASH
    )
    assert explained.grant is not None
    assert explained.grant.would_deny


@pytest.mark.parametrize(
    ("path", "rule", "entry", "reading"),
    [
        ("/silo/v1/entries", "allow[0]", "silo.entries.*", "as sent"),
        ("/silo/v1/new", "allow[1]", "GET /silo/v1/*", "as sent"),
        ("/utils/v1/ping", "allow", "", "as sent"),
        ("/silo/v1/x%2Fstates", "allow", "", "with %2F read as a slash"),
        ("/silo/v1/search", "deny[0]", "silo.entries.search", "as sent"),
        ("/silo/v1/Search", "deny[0]", "silo.entries.search", "in another letter case"),
        ("/silo%2Fv1%2Fsearch", "deny[0]", "silo.entries.search", "with %2F read as a slash"),
        ("/silo%2Fv1%2FSearch", "deny[0]", "silo.entries.search",
         "in another letter case, with %2F read as a slash"),
        ("/silo/v1/search;x", "deny[0]", "silo.entries.search", "without `;` parameters"),
        ("/silo/v1/search%20", "deny[0]", "silo.entries.search",
         "without surrounding blanks or trailing dots"),
        ("/silo/v1/%2573earch", "deny[0]", "silo.entries.search", "unescaped again"),
    ],
)  # fmt: skip
def test_explain_tells_the_rule_its_text_and_the_reading(
    path: str, rule: str, entry: str, reading: str
) -> None:
    """An operator sees which entry decided, and in which reading of the path."""
    grants = compiled(("silo.entries.*", "GET /silo/v1/*"), ("silo.entries.search",))
    explained = grants.explain(BILLING, (), "GET", raw(path))
    assert explained.decision is not None
    assert explained.decision.rule == f"callers.billing.{rule}"
    assert explained.decision.reading == reading
    assert explained.entry == entry
    assert (explained.grant is None) == (explained.error is not None)


def test_explain_tells_of_a_tenant_that_is_refused() -> None:
    """Before there is a tenant there is no decision."""
    explained = compiled().explain(Caller("billing", "token"), (), "GET", b"/utils/v1/ping")
    assert explained.error is not None
    assert explained.error.key == "tenant_required"
    assert (explained.grant, explained.decision, explained.entry) == (None, None, "")
