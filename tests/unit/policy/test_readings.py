"""Every way to read a path: which there are, how each is named, and how much work they may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invopop.spellings import fold
from gateway.policy import readings
from gateway.policy.readings import other_readings, read_as_sent
from tests.support.grants import raw
from tests.support.spellings import spellings

CASE, SLASH = "in another letter case", "with %2F read as a slash"
PARAMETER = "without `;` parameters"
BLANKS = "without surrounding blanks or trailing dots"
AGAIN, CUT, STEM = "unescaped again", "up to an escaped ? or #", "without an extension"


def read(path: str, method: str = "GET") -> dict[str, str]:
    """The other readings of a path, as paths, with what was done to read them so."""
    found = other_readings(read_as_sent(method, raw(path)), raw(path))
    assert found is not None
    return {"|".join(reading.segments): reading.how for reading in found}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", {}),
        ("/a/b", {}),
        ("/a/b/", {}),
        ("/A/b", {"a|b": CASE}),
        ("/a%2Fb", {"a|b": SLASH}),
        ("/a/b%20", {"a|b": BLANKS}),
        ("/a%C2%A0%E3%80%80/b", {"a  |b": CASE, "a|b": BLANKS}),
        ("/a/b;x=1", {"a|b": PARAMETER}),
        ("/a;x/b;y", {"a|b": PARAMETER}),
        ("/a%3Bx/b", {"a|b": PARAMETER}),
        ("/a/;x/b", {"a|b": PARAMETER}),
        ("/a/%20/b", {"a|b": BLANKS}),
        ("/a;%3Bb", {"a": PARAMETER}),
        ("/a%2562", {"ab": AGAIN}),
        ("/%25ff", {"\ufffd": AGAIN}),
        ("/a%25252562", {"a%2562": AGAIN, "a%62": AGAIN, "ab": AGAIN}),
        ("/%EF%BD%81b", {"ab": CASE}),
        ("/a%2F%20", {"a| ": SLASH, "a/": BLANKS, "a": f"{SLASH}, {BLANKS}"}),
        ("/a%252fb", {"a/b": AGAIN, "a|b": f"{AGAIN}, {SLASH}"}),
        ("/a%20;x", {"a ": PARAMETER, "a": f"{PARAMETER}, {BLANKS}"}),
        ("/%20a/b", {"a|b": BLANKS}),
        ("/a./b%20.", {"a|b ": BLANKS, "a|b": BLANKS}),
        ("/.../b", {}),
        ("/a/b%3Fc/d", {"a|b": CUT}),
        ("/a/%23c", {"a": CUT}),
        ("/a/b.json", {"a|b": STEM}),
        ("/a/b.tar.gz", {"a|b": STEM}),
        ("/a/.b/c.d-e", {}),
        ("/a/b.json%3Fc", {"a|b.json": CUT, "a|b": f"{CUT}, {STEM}"}),
        (
            "/a%252500b",
            {"a%00b": AGAIN, "a\0b": AGAIN, "ab": f"{AGAIN}, {BLANKS}", "a": f"{AGAIN}, {CUT}"},
        ),
        ("/a%252525b", {"a%25b": AGAIN, "a%b": AGAIN}),
        ("/a%25255cb", {"a%5cb": AGAIN, "a\\b": AGAIN, "a|b": f"{AGAIN}, {SLASH}"}),
        ("/%25c1%25a1", {"a": AGAIN}),
        ("/%25e0%2581%25a1", {"a": AGAIN}),
        ("/%25f0%2580%2581%25a1", {"a": AGAIN}),
        ("/%25e0%2583%25a9", {"\u00e9": AGAIN, "e": f"{AGAIN}, {CASE}"}),
        ("/%25u20AC", {"%u20ac": CASE, "\u20ac": AGAIN}),
        ("/%25u0061%25c0%25afb", {"a/b": AGAIN, "a|b": f"{AGAIN}, {SLASH}"}),
        ("/s%C4%B1%C4%B0", {"sii": CASE}),
        ("/a%C2%AD%E2%80%8B%CC%81b", {"ab": CASE}),
        ("/a%E2%88%95b", {"a|b": CASE}),
        ("/A%2Fb", {"a/b": CASE, "A|b": SLASH, "a|b": f"{CASE}, {SLASH}"}),
    ],
)
def test_the_other_readings_of_a_path(path: str, expected: dict[str, str]) -> None:
    """Each once, in the fewest steps; empty segments are none."""
    assert read(path) == expected


def test_parameters_may_be_dropped_before_a_path_is_unescaped() -> None:
    """`;` and what follows goes with an escaped slash in it, or only up to that slash."""
    assert set(read("/a;x%2Fb/c")) == {"a|c", "a;x|b|c", "a|b|c"}
    assert set(read("/a;x/b%3By")) == {"a|b;y", "a|b"}


@pytest.mark.parametrize("path", ["/access/v1/workspace", "/silo/v1/entries/<id>/files"])
def test_every_spelling_has_the_plain_path_among_its_readings(path: str) -> None:
    """Hundreds of them, made by rule, not listed; few are refused as having too many readings."""
    refused = 0
    plain = tuple(raw(path).decode().split("/")[1:])
    for spelling in spellings(raw(path).decode()):
        sent = read_as_sent("GET", spelling.encode())
        found = other_readings(sent, spelling.encode())
        refused += found is None
        every = {sent.segments, *(tuple(one.segments) for one in found or ())}
        assert found is None or plain in every, spelling
    assert refused < len(spellings(raw(path).decode())) / 8


@pytest.mark.parametrize("path", ["/a/%25252e%25252e/b", "/%E2%80%A4%E2%80%A4/b", "/a/%25252e"])
def test_a_reading_with_dot_segments_is_one_too_many(path: str) -> None:
    """It leads to another path, which is not looked for: such a path is refused."""
    assert other_readings(read_as_sent("GET", path.encode()), path.encode()) is None


HOSTILE = [
    "/" + "%2541;" * 4000,
    "/" + "a%2Fb;c%20" * 3000,
    "/" + "%25" * 10_000 + "41",
    "/" + "A%252525252525252525252F/" * 500,
    "/" + "%EF%B7%BA" * 3000,
    "/" + "%20" * 10_000,
    "/" + ";" * 30_000,
    "/" + "A" * 30_000,
    "/a" * 15_000,
]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path[:12])
def test_a_hostile_path_makes_bounded_work(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """However it is made, little text is read in all before it is refused, or judged."""
    worked = 0

    def counted(text: str) -> str:
        nonlocal worked
        worked += len(text)
        return fold(text)

    steps = ((CASE, counted), *readings._STEPS[1:])
    monkeypatch.setattr(readings, "_STEPS", steps)
    found = other_readings(read_as_sent("GET", path.encode()), path.encode())
    assert worked <= 2 * len(path) + readings._MAX_TEXT
    assert found is None or sum(len(one.segments) for one in found) <= 1100


def test_a_lawful_long_path_is_judged() -> None:
    """An entry's key may be long, and hold whatever a key may hold."""
    path = "/silo/v1/entries/key/" + "Rechnung%20M%C3%BCller%2F2027;A%26B" * 5
    found = other_readings(read_as_sent("GET", path.encode()), path.encode())
    assert found is not None


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/silo/v1/entries/key/a%2Fb", {"silo|v1|entries|key|a|b"}),
        ("/silo/v1/entries/key/a%252Fb", {"silo|v1|entries|key|a|b"}),
        ("/silo/v1/entries/key/a", set()),
        ("/silo/v1/entries/key/%231", {"silo|v1|entries|key"}),
        ("/silo/v1/entries/key/%20", {"silo|v1|entries|key"}),
        ("/silo/v1/entries/key%3Fa/b", set()),
        ("/apps/gov-es/v1/entry/<id>/%3Fa/agreement", set()),
        ("/silo/v1/entries/key%2Fa", set()),
        ("/silo/v1/entries/meta/k%2Fx/r", set()),
        ("/apps/gov-es/v1/entry/<id>/s%2Fi/agreement",
         {"apps|gov-es|v1|entry|<id>|s|i|agreement"}),
        ("/silo/v1/entries/<id>/versions/A%2Fb",
         {"silo|v1|entries|<id>|versions|A|b", "silo|v1|entries|<id>|versions|a|b"}),
        ("/.files/silo.invopop.com/a/b%2Fc", {".files|silo.invopop.com|a|b|c"}),
        ("/.files/silo.invopop.com%2Fx/b", set()),
        ("/new/a%2Fb", set()),
    ],
)  # fmt: skip
def test_a_longer_value_of_the_last_parameter(path: str, values: set[str]) -> None:
    """An escaped slash there is part of the value, as is what ends a path; elsewhere neither."""
    found = other_readings(read_as_sent("GET", raw(path)), raw(path))
    assert found is not None
    marked = {"|".join(one.segments) for one in found if one.is_value}
    assert marked == {raw(value).decode() for value in values}


def test_a_reading_says_what_it_is() -> None:
    """`HEAD` counts as `GET`; a file's path has the operation of files."""
    sent = read_as_sent("HEAD", b"/silo/v1/entries/")
    assert (sent.method, sent.segments, str(sent)) == (
        "GET",
        ("silo", "v1", "entries"),
        "as sent",
    )
    assert sent.operation is not None
    assert sent.operation.name == "silo.entries.list"
    file = read_as_sent("HEAD", b"/.files/silo.invopop.com/x/y").operation
    assert file is not None
    assert file.name == "files.fetch"
    folded, slashed, _ = other_readings(read_as_sent("GET", b"/a%2fB"), b"/a%2fB") or []
    assert (folded.folded, slashed.folded) == (True, False)


@given(st.text(alphabet="aA;%2Ff05 é", max_size=12))
def test_steps_never_lose_the_path_itself(text: str) -> None:
    """No text crashes a reading, and none is given twice."""
    path = b"/" + text.encode("ascii", "ignore").replace(b" ", b"%20")
    try:
        sent = read_as_sent("GET", path)
    except UnicodeDecodeError:
        return
    found = other_readings(sent, path)
    if found is not None:
        every = [tuple(sent.segments), *(tuple(one.segments) for one in found)]
        assert len(set(every)) == len(every)
