"""Grants: caller × tenant × operation, allowed or refused, in every reading of a path."""

from types import SimpleNamespace
from typing import cast

import pytest

from gateway.errors import CallerError
from gateway.model import Caller, Grant
from gateway.policy import grants as grants_module
from gateway.policy.grants import OperationDenied, compile_grants
from gateway.settings.callers import CallerSettings
from tests.support.grants import BILLING, compiled, decided, raw


def test_a_grant_says_who_for_whom_what_and_by_which_rule() -> None:
    """The grant is all that the rest of the way needs to know, and what the log tells."""
    grants = compiled(("transform.*", "silo.*"))
    grant = grants.decide(BILLING, [b"acme"], "PUT", raw("/silo/v1/entries/<id>"))
    assert grant == Grant(
        "billing",
        "acme",
        "silo.entries.create",
        "/silo/v1/entries/{id}",
        "callers.billing.allow[1]",
    )


def test_a_grant_by_a_pattern_says_the_same() -> None:
    """Who and for whom stand in every grant, also in one that the path's text decided."""
    grant = compiled(("GET /silo/**",)).decide(BILLING, (), "GET", b"/silo/v1/new")
    assert grant == Grant("billing", "acme", "other", "other", "callers.billing.allow[0]")


def test_by_default_every_operation_is_allowed() -> None:
    """Without `allow` and `deny` a caller may do everything, also what the table does not know."""
    grants = compiled()
    assert decided(grants, "DELETE", "/silo/v1/spool/k") == "callers.billing"
    unknown = grants.decide(BILLING, (), "POST", b"/brand/new")
    assert (unknown.operation, unknown.route) == ("other", "other")


def test_an_empty_allow_allows_nothing() -> None:
    """`allow = []` is not the same as no `allow`."""
    assert decided(compiled(()), "GET", "/utils/v1/ping") == "!callers.billing.allow"


ALLOW = ("silo.*", "transform.jobs.create", "GET /access/**")


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("POST", "/silo/v1/entries", "0"),
        ("POST", "/silo/v1/entries/", "0"),
        ("HEAD", "/silo/v1/entries", "0"),
        ("POST", "/transform/v1/jobs", "1"),
        ("PUT", "/transform/v1/jobs/<id>", "1"),
        ("GET", "/access/v1/workspace", "2"),
        ("HEAD", "/access/v1/workspace", "2"),
        ("GET", "/%61ccess/v1/workspace", "2"),
        ("GET", "/access/brand/new", "2"),
        ("GET", "/transform/v1/jobs/<id>", None),
        ("PATCH", "/access/v1/workspace", None),
        ("GET", "/Silo/v1/entries", None),
        ("GET", "/silo/v1/Entries", None),
        ("GET", "/ACCESS/v1/workspace", None),
        ("GET", "/accessx/v1", None),
        ("GET", "/silo/v2/entries", None),
        ("GET", "/silo/v1/brand/new", None),
        ("DELETE", "/silo/v1/entries/<id>", None),
        ("GET", "/", None),
    ],
)
def test_near_misses_of_an_allow_list_are_refused(method: str, path: str, rule: str | None) -> None:
    """Letter case, method, version and prefix count; a trailing slash, HEAD and escapes do not."""
    expected = f"callers.billing.allow[{rule}]" if rule else "!callers.billing.allow"
    assert decided(compiled(ALLOW), method, path) == expected


@pytest.mark.parametrize(
    ("deny", "method", "path"),
    [
        ("silo.entries.create", "POST", "/silo/v1/entries"),
        ("silo.entries.create", "POST", "/silo/v1/entries/"),
        ("silo.entries.create", "POST", "/SILO/v1/Entries"),
        ("silo.entries.create", "POST", "/silo/v1/%45ntries"),
        ("silo.entries.create", "POST", "/silo%2Fv1%2fentries"),
        ("silo.entries.create", "POST", "/silo/v1%2FENTRIES"),
        ("silo.entries.create", "PUT", "/silo/v1/entries/<id>"),
        ("silo.entries.fetch", "GET", "/silo/v1/entries/key/k"),
        ("silo.entries.fetch", "HEAD", "/silo/v1/entries/<id>"),
        ("silo.related.list", "GET", "/silo/v1/entries/Related"),
        ("silo.files.fetch", "GET", "/silo/v1/entries/<id>%2Ffiles%2F<id>"),
        ("GET /access/**", "GET", "/access/v1/workspace"),
        ("GET /access/**", "HEAD", "/Access"),
        ("GET /access/**", "GET", "/access%2Fv1"),
        ("GET /silo/v1/entries/key/INV", "GET", "/silo/v1/entries/key/inv"),
        ("GET /silo/v1/entries/key/INV", "GET", "/silo/v1/entries/key/INV"),
        ("* /silo/**/files/*", "PUT", "/silo/v1/entries/e1/FILES/<id>"),
        ("access.*", "POST", "/access/v9/keys"),
        ("access.*", "POST", "/ACCESS/v9/keys"),
        ("access.*", "POST", "/access%2Fv9%2Fkeys"),
        ("@read_only", "GET", "/utils/v1/ping"),
        ("*", "POST", "/brand/new"),
        ("other", "POST", "/brand/new"),
    ],
)
def test_deny_holds_in_every_letter_case_and_reading(deny: str, method: str, path: str) -> None:
    """No spelling of a denied request gets by, whatever `allow` says and `enforce` is."""
    for allow in (None, ("*", "* /**")):
        for enforce in (True, False):
            grants = compiled(allow, (deny,), enforce=enforce)
            assert decided(grants, method, path) == "!callers.billing.deny[0]"


def test_a_deny_leaves_alone_what_it_does_not_name() -> None:
    """Denying one operation is not denying its neighbours."""
    grants = compiled(None, ("silo.entries.create", "GET /access/v1/orgs"))
    for path in ("/silo/v1/entries", "/silo/v1/entries/<id>", "/access/v1/workspace"):
        assert decided(grants, "GET", path) == "callers.billing"
    grants = compiled(None, ("silo.entries.f*",))
    assert decided(grants, "PUT", "/silo/v1/entries/<id>") == "callers.billing"


@pytest.mark.parametrize(
    ("allow", "path", "allowed"),
    [
        # The escaped slash lies in the last parameter.
        ("silo.entries.fetch", "/silo/v1/entries/key/INV%2F1", True),
        ("silo.entries.fetch", "/silo/v1/entries/key/INV%2f1%2F2", True),
        ("silo.entries.fetch", "/silo/v1/entries/key/INV%252F1", True),
        ("GET /silo/v1/entries/key/*", "/silo/v1/entries/key/INV%2F1", True),
        ("silo.entries.fetch", "/silo/v1/entries/key/INV%2F", True),
        ("silo.versions.fetch", "/silo/v1/entries/<id>/versions/1%2F2", True),
        ("apps.gov-es.agreement.fetch", "/apps/gov-es/v1/entry/<id>/s%2Fi/agreement", True),
        # It lies in another parameter than the last.
        ("silo.meta.fetch", "/silo/v1/entries/meta/k%2F1/r", False),
        ("silo.meta.fetch", "/silo/v1/entries/meta/k%2F1/r%2F1", False),
        ("silo.meta.fetch", "/silo/v1/entries/meta/k/r%2F1", True),
        # The path as sent is no operation, so it has no last parameter.
        ("silo.*", "/silo/v1/entries/<id>%2Fstates", False),
        ("silo.*", "/silo%2Fv1/entries", False),
        ("silo.*", "/silo/v1/entries%2F<id>", False),
        ("GET /silo/**", "/silo/v1/entries%2F<id>", True),
        ("GET /silo/v1/*", "/silo/v1/entries%2F<id>", False),
        ("GET /new/*", "/new/a%2Fb", False),
        ("GET /new/*", "/new/a%252Fb", False),
        ("GET /new/**", "/new/a%2Fb", True),
        ("GET /New/**", "/New/a%2Fb", True),
    ],
)
def test_with_an_escaped_slash_both_readings_must_be_allowed(
    allow: str, path: str, allowed: bool
) -> None:
    """`%2F` is data in an entry's key, and opens no way around an `allow` elsewhere."""
    rule = "callers.billing.allow[0]" if allowed else "!callers.billing.allow"
    assert decided(compiled((allow,)), "GET", path) == rule


def test_without_enforce_what_allow_refuses_goes_through_and_is_marked() -> None:
    """`enforce = false` tries a policy out: the grant says that it would have been refused."""
    grants = compiled(("silo.*",), ("access.*",), enforce=False)
    tried = grants.decide(BILLING, (), "GET", b"/utils/v1/ping")
    assert (tried.would_deny, tried.rule) == (True, "callers.billing.enforce")
    allowed = grants.decide(BILLING, (), "GET", b"/silo/v1/entries")
    assert (allowed.would_deny, allowed.rule) == (False, "callers.billing.allow[0]")
    escaped = grants.decide(BILLING, (), "GET", b"/silo/v1/search%2Fx")
    assert escaped.would_deny
    assert decided(grants, "GET", "/access/v1/orgs") == "!callers.billing.deny[0]"
    with pytest.raises(CallerError, match="tenant_denied"):
        grants.decide(BILLING, [b"globex"], "GET", b"/silo/v1/entries")


def test_a_tenant_is_checked_before_the_operation() -> None:
    """The order of checks: a caller without the tenant does not learn what it may do."""
    with pytest.raises(CallerError, match="tenant_denied"):
        compiled(()).decide(Caller("billing", "token"), [b"initech"], "GET", b"/utils/v1/ping")


def test_a_caller_without_a_policy_is_unknown() -> None:
    """An identity that the configuration does not hold gets no grant."""
    with pytest.raises(CallerError, match="caller_unknown") as refused:
        compiled().decide(Caller("reports", "jwt", "acme"), (), "GET", b"/utils/v1/ping")
    assert refused.value.detail == "This caller is not configured."


@pytest.mark.parametrize("path", [b"/%ff", b"/\xff"])
def test_a_path_that_cannot_be_decoded_is_refused(path: bytes) -> None:
    """What policy cannot read it does not let through."""
    for grants in (compiled(), compiled(("* /**",))):
        with pytest.raises(CallerError, match="bad_request") as refused:
            grants.decide(BILLING, (), "GET", path)
        assert refused.value.detail == "The path is not valid UTF-8."


def test_a_refusal_names_the_operation_and_never_the_path() -> None:
    """The caller's own text does not come back in an error, nor does the configuration's."""
    shown = {b"/silo/v1/spool/SECRET": "silo.spool.fetch", b"/SECRET": "That method and path"}
    for path, what in shown.items():
        with pytest.raises(OperationDenied) as denied:
            compiled(("utils.*",)).decide(BILLING, (), "GET", path)
        assert denied.value.detail == f"Not allowed for this caller: {what}."
        assert "SECRET" not in denied.value.detail
        assert denied.value.cause == "callers.billing.allow"


def test_a_rule_of_a_caller_with_an_odd_name_has_its_key_path_as_toml_spells_it() -> None:
    """`callers."prod/billing".allow[0]` can be searched for in the file."""
    caller = CallerSettings(tenants=("acme",), allow=("utils.*",))
    grants, _ = compile_grants({"prod/billing": caller}, "gateway.toml")
    grant = grants.decide(Caller("prod/billing", "jwt"), (), "GET", b"/utils/v1/ping")
    assert grant.rule == 'callers."prod/billing".allow[0]'


def test_every_wrong_entry_of_every_caller_is_reported() -> None:
    """One run shows all: tenants, allow and deny, by file and key path."""
    wrong = SimpleNamespace(tenants=("a b",), allow=("x.*",), deny=("GET x",), enforce=True)
    callers = {
        "a": cast("CallerSettings", wrong),
        "b": CallerSettings(tenants=("acme",), deny=("silo.*", "silo.nothing")),
    }
    _, problems = compile_grants(callers, file="my.toml")
    assert [(problem.file, problem.key) for problem in problems] == [
        ("my.toml", "callers.a.tenants[0]"),
        ("my.toml", "callers.a.allow[0]"),
        ("my.toml", "callers.a.deny[0]"),
        ("my.toml", "callers.b.deny[1]"),
    ]


@pytest.mark.parametrize(
    ("allow", "deny", "granted", "refused"),
    [
        (None, "silo.related.list", "/silo/v1/entries/<id>", "/silo/v1/entries/RELATED"),
        (None, "silo.states.list", "/silo/v1/entries/<id>", "/silo/v1/entries/<id>%2Fstates"),
        (None, "access.*", "/silo/v1/entries", "/access/v9/keys"),
        (None, "GET /silo/**/e2", "/silo/v1/entries/key/e1", "/silo/v1/entries/key/e2"),
        (None, "GET /silo/**/e2", "/silo/v1/entries/key/e1", "/silo/v1/entries/key/E2"),
        (None, "GET /silo/**/e2", "/silo/v1/entries/key/e1", "/silo/v1/entries/key/e2;x"),
        ("GET /silo/**/e1", None, "/silo/v1/entries/key/e1", "/silo/v1/entries/key/e2"),
        ("silo.meta.fetch", None, "/silo/v1/entries/<id>/meta/k", "/silo/v1/entries/<id>/meta/;k"),
        (None, None, "/access/v1/orgs", "/access/v1/enrollment"),
        (None, None, "/access/v1/orgs", "/access/v1/Enrollment"),
        (None, None, "/access/v1/orgs", "/access/v1/enrollment;x"),
    ],
)
def test_a_remembered_grant_covers_no_other_request(
    allow: str | None, deny: str | None, granted: str, refused: str
) -> None:
    """What was granted once says nothing of a path that has another reading or pattern."""
    grants = compiled((allow,) if allow else None, (deny,) if deny else ())
    assert not decided(grants, "GET", granted).startswith("!")
    assert decided(grants, "GET", refused).startswith("!")


@pytest.mark.parametrize(
    ("allow", "deny", "path"),
    [
        (None, (), "/silo/v1/entries/key/E1"),
        (("silo.*",), (), "/silo/v1/entries/key/E1"),
        (("silo.*", "GET /new/**"), (), "/silo/v1/entries/key/e1"),
        (None, ("access.*",), "/silo/v1/entries/key/E1"),
    ],
)
def test_a_question_is_decided_once(
    allow: tuple[str, ...] | None, deny: tuple[str, ...], path: str
) -> None:
    """Where the operation alone decides, the next request has the very same grant."""
    grants = compiled(allow, deny)
    first, second = (grants.decide(BILLING, (), "GET", path.encode()) for _ in range(2))
    assert first is second


def test_grants_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that names ever new tenants does not fill the memory, and is still answered."""
    monkeypatch.setattr(grants_module, "MAX_DECISIONS", 8)
    grants, _ = compile_grants({"billing": CallerSettings(tenants=("*",))}, "gateway.toml")
    for number in range(50):
        header = b"t%d" % number
        grant = grants.decide(Caller("billing", "token"), [header], "GET", b"/utils/v1/ping")
        assert grant.tenant == header.decode()
        assert len(grants._decided) <= 8
