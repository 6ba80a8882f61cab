"""One caller's rules, closed: what is unknown, what gives credentials, what is spelt otherwise."""

from typing import Any

import pytest

from gateway.policy.caller_policy import Decision
from gateway.policy.grants import OperationDenied
from tests.support.grants import BILLING, compiled, decided, raw

FILES = "/silo/v1/entries/<id>/files/<id>"


def judged(allow: Any, deny: Any, method: str, path: str, *, enforce: bool = True) -> Decision:
    """The decision on a request, refused or not."""
    explained = compiled(allow, deny, enforce=enforce).explain(BILLING, (), method, raw(path))
    assert explained.decision is not None
    return explained.decision


@pytest.mark.parametrize(
    "path",
    [
        "/%2561ccess/v1/workspace",
        "/access;x=1/v1/workspace",
        "/access%20/v1/workspace",
        "/access%252Fv1%252Fworkspace",
        "/access/v1/workspace;x",
        "/ACCESS%3Bx%20/v1;y/%2557orkspace",
        "/acce%C5%BF%C5%BF/v1/workspace",
        "/;/access/v1/workspace",
    ],
)
def test_a_deny_holds_in_every_reading(path: str) -> None:
    """Also beside an `allow` of everything, and without `enforce`."""
    for allow in (None, ("*", "* /**")):
        for enforce in (True, False):
            found = judged(allow, ("access.*",), "GET", path, enforce=enforce)
            assert (found.allowed, found.why) == (False, "deny")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_deny_covers_every_method_and_all_below(method: str) -> None:
    """What is no known operation, at or below the paths of what is denied, is denied."""
    for path in (FILES, f"{FILES}/x", "/silo/v1/entries/<id>/files", "/silo/v1/entries/x/files/y"):
        found = judged(("*", "* /**"), ("silo.files.*",), method, path)
        assert found == Decision(
            found.operation, found.route, False, "callers.billing.deny[0]", "deny"
        )
    assert judged(("*", "* /**"), ("silo.files.*",), method, "/silo/v1/entries/<id>/x").allowed


def test_a_deny_leaves_other_known_operations_alone() -> None:
    """Even on the same path: denying to write an entry is not denying to read it."""
    rules = (None, ("silo.entries.create", "silo.entries.list"))
    assert judged(*rules, "GET", "/silo/v1/entries/<id>").why == "default"
    assert judged(*rules, "GET", "/silo/v1/entries/key/INV%2F1%20a;b").why == "default"
    assert judged(*rules, "GET", FILES).why == "default"
    assert judged(*rules, "DELETE", "/silo/v1/entries/<id>").why == "deny"
    assert judged(*rules, "PUT", "/silo/v1/entries/<id>").why == "deny"


@pytest.mark.parametrize(
    ("allow", "deny", "rule", "why"),
    [
        (None, (), "callers.billing", "default"),
        (None, ("access.*",), "callers.billing.deny", "unknown"),
        (("*",), (), "callers.billing.allow", "not_allowed"),
        (("@read_only",), ("access.*",), "callers.billing.allow", "not_allowed"),
        (("*", "GET /new/*"), ("access.*",), "callers.billing.allow[1]", "allow"),
        (("* /**",), ("access.*",), "callers.billing.allow[0]", "allow"),
        (("GET /new/x",), ("other",), "callers.billing.deny[0]", "deny"),
    ],
)
def test_what_is_no_known_operation(allow: Any, deny: Any, rule: str, why: str) -> None:
    """Callers without rules reach it, others by a pattern only."""
    found = judged(allow, deny, "GET", "/new/x")
    assert (found.operation, found.rule, found.why) == ("other", rule, why)
    assert found.allowed == (why in {"default", "allow"})


def test_enforce_opens_nothing_but_what_allow_refuses() -> None:
    """A `deny` without an `allow` refuses what is unknown, with or without `enforce`."""
    assert not judged(None, ("access.*",), "GET", "/new", enforce=False).allowed
    assert not judged(None, (), "GET", "/access/v1/enrollment", enforce=False).allowed
    found = judged(("silo.*",), ("access.*",), "GET", "/new", enforce=False)
    assert (found.allowed, found.why, found.rule) == (
        True,
        "not_enforced",
        "callers.billing.enforce",
    )


@pytest.mark.parametrize(
    "allow", [None, ("*",), ("access.*",), ("@read_only",), ("* /**",), ("GET /access/v1/*",)]
)
@pytest.mark.parametrize(
    "path",
    [
        "/access/v1/enrollment",
        "/access/v1/enrollment/",
        "/access/v1/Enrollment;x",
        "/access/v1/enrollment%2F",
        "/access/v1/%2565nrollment",
        "/access/v1/enrollment/<id>",
        "/access/v1/enrollment/<id>/token",
        "/access%2Fv1%2Fenrollment",
    ],
)
def test_credentials_are_given_by_exact_names_only(allow: Any, path: str) -> None:
    """No default, glob, preset or pattern covers them, nor what is unknown below their paths."""
    for enforce in (True, False):
        found = judged(allow, (), "GET", path, enforce=enforce)
        assert not found.allowed
        assert found.why in {"credentials", "not_allowed"}
        if enforce and allow in {None, ("* /**",)}:
            rule = "callers.billing" if allow is None else "callers.billing.allow"
            assert (found.why, found.rule) == ("credentials", rule)


def test_an_exact_name_gives_what_it_names() -> None:
    """One operation, in every spelling of it; and a `deny` still wins."""
    grants = compiled(("silo.*", "access.enrollment.fetch"))
    assert decided(grants, "GET", "/access/v1/enrollment") == "callers.billing.allow[1]"
    assert decided(grants, "HEAD", "/access/v1/%65nrollment") == "callers.billing.allow[1]"
    assert decided(grants, "PATCH", "/access/v1/enrollment") == "!callers.billing.allow"
    assert decided(grants, "DELETE", "/access/v1/enrollment") == "!callers.billing.allow"
    grants = compiled(("access.enrollment.fetch",), ("access.*",))
    assert decided(grants, "GET", "/access/v1/enrollment") == "!callers.billing.deny[0]"


@pytest.mark.parametrize(
    "path",
    [
        "/silo/v1/entries/query",
        "/silo/v1/entries/query/count",
        "/silo/v1/entries/related",
        "/silo/v1/entries/related;x",
        "/silo/v1/entries/query%20",
        "/silo/v1/entries/any-name",
        "/silo/v1/entries/<id>/meta/;k",
        "/silo/v1/entries/<id>;x/states",
        "/silo/v1/entries/<id>%2Fstates",
    ],
)
def test_fetching_is_not_searching(path: str) -> None:
    """What is always a UUID matches UUIDs only, so a `fetch` covers none of its neighbours."""
    assert not judged(("silo.entries.fetch", "silo.meta.fetch"), (), "GET", path).allowed
    assert judged(("silo.entries.fetch",), (), "GET", "/silo/v1/entries/<id>").allowed


def test_a_known_operation_in_another_reading_must_be_allowed_too() -> None:
    """A pattern for what was sent is not enough; nor is a name, if another reading is another."""
    allowed = ("GET /silo/v1/*", "GET /Silo/**")
    assert judged(allowed, (), "GET", "/silo/v1/new").allowed
    assert judged(allowed, (), "GET", "/silo/v1/new%20").allowed
    found = judged(allowed, (), "GET", "/Silo/v1/entries/query")
    assert (found.allowed, found.reading) == (False, "in another letter case")
    assert judged((*allowed, "silo.entries.query"), (), "GET", "/Silo/v1/entries/query").allowed
    meta = "/silo/v1/entries/<id>/meta/;k"
    assert judged(("silo.meta.fetch", "silo.meta.list"), (), "GET", meta).allowed


@pytest.mark.parametrize(
    ("allow", "deny", "method", "allowed"),
    [
        (None, (), "GET", True),
        (None, ("access.*",), "GET", True),
        (("files.*",), (), "PUT", True),
        (("files.fetch",), (), "HEAD", True),
        (("files.fetch",), (), "PUT", False),
        (("@invoicing",), (), "PUT", True),
        (("@reporting",), (), "PUT", False),
        (("GET /.files/silo.invopop.com/**",), (), "GET", True),
        (("GET /.files/storage.invopop.com/**",), (), "GET", False),
        (("silo.*",), (), "GET", False),
        (None, ("files.upload",), "POST", False),
        (None, ("files.upload",), "GET", True),
        (("*", "* /**"), ("files.fetch",), "DELETE", False),
        (("files.*",), ("* /.files/SILO.invopop.com/**",), "GET", False),
        (None, ("* /**",), "GET", False),
    ],
)
def test_files(allow: Any, deny: Any, method: str, allowed: bool) -> None:
    """By name, glob, preset or pattern, whatever a file's path holds."""
    for path in ("/.files/silo.invopop.com/a/b", "/.files/silo.invopop.com/a%2Fb;c%20/D"):
        assert judged(allow, deny, method, path).allowed == allowed, path


def test_only_the_prefix_itself_means_a_file() -> None:
    """Another spelling of it is an unknown path of the upstream, and is no file's operation."""
    for path in ("/%2Efiles/silo.invopop.com/x", "/.FILES/silo.invopop.com/x", "/.files"):
        assert judged(("files.*",), (), "GET", path).operation == "other"


def test_a_path_with_too_many_readings_is_refused() -> None:
    """Whatever the rules are: what cannot be judged is not let through."""
    path = "/new/" + "A%20%2F;" * 2000
    for allow in (None, ("* /**",)):
        for enforce in (True, False):
            found = judged(allow, (), "GET", path, enforce=enforce)
            assert found == Decision("other", "other", False, "callers.billing", "ambiguous")
    with pytest.raises(OperationDenied):
        compiled().decide(BILLING, (), "GET", raw(path))
