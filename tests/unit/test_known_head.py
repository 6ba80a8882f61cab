"""`known_head`: which lines are those of an earlier head, and what is taken for their values."""

import pytest

from gateway.known_head import KnownLines, position, remember

FIXED = frozenset({b"host"})
Headers = list[tuple[bytes, bytes]]


def lines_of(headers: Headers) -> list[bytes]:
    return [name.title() + b": " + value for name, value in headers]


def learned(*heads: Headers) -> KnownLines:
    """What is known after these heads."""
    known = None
    for headers in heads:
        known = remember(lines_of(headers), headers, known, FIXED)
    assert known is not None
    return known


FIRST = [(b"host", b"h"), (b"x-id", b"1"), (b"accept", b"a")]
SECOND = [(b"host", b"h"), (b"x-id", b"2"), (b"accept", b"a")]
KNOWN = learned(FIRST, SECOND)


def test_what_differed_once_may_differ_again() -> None:
    """The values are those of the new head."""
    assert KNOWN.varying == [1]
    assert KNOWN.fields([b"Host: h", b"X-Id: a b\tc", b"Accept: a"]) == [
        (b"host", b"h"), (b"x-id", b"a b\tc"), (b"accept", b"a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: other", b"X-Id: 3", b"Accept: a"],
        [b"Host: h", b"X-Id: 3", b"Accept: b"],
        [b"Host: h", b"x-id: 3", b"Accept: a"],
        [b"Host: h", b"X-Id:3", b"Accept: a"],
        [b"Host: h", b"X-Id:  3", b"Accept: a"],
        [b"Host: h", b"X-Id: 3 ", b"Accept: a"],
        [b"Host: h", b"X-Id: ", b"Accept: a"],
        [b"Host: h", b"X-Id: 3\r", b"Accept: a"],
        [b"Host: h", b"X-Id: 3\n4", b"Accept: a"],
        [b"Host: h", b"X-Id: \x003", b"Accept: a"],
        [b"Host: h", b"X-Id: 3\x7f", b"Accept: a"],
        [b"Host: h", b"X-Id: 3"],
        [b"Host: h", b"X-Id: 3", b"Accept: a", b""],
        [],
    ],
)
def test_anything_else_is_another_head(lines: list[bytes]) -> None:
    """Another spelling, white space that would be dropped, a control character, another field."""
    assert KNOWN.fields(lines) is None


def test_values_that_decide_something_never_vary() -> None:
    """Nor do those in which the line holds more than the value."""
    assert learned(FIRST, [(b"host", b"g"), *FIRST[1:]]).varying == []
    known = remember([b"X-Id: 1 "], [(b"x-id", b"1")], learned([(b"x-id", b"2")]), FIXED)
    assert known.varying == []


def test_what_varies_is_not_forgotten_while_it_stays_the_same() -> None:
    """A client that repeats a request id does not make the next one unknown."""
    assert learned(FIRST, SECOND, [*SECOND[:2], (b"accept", b"b")]).varying == [1, 2]
    assert learned(FIRST, SECOND, FIRST[:2]).varying == []


def test_position() -> None:
    """Of the only field of a name; none and several are told apart."""
    headers = [(b"a", b""), (b"b", b""), (b"a", b"")]
    assert [position(headers, name) for name in (b"b", b"c", b"a")] == [1, -1, -2]
