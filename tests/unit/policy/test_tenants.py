"""On whose behalf: the tenant of a request, and who may use it."""

import pytest

from gateway.errors import CallerError, error_response, tenant_denied
from gateway.model import Caller
from gateway.policy.tenants import CallerTenants, compile_tenants


def tenants(*entries: str) -> CallerTenants:
    compiled, problems = compile_tenants(entries, "callers.billing.tenants", "gateway.toml")
    assert problems == []
    return compiled


def caller(tenant: str | None = None, *, free: bool = True) -> Caller:
    return Caller("billing", "jwt" if tenant else "token", tenant, free)


@pytest.mark.parametrize(
    ("allowed", "claim", "headers", "expected"),
    [
        (("acme",), None, [], "acme"),
        (("acme", "acme"), None, [], "acme"),
        (("acme",), None, [b""], "acme"),
        (("acme",), None, [b" \t"], "acme"),
        (("acme",), None, [b"acme"], "acme"),
        (("acme",), None, [b" acme "], "acme"),
        (("acme", "globex"), None, [b"globex"], "globex"),
        (("acme", "globex-*"), None, [b"globex-es"], "globex-es"),
        (("globex-*",), None, [b"globex-"], "globex-"),
        (("*",), None, [b"anyone"], "anyone"),
        (("acme", "globex"), "globex", [], "globex"),
        (("acme", "globex"), "globex", [b"globex"], "globex"),
        (("acme", "globex"), "globex", [b""], "globex"),
        (("*",), None, [b"a" * 128], "a" * 128),
        (("acme-*-es",), None, [b"acme-x.y-es"], "acme-x.y-es"),
        (("acme-*", "globex-*"), None, [b"acme-es"], "acme-es"),
        (("X",), None, [b"X"], "X"),
    ],
)
def test_a_tenant_is_claimed_or_named_or_the_only_one(
    allowed: tuple[str, ...], claim: str | None, headers: list[bytes], expected: str
) -> None:
    """The claim comes first, then the header, then the one exact name; an empty header is none."""
    assert tenants(*allowed).resolve(caller(claim), headers) == expected


@pytest.mark.parametrize(
    ("allowed", "claim", "headers", "key"),
    [
        (("acme", "globex"), None, [], "tenant_required"),
        (("acme", "globex"), None, [b""], "tenant_required"),
        (("acme-*",), None, [], "tenant_required"),
        (("acme", "globex-*"), None, [], "tenant_required"),
        ((), None, [], "tenant_required"),
        ((), None, [b"acme"], "tenant_denied"),
        (("acme",), None, [b"acme", b"acme"], "bad_request"),
        (("acme",), None, [b"", b"acme"], "bad_request"),
        (("acme",), "acme", [b"acme", b"acme"], "bad_request"),
        (("acme", "globex"), "acme", [b"globex"], "tenant_denied"),
        (("acme", "globex"), "acme", [b"ACME"], "tenant_denied"),
        (("acme",), "globex", [], "tenant_denied"),
        (("acme",), None, [b"globex"], "tenant_denied"),
        (("acme",), None, [b"Acme"], "tenant_denied"),
        (("acme",), None, [b"acme.."], "tenant_denied"),
        (("acme",), None, [b"acme\x00"], "tenant_denied"),
        (("acme",), None, [b"acme\n"], "tenant_denied"),
        (("acme",), None, [b"acme, acme"], "tenant_denied"),
        (("*",), None, [b"../acme"], "tenant_denied"),
        (("*",), None, [b"a/b"], "tenant_denied"),
        (("*",), None, [b".acme"], "tenant_denied"),
        (("*",), None, [b"*"], "tenant_denied"),
        (("*",), None, [b"acme\n"], "tenant_denied"),
        (("*",), None, [b"acme\x00"], "tenant_denied"),
        (("*",), None, ["Å".encode()], "tenant_denied"),
        (("*",), None, ["A\u030a".encode()], "tenant_denied"),
        (("*",), None, [b"\xff"], "tenant_denied"),
        (("*",), None, [b"a" * 129], "tenant_denied"),
        (("*",), None, [b"a" * 10240], "tenant_denied"),
        (("*",), "a/b", [], "tenant_denied"),
        (("*",), "Å", [], "tenant_denied"),
        (("globex-*",), None, [b"xglobex-es"], "tenant_denied"),
        (("globex-*",), None, [b"Globex-es"], "tenant_denied"),
        (("a.c",), None, [b"abc"], "tenant_denied"),
        (("a.*",), None, [b"abc"], "tenant_denied"),
    ],
)
def test_any_other_tenant_is_refused(
    allowed: tuple[str, ...], claim: str | None, headers: list[bytes], key: str
) -> None:
    """Case 159: exact or refused. Two headers, a disagreement, an odd name: never a guess."""
    with pytest.raises(CallerError) as refused:
        tenants(*allowed).resolve(caller(claim), headers)
    assert refused.value.key == key
    assert refused.value.detail
    assert (refused.value.cause == "") == (key == "tenant_required")


@pytest.mark.parametrize(
    ("claim", "headers", "cause"),
    [
        (None, [b"acme", b"acme"], "two_tenants"),
        ("acme", [b"globex"], "claim_and_header_differ"),
        (None, [b"initech"], "not_this_callers"),
        ("initech", [], "not_this_callers"),
    ],
)
def test_the_log_learns_why_a_tenant_was_refused(
    claim: str | None, headers: list[bytes], cause: str
) -> None:
    """What callers see is one answer; the operator can tell the cases apart."""
    with pytest.raises(CallerError) as refused:
        tenants("acme", "globex").resolve(caller(claim), headers)
    assert refused.value.cause == cause


def test_a_token_that_must_name_its_tenant_cannot_leave_it_to_the_header() -> None:
    """Where the claim is required, a header alone names no tenant, nor does having only one."""
    for headers in ([], [b"acme"]):
        with pytest.raises(CallerError) as refused:
            tenants("acme").resolve(caller(free=False), headers)
        assert refused.value.key == "tenant_required"
        assert refused.value.detail == "The token must name its tenant in a claim."


def test_who_may_name_a_tenant_is_told_where() -> None:
    """The answer to a request without a tenant, or with two, names the header to send."""
    with pytest.raises(CallerError) as refused:
        tenants("acme").resolve(caller(), [b"acme", b"acme"])
    assert refused.value.detail == "Send X-Invopop-Tenant at most once."
    with pytest.raises(CallerError) as refused:
        tenants("acme", "globex").resolve(caller(), [])
    assert refused.value.detail == "Name the tenant in the header X-Invopop-Tenant."


def test_a_tenant_that_is_forbidden_or_malformed_answers_as_one_that_does_not_exist() -> None:
    """No answer tells which tenants there are: all are the same, byte for byte."""
    answers = []
    for allowed, header in ((("acme",), b"globex"), (("acme",), b"../x"), (("*",), b"\xff")):
        with pytest.raises(CallerError) as refused:
            tenants(*allowed).resolve(caller(), [header])
        answers.append(error_response(refused.value, "r1"))
    with pytest.raises(CallerError) as refused:
        tenants("acme", "globex").resolve(caller("acme"), [b"globex"])
    answers.append(error_response(refused.value, "r1"))
    assert answers == [error_response(tenant_denied("unknown"), "r1")] * 4


@pytest.mark.parametrize("entry", ["", "a b", "acme/x", "-acme", ".acme", "né", "a" * 129, "a?"])
def test_what_is_no_tenants_name_is_a_problem(entry: str) -> None:
    """A caller's tenants are names and globs of names; anything else is found at start."""
    compiled, problems = compile_tenants(["acme", entry], "x.tenants", "gateway.toml")
    [found] = problems
    assert found[:3] == ("gateway.toml", "x.tenants[1]", f"a string of {len(entry)} characters")
    assert found.expected == (
        "a tenant's name (letters, digits, `.`, `_`, `-`; at most 128) or a glob with `*`"
    )
    assert list(compiled.entries) == ["acme"]
