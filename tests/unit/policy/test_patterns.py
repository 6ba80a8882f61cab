"""The entries of `allow` and `deny`: what they cover, and which are refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invopop.operations import match, split_path
from gateway.policy.patterns import Pattern, PolicyRules, compile_allow, compile_deny, unknown_name


def allow(*entries: str) -> PolicyRules:
    rules, problems = compile_allow(entries, "callers.billing.allow", "gateway.toml")
    assert problems == []
    return rules


def deny(*entries: str) -> PolicyRules:
    rules, problems = compile_deny(entries, "callers.billing.deny", "gateway.toml")
    assert problems == []
    return rules


def found(rules: PolicyRules, method: str, path: bytes) -> str | None:
    segments = split_path(path)
    return rules.find(method, segments, match(method, segments))


@pytest.mark.parametrize(
    ("entry", "method", "path", "covered"),
    [
        ("GET /access/**", "GET", b"/access/v1/workspace", True),
        ("GET /access/**", "GET", b"/access", True),
        ("GET /access/**", "GET", b"/access/", True),
        ("GET /access/**", "GET", b"/accessory/v1", False),
        ("GET /access/**", "GET", b"/v1/access", False),
        ("GET /access/**", "GET", b"/Access/v1", False),
        ("GET /access/**", "POST", b"/access/v1/workspace", False),
        ("* /access/**", "POST", b"/access/v1/workspace", True),
        ("GET /**", "GET", b"/", True),
        ("GET /", "GET", b"/", True),
        ("GET /", "GET", b"/a", False),
        ("GET /a/*", "GET", b"/a/b", True),
        ("GET /a/*", "GET", b"/a/b/", True),
        ("GET /a/*/", "GET", b"/a/b", True),
        ("GET /a/*", "GET", b"/a", False),
        ("GET /a/*", "GET", b"/a/", False),
        ("GET /a/*", "GET", b"/a/b/c", False),
        ("GET /a/*", "GET", b"/a/b%2Fc", True),
        ("GET /a/*/c", "GET", b"/a/b%2Fc", False),
        ("GET /a/**/z", "GET", b"/a/z", True),
        ("GET /a/**/z", "GET", b"/a/b/c/z", True),
        ("GET /a/**/z", "GET", b"/a/z/z/b", False),
        ("GET /**/b/**/b", "GET", b"/b/a/b", True),
        ("GET /**/b/**/b", "GET", b"/a/b", False),
        ("GET /a/b c/é", "GET", b"/a/b%20c/%C3%A9", True),
        ("GET /a/*", "GET", b"/a/%2A", True),
        ("GET /silo/v1/entries", "GET", b"/silo/v1/%65ntries", True),
        ("OPTIONS /a", "OPTIONS", b"/a", True),
        ("GET   /a", "GET", b"/a", True),
    ],
)
def test_a_pattern_covers_decoded_segments(
    entry: str, method: str, path: bytes, covered: bool
) -> None:
    """`*` is one segment, `**` any number, one trailing slash is none, letter case counts."""
    assert (found(allow(entry), method, path) is not None) == covered


PARTS = st.sampled_from(["a", "b", "*", "**"])


@given(st.lists(PARTS, max_size=6), st.lists(st.sampled_from(["a", "b", "c"]), max_size=8))
def test_a_pattern_agrees_with_a_regular_expression(
    pattern: list[str], segments: list[str]
) -> None:
    """Trying only the last `**` again finds every match there is."""
    parts = {"*": "/[^/]+", "**": "(?:/[^/]+)*"}
    expression = "".join(parts.get(part, f"/{part}") for part in pattern)
    path = "".join(f"/{segment}" for segment in segments)
    expected = re.fullmatch(expression, path) is not None
    assert Pattern("GET", tuple(pattern)).matches("GET", segments) == expected


def test_many_double_stars_are_no_way_to_stall_the_gateway() -> None:
    """A pattern costs at most its own length times the path's, however it is written."""
    pattern = Pattern("GET", ("**", "a") * 12 + ("b",))

    class Counted(str):
        """A segment that counts how often it is compared."""

        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    assert not pattern.matches("GET", [Counted("a")] * 200)
    assert Counted.compared < 4 * 200 * len(pattern.segments)


@pytest.mark.parametrize(
    "entry",
    [
        "GET",
        "GET access",
        "GET/access",
        "/access/**",
        "get /access",
        "HEAD /access",
        "TRACE /access",
        "** /access",
        "GET /a//b",
        "GET //",
        "GET /a/./b",
        "GET /a/..",
        "GET /a?b=c",
        "GET /a#b",
        "GET /a%2Fb",
        "GET /silo/v1/entries/{id}",
        "GET /a/inv-*",
        "GET /a/***",
        "GET /a\\b",
        "GET /a\n",
        " GET /a",
        "silo.entrie.*",
        "Silo.*",
        "silo.entries.CREATE",
        "@readonly",
        "read_only",
        "",
    ],
)
def test_an_entry_that_can_never_match_is_a_problem(entry: str) -> None:
    """Neither list takes an entry that would sleep: the problem names its key path."""
    for compiled, key in ((compile_allow, "x.allow"), (compile_deny, "x.deny")):
        _, problems = compiled(["silo.*", entry], key, "gateway.toml")
        assert [(problem.file, problem.key) for problem in problems] == [
            ("gateway.toml", f"{key}[1]")
        ]


@pytest.mark.parametrize(
    ("entry", "nearest"),
    [
        ("silo.entries.creat", '"silo.entries.create"'),
        ("sillo.*", '"silo.*"'),
        ("transform.job.*", '"transform.jobs.*"'),
        ("@readonly", '"@read_only"'),
    ],
)
def test_a_misspelt_operation_is_answered_with_the_nearest(entry: str, nearest: str) -> None:
    """Whoever mistypes a name is told what they may have meant."""
    _, [problem] = compile_allow([entry], "callers.billing.allow", "gateway.toml")
    assert nearest in problem.expected
    assert problem.found == f"a string of {len(entry)} characters"


FORM = "`METHOD /path`, METHOD being `*` or one of GET, POST, PUT, PATCH, DELETE, OPTIONS"
SEGMENTS = (
    "segments that are `*` (any one), `**` (any number) or plain decoded text: "
    "no escapes, braces, query, dot segments or empty segments"
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("GET access", FORM),
        ("GET/access", FORM),
        ("HEAD /access", FORM),
        ("GET /a/../b", SEGMENTS),
    ],
)
def test_a_misspelt_pattern_is_answered_with_its_form(entry: str, expected: str) -> None:
    """What has a slash or a space was meant as a pattern, and is told how patterns look."""
    _, [problem] = compile_allow([entry], "callers.billing.allow", "gateway.toml")
    assert problem.expected == expected
    assert problem.found == f"a string of {len(entry)} characters"


def test_the_first_entry_that_names_an_operation_is_its_rule() -> None:
    """The rule is told by its key path, counted from 0 as written."""
    rules = allow("GET /silo/**", "silo.entries.*", "silo.*")
    assert found(rules, "POST", b"/silo/v1/entries") == "callers.billing.allow[1]"
    assert found(rules, "POST", b"/silo/v1/gobl/build") == "callers.billing.allow[2]"
    assert found(rules, "GET", b"/silo/v1/unknown") == "callers.billing.allow[0]"
    assert found(rules, "POST", b"/silo/v1/unknown") is None


@pytest.mark.parametrize(
    ("entry", "path", "covered"),
    [
        ("access.*", b"/access/v1/keys", True),
        ("access.*", b"/access/v2", True),
        ("access.*", b"/access", True),
        ("access.workspace.*", b"/access/v2/workspace/x", True),
        ("access.workspace.*", b"/access/v1/orgs/x", False),
        ("apps.gov-es.*", b"/apps/gov-es/v1/new", True),
        ("apps.gov-es.*", b"/apps/gov-fr/v1/new", False),
        ("access.workspace.fetch", b"/access/v1/workspace", True),
        ("access.workspace.fetch", b"/access/v1/workspace/x/y", True),
        ("access.workspace.fetch", b"/access/v1/orgs", False),
        ("silo.files.*", b"/silo/v1/entries/e/files/f", True),
        ("silo.files.*", b"/silo/v1/entries/e/attachments/f/x", True),
        ("silo.files.*", b"/silo/v1/entries/e/states/f/x", False),
        ("files.fetch", b"/.files/silo.invopop.com/x/y", True),
        ("other", b"/access/v1/keys", True),
        ("*", b"/", True),
        ("@invoicing", b"/silo/v1/new", True),
        ("@reporting", b"/silo/v1/new", False),
        ("access.*", b"/silo/v1/new", False),
        ("access.workspace.fetch", b"/access/v1/new", False),
    ],
)
def test_a_denied_service_includes_what_the_table_does_not_know(
    entry: str, path: bytes, covered: bool
) -> None:
    """`deny` also holds for other methods, for all below a path, and for a service's new paths."""
    assert (found(deny(entry), "OPTIONS", path) is not None) == covered
    assert found(allow(*{entry} - {"other"}), "OPTIONS", path) is None


def test_an_allowed_name_or_glob_never_includes_what_the_table_does_not_know() -> None:
    """Only a pattern allows that, not even `*` does."""
    for entry in ("access.*", "*", "@read_only", "access.workspace.fetch"):
        assert found(allow(entry), "POST", b"/access/v1/keys") is None
        assert found(allow(entry), "DELETE", b"/access/v1/workspace") is None
    assert found(allow("POST /access/**"), "POST", b"/access/v1/keys") == "callers.billing.allow[0]"


def test_other_is_no_entry_of_allow() -> None:
    """Whoever means unknown operations is told to write their paths."""
    _, [problem] = compile_allow(["other"], "callers.billing.allow", "gateway.toml")
    assert "`METHOD /path`" in problem.expected


@pytest.mark.parametrize("entry", ["*", "access.*", "acc*.f*", "*.fetch", "@read_only"])
def test_no_glob_allows_what_gives_credentials(entry: str) -> None:
    """`access.enrollment.*` is allowed by its exact names only; a `deny` covers it as anything."""
    assert found(allow(entry), "GET", b"/access/v1/enrollment") is None
    exact = allow(entry, "access.enrollment.fetch")
    assert found(exact, "GET", b"/access/v1/enrollment") == "callers.billing.allow[1]"
    if not entry.startswith("@"):
        assert found(deny(entry), "GET", b"/access/v1/enrollment") == "callers.billing.deny[0]"


def test_a_glob_of_nothing_but_credentials_is_a_problem_that_says_why() -> None:
    """It would be an entry that never matches."""
    _, [problem] = compile_allow(["access.enrollment.*"], "callers.billing.allow", "gateway.toml")
    assert problem.key == "callers.billing.allow[0]"
    assert "exact names" in problem.expected
    assert "credentials" in problem.expected


def test_an_unknown_path_is_named_without_its_version() -> None:
    """The name of an unknown path begins as the names of its service do."""
    assert unknown_name(("silo", "v2", "entries", "x")) == "silo.entries.x.other"
    assert unknown_name(()) == "other"
