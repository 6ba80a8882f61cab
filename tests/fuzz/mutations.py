"""Hypothesis strategies: seeds, changed as those who look for request smuggling change them."""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

_INSERTS: Final = (
    *(b"\r\n", b"\r", b"\n", b"\0", b":", b"\t", b" ", b"\r\n\r\n", b"0\r\n\r\n", b"\x80", b","),
    *(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"Transfer-Encoding: identity\r\n", b": x\r\n", b"Expect: 100-continue\r\n", b"%2e", b"/../"),
)


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A seed, or two of them one behind the other, with up to four changes."""
    one = st.sampled_from(seeds)
    begun = st.one_of(one, st.builds(bytes.__add__, one, one))
    return begun.flatmap(
        lambda seed: st.lists(_change(), max_size=4).map(lambda c: _apply(seed, c))
    )


def cuts() -> st.SearchStrategy[list[int]]:
    """Sizes of the pieces in which bytes arrive; whatever is left comes as the last one."""
    return st.lists(st.integers(1, 40), max_size=30)


def pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """`data` in pieces of these sizes, none of them empty."""
    cut: list[bytes] = []
    for size in sizes:
        cut.append(data[:size])
        data = data[size:]
    return [piece for piece in (*cut, data) if piece]


_Change = tuple[int, int, bytes]


def _change() -> st.SearchStrategy[_Change]:
    """Where, how many bytes are taken away there, and what is put in their place."""
    put = st.one_of(st.just(b""), st.sampled_from(_INSERTS), st.binary(min_size=1, max_size=2))
    return st.tuples(st.integers(0, 400), st.sampled_from((0, 0, 1, 2, 7)), put)


def _apply(data: bytes, changes: list[_Change]) -> bytes:
    for where, taken, put in changes:
        at = where % (len(data) + 1)
        data = data[:at] + put + data[at + taken :]
    return data
