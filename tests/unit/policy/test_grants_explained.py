"""What a decision tells of itself: the verdict in a refusal, and what `explain` says."""

from typing import Any

import pytest

from gateway.model import Caller
from gateway.policy.grants import OperationDenied, Verdict
from tests.support.grants import BILLING, compiled


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/utils/v1/ping",
         ("utils.ping", "/utils/v1/ping", False, "callers.billing.deny[0]")),
        ("/brand/new", ("other", "other", False, "callers.billing.allow")),
        ("/silo/v1/entries/e1%2Fstates",
         ("silo.entries.fetch", "/silo/v1/entries/{id}", False, "callers.billing.allow",
          "with %2F read as a slash")),
    ],
)  # fmt: skip
def test_a_refusal_carries_its_verdict(path: str, verdict: tuple[Any, ...]) -> None:
    """Metrics and log learn from it what would have been done, by which rule, read how."""
    grants = compiled(("silo.entries.*",), ("utils.*",))
    with pytest.raises(OperationDenied) as denied:
        grants.decide(BILLING, (), "GET", path.encode())
    assert denied.value.verdict == Verdict(*verdict)


def test_a_verdict_without_enforce_tells_the_reading_that_nothing_allows() -> None:
    """An operator who tries a policy out sees the operation, the route and why."""
    grants = compiled(("silo.entries.*",), enforce=False)
    explained = grants.explain(BILLING, (), "GET", b"/silo/v1/entries/e1%2Fstates")
    assert explained.verdict == Verdict(
        "silo.entries.fetch",
        "/silo/v1/entries/{id}",
        True,
        "callers.billing.enforce",
        "with %2F read as a slash",
        would_deny=True,
    )


@pytest.mark.parametrize(
    ("path", "rule", "entry", "reading"),
    [
        ("/silo/v1/entries", "allow[0]", "silo.entries.*", "as sent"),
        ("/silo/v1/new", "allow[1]", "GET /silo/v1/*", "as sent"),
        ("/utils/v1/ping", "allow", "", "as sent"),
        ("/silo/v1/entries/e1%2Fstates", "allow", "", "with %2F read as a slash"),
        ("/silo/v1/search", "deny[0]", "silo.entries.search", "as sent"),
        ("/silo/v1/Search", "deny[0]", "silo.entries.search", "in another letter case"),
        ("/silo%2Fv1%2FSearch", "deny[0]", "silo.entries.search", "with %2F read as a slash"),
    ],
)
def test_explain_tells_the_rule_its_text_and_the_reading(
    path: str, rule: str, entry: str, reading: str
) -> None:
    """An operator sees which entry decided, and in which reading of the path."""
    grants = compiled(("silo.entries.*", "GET /silo/v1/*"), ("silo.entries.search",))
    explained = grants.explain(BILLING, (), "GET", path.encode())
    assert explained.verdict is not None
    assert explained.verdict.rule == f"callers.billing.{rule}"
    assert explained.verdict.reading == reading
    assert explained.entry == entry
    assert (explained.grant is None) == (explained.error is not None)


def test_explain_tells_of_a_tenant_that_is_refused() -> None:
    """Before there is a tenant there is no verdict."""
    explained = compiled().explain(Caller("billing", "token"), (), "GET", b"/utils/v1/ping")
    assert explained.error is not None
    assert explained.error.key == "tenant_required"
    assert (explained.grant, explained.verdict, explained.entry) == (None, None, "")
