"""Grants held against a second implementation: the contract spelt out, slow and plain."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import chain
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.invopop.operations import is_parameter, is_uuid_parameter, segments_of
from gateway.invopop.presets import globs
from gateway.invopop.table import OPERATIONS, Operation
from gateway.policy.grants import Grants
from tests.support.grants import BILLING, UUID, compiled, decided, raw

Lists = tuple[tuple[str, ...] | None, tuple[str, ...]]
Segments = tuple[str, ...]

ENTRIES = st.sampled_from(
    [
        "silo.*",
        "silo.entries.*",
        "silo.entries.fetch",
        "silo.files.*",
        "*.list",
        "transform.jobs.create",
        "*",
        "access.*",
        "access.enrollment.fetch",
        "@read_only",
        "GET /silo/**",
        "* /silo/v1/entries/*",
        "GET /**/states",
        "PUT /Silo/v1/*/E1",
        "* /access/**",
        "GET /silo/v1/entries/key/*",
        "GET /silo/v1/entries/key/a;b",
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
SEGMENTS += ["access", "enrollment", "a%252Fb", "a;b", ";b", "a%20", "%20", "a%3Bb", "caf%C3%A9"]
SEGMENTS += ["a.", "a.json", "%20a", "a%3Fb", "%23b", "a%253Fb", "a%2F.json"]
SEPARATORS = st.sampled_from(["/", "/", "/", "/", "%2F", "%2f", "%252F"])


def capitals(text: str) -> str:
    return text.upper()


def one_escape(text: str) -> str:
    return f"%{ord(text[0]):02X}{text[1:]}" if text and text[0] != "%" else text


def two_escapes(text: str) -> str:
    return one_escape(text).replace("%", "%25", 1)


def parameter(text: str) -> str:
    return f"{text};x=1"


def escaped_parameter(text: str) -> str:
    return f"{text}%3Bx"


def blank(text: str) -> str:
    return f"{text}%20"


def blank_in_front(text: str) -> str:
    return f"%20{text}"


def dot(text: str) -> str:
    return f"{text}."


def overlong(text: str) -> str:
    """Its first letter in two bytes, escaped twice, as lenient decoders take it."""
    code = ord(text[0]) if text else 0
    if not 0x40 <= code < 0x80:
        return text
    return f"%25C1%25{0x80 | code & 0x3F:02X}{text[1:]}"


def accents(text: str) -> str:
    """With `s` as the long s, which is one in another case, and a dotless `i`."""
    return quote(text.replace("s", "\u017f").replace("i", "\u0131")) if "%" not in text else text


def wide(text: str) -> str:
    return quote("".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text))


DISGUISES = [capitals, one_escape, two_escapes, parameter, escaped_parameter, blank, wide]
DISGUISES += [blank_in_front, dot, overlong, accents]


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Paths near the table's own: parameters filled, segments swapped or disguised."""
    template = segments_of(draw(st.sampled_from(OPERATIONS)).template)
    parts = [draw(segments(part)) for part in template]
    path = "/" + parts[0] + "".join(draw(SEPARATORS) + part for part in parts[1:])
    return path + draw(st.sampled_from(["", "", "/"]))


@st.composite
def segments(draw: st.DrawFn, part: str) -> str:
    if is_uuid_parameter(part) and draw(st.integers(0, 9)):
        part = UUID
    elif is_parameter(part) or not draw(st.integers(0, 14)):
        part = draw(st.sampled_from(SEGMENTS))
    if not draw(st.integers(0, 9)):
        part = draw(st.sampled_from(DISGUISES))(part)
    return part


def naive_operation(method: str, path: Segments) -> Operation | None:
    fitting = [
        row
        for row in OPERATIONS
        if row.method == method and naive_fits(segments_of(row.template), path, typed=True)
    ]
    precedence = {
        row: [is_parameter(part) for part in segments_of(row.template)] for row in fitting
    }
    return min(fitting, key=lambda row: precedence[row], default=None)


def naive_fits(template: Segments, path: Segments, *, typed: bool) -> bool:
    if len(template) != len(path):
        return False
    for part, segment in zip(template, path, strict=True):
        if typed and is_uuid_parameter(part):
            if not re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", segment):
                return False
        elif not is_parameter(part) and part != segment:
            return False
    return True


def flat(path: Segments, change: Callable[[str], str]) -> Segments:
    return tuple(changed for part in path if (changed := change(part)))


def naive_readings(path: str) -> set[tuple[Segments, bool]]:
    """All that one step after another leads to, on lists of segments; and whether case went."""
    first = tuple(path.strip("/").split("/"))
    cut = tuple(part.split(";")[0] for part in first)
    found = {(flat(start, unquote), False) for start in (first, cut)}
    todo = list(found)
    while todo:
        at, folded = todo.pop()
        after = {
            (flat(at, naive_unescape), folded),
            (flat(at, lambda part: part.split(";")[0]), folded),
            (flat(at, naive_trim), folded),
            (flat(naive_cut(at), str), folded),
            (flat(naive_stem(at), str), folded),
            (tuple(chain(*(part.split("/") for part in at))), folded),
            (flat(at, naive_fold), True),
        }
        todo += after - found
        found |= after
    return {(tuple(part for part in at if part), folded) for at, folded in found}


def naive_fold(text: str) -> str:
    """For what occurs here: full-width letters, one accent, and odd forms of `s` and `i`."""
    narrow = "".join(chr(ord(c) - 0xFEE0) if "ａ" <= c <= "ｚ" else c for c in text)
    plain = narrow.casefold().replace("é", "e").replace("\u0131", "i")
    return plain.replace("\u017f", "s")


def naive_unescape(text: str) -> str:
    two_bytes = re.compile("%C1%([89AB])(.)")
    return unquote(two_bytes.sub(lambda m: f"%{int(m[1], 16) - 4:X}{m[2]}", text))


def naive_trim(text: str) -> str:
    shorter = text.strip()
    while shorter.endswith(".") and shorter.strip("."):
        shorter = shorter[:-1]
    return shorter


def naive_cut(path: Segments) -> Segments:
    """Up to the first `?` or `#`, in whatever segment."""
    at = next((at for at, part in enumerate(path) if set(part) & set("?#")), None)
    return path if at is None else (*path[:at], re.split("[?#]", path[at])[0])


def naive_stem(path: Segments) -> Segments:
    """Without what looks like extensions in the last segment."""
    if not path:
        return path
    *others, last = path
    stem, *extensions = last.rpartition("/")[2].split(".")
    if not stem or not all(re.fullmatch("[A-Za-z0-9]{1,8}", one) for one in extensions):
        return path
    return (*others, last.removesuffix("".join(f".{one}" for one in extensions)))


def naive_pattern(entry: str, method: str, path: Segments, *, any_case: bool) -> bool:
    if " " not in entry:
        return False
    expected, form = entry.split(" ")
    expression = "".join(
        {"*": "\0[^\0]*", "**": "(?:\0[^\0]*)*"}.get(part, f"\0{re.escape(part)}")
        for part in form.split("/")[1:]
    )
    text = "".join(f"\0{segment}" for segment in path)
    if expected not in ("*", method):
        return False
    flags = re.IGNORECASE if any_case else 0
    return re.fullmatch(expression, text, flags | re.DOTALL) is not None


def naive_allows(entry: str, method: str, path: Segments) -> bool:
    if naive_pattern(entry, method, path, any_case=False):
        return True
    known = naive_operation(method, path)
    if known is None:
        return False
    if known.name.startswith("access.enrollment."):
        return known.name == entry
    return any(fnmatchcase(known.name, glob) for glob in globs(entry))


def naive_denies(entry: str, method: str, path: Segments, *, below: bool = True) -> bool:
    if naive_pattern(entry, method, path, any_case=True):
        return True
    known = naive_operation(method, path)
    if known is not None:
        closed = known.name.startswith("access.enrollment.") and entry.startswith("@")
        return not closed and any(fnmatchcase(known.name, glob) for glob in globs(entry))
    if not below:
        return False
    name = ".".join([*(part for part in path if not re.fullmatch("v[0-9]+", part)), "other"])
    if any(fnmatchcase(name, glob) for glob in globs(entry)):
        return True
    rows = [row for row in OPERATIONS if naive_denies_name(entry, row.name)]
    prefixes = [path[:count] for count in range(len(path) + 1)]
    return any(
        naive_fits(segments_of(row.template), prefix, typed=False)
        for row in rows
        for prefix in prefixes
    )


def naive_denies_name(entry: str, name: str) -> bool:
    closed = name.startswith("access.enrollment.") and entry.startswith("@")
    return not closed and any(fnmatchcase(name, glob) for glob in globs(entry))


def naive_value(sent: Segments, known: Operation | None, other: Segments) -> bool:
    """Whether the other reading is the one sent, the last parameter's value longer or gone."""
    if known is None:
        return False
    template = segments_of(known.template)
    last = max((at for at, part in enumerate(template) if is_parameter(part)), default=-1)
    if last < 0:
        return False
    behind = len(template) - last - 1
    gone = not behind and len(other) == last
    if len(other) < len(sent) and not gone:
        return False
    kept = [naive_fold(part) for part in (*sent[:last], *sent[len(sent) - behind :])]
    return kept == [naive_fold(part) for part in (*other[:last], *other[len(other) - behind :])]


def naive(policy: Lists, method: str, path: str) -> bool:
    allow, deny = policy
    method = "GET" if method == "HEAD" else method
    sent = tuple(unquote(part) for part in path.removesuffix("/").split("/")[1:])
    known = naive_operation(method, sent)
    readings = naive_readings(path)
    if any(part in {".", ".."} for at, _ in readings for part in at):
        return False  # it leads elsewhere
    others = {(at, folded) for at, folded in readings if at != sent}
    values = {at for at, _ in others if naive_value(sent, known, at)}
    for at in {sent, *(at for at, _ in others)}:
        operation = naive_operation(method, at)
        below = operation is not None or at not in values
        if any(naive_denies(entry, method, at, below=below) for entry in deny):
            return False
        exact = operation is not None and operation.name in (allow or ())
        if naive_denies("access.enrollment.*", method, at, below=below) and not exact:
            return False
    if allow is None:
        return known is not None or not deny
    cased = {at for at, folded in others if not folded}
    due = {at for at, _ in others if naive_operation(method, at)}
    due |= {at for at in cased - values if len(at) > len(sent)}
    return all(any(naive_allows(entry, method, at) for entry in allow) for at in {sent, *due})


def lawful(path: str) -> bool:
    """Whether the path comes as far as policy: no empty or dot segments in it, decoded twice."""
    again = unquote(unquote(path))
    return "//" not in again and not re.search(r"/\.\.?(/|$)", again)


PATHS = paths().filter(lawful)


@settings(max_examples=120)
@example((None, ()), [("GET", "/silo/%20."), ("GET", "/silo/v1/%2520..%2520"), ("GET", "/silo/.;")])
@given(POLICIES, st.lists(st.tuples(METHODS, PATHS), min_size=1, max_size=6))
def test_decide_agrees_with_the_contract_spelt_out(
    policy: Lists, requests: list[tuple[str, str]]
) -> None:
    """Request after request, the fast implementation allows what a slow and plain one does."""
    grants = compiled(*policy)
    for method, path in requests + requests:
        assert decided(grants, method, path).startswith("!") != naive(policy, method, path)


def allowed(grants: Grants, method: str, path: str) -> bool:
    return not decided(grants, method, path).startswith("!")


@given(POLICIES, ENTRIES, METHODS, PATHS)
def test_deny_always_wins_and_allow_only_adds(
    policy: Lists, entry: str, method: str, path: str
) -> None:
    """More `deny` never allows more, more `allow` never less; what both name is denied."""
    allow, deny = policy
    before = allowed(compiled(allow, deny), method, path)
    assert before or not allowed(compiled(allow, (*deny, entry)), method, path)
    if allow is not None:
        assert allowed(compiled((*allow, entry), deny), method, path) or not before
    if allowed(compiled((entry,)), method, path):
        assert decided(compiled((entry,), (entry,)), method, path) == "!callers.billing.deny[0]"


@pytest.mark.parametrize("disguise", DISGUISES)
@settings(max_examples=60)
@given(data=st.data(), row=st.sampled_from(OPERATIONS))
def test_no_disguise_gets_past_a_deny(
    disguise: Callable[[str], str], data: st.DataObject, row: Operation
) -> None:
    """However segments are spelt, a denied operation stays denied, whatever else is allowed."""
    parts = [
        UUID if is_uuid_parameter(part) else "x" if is_parameter(part) else part
        for part in segments_of(row.template)
    ]
    spelt = [disguise(part) if data.draw(st.booleans()) else part for part in parts]
    path = "/" + spelt[0] + "".join(data.draw(SEPARATORS) + part for part in spelt[1:])
    grants = compiled(("*", row.name, "* /**"), (row.name,))
    assert decided(grants, row.method, path) == "!callers.billing.deny[0]"


@given(POLICIES, METHODS, PATHS)
def test_enforce_false_differs_only_where_allow_refuses(
    policy: Lists, method: str, path: str
) -> None:
    """Whatever `enforce` is, `deny` refuses the same, and `would_deny` marks all the rest."""
    strict, lax = compiled(*policy), compiled(*policy, enforce=False)
    explained = strict.explain(BILLING, (), method, raw(path))
    assert explained.decision is not None
    rule = decided(lax, method, path)
    if explained.decision.why == "not_allowed":
        assert rule == "callers.billing.enforce"
        assert lax.decide(BILLING, (), method, raw(path)).would_deny
    else:
        assert rule == decided(strict, method, path)


@given(POLICIES, METHODS, PATHS)
def test_explain_says_what_decide_does(policy: Lists, method: str, path: str) -> None:
    """`explain` and `decide` never differ."""
    grants = compiled(*policy)
    explained = grants.explain(BILLING, (), method, raw(path))
    rule = decided(grants, method, path)
    assert explained.decision is not None
    assert explained.decision.rule == rule.removeprefix("!")
    assert (explained.error is None) == (not rule.startswith("!"))
    if explained.grant is not None:
        assert explained.grant == grants.decide(BILLING, (), method, raw(path))
