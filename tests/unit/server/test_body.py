"""`body`: where a request body ends, whatever it is wrapped in and however it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.framing import MAX_CHUNK_EXCESS
from gateway.server.body import (
    CHUNK_RULES,
    Body,
    ChunkedBody,
    SizedBody,
)


def read(body: Body, *segments: bytes) -> tuple[bytes, bytes | None]:
    """What the segments hold of a body, and what follows it."""
    got = b""
    for index, segment in enumerate(segments):
        piece, rest = body.decode(segment)
        got += piece
        if rest is not None:
            return got, rest + b"".join(segments[index + 1 :])
    return got, None


def bytewise(data: bytes) -> list[bytes]:
    """One segment a byte."""
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize(
    ("wire", "got", "rest"),
    [
        (b"abc", b"abc", b""),
        (b"abcGET", b"abc", b"GET"),
        (b"ab", b"ab", None),
    ],
)
def test_a_sized_body_ends_at_its_length(wire: bytes, got: bytes, rest: bytes | None) -> None:
    """What follows is not body."""
    assert read(SizedBody(3), wire) == (got, rest)
    assert read(SizedBody(3), *bytewise(wire)) == (got, rest)


LAWFUL = [
    (b"0\r\n\r\n", b"", b""),
    (b"1\r\nZ\r\n0\r\n\r\nGET", b"Z", b"GET"),
    (b"1;a=b\r\nZ\r\n0\r\n\r\n", b"Z", b""),
    (b'3;a;b="q;\\"\x80";c=d\r\nabc\r\n00;x\r\n\r\n', b"abc", b""),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
    (b"0000000000000002\r\n\r\n\r\n0\r\n\r\n", b"\r\n", b""),
    (b"1\r\nZ\r\n0\r\nAuthorization: Bearer EVIL\r\nHost: evil\r\n\r\nGET", b"Z", b"GET"),
    (b"1\r\nZ\r\n", b"Z", None),
    (b"1\r\nZ\r\n0\r\n", b"Z", None),
    (b"1\r\nZ\r\n0\r\nX: y\r\n", b"Z", None),
]


@pytest.mark.parametrize(("wire", "got", "rest"), LAWFUL)
def test_case_12_13_35_extensions_and_trailers_are_dropped(
    wire: bytes, got: bytes, rest: bytes | None
) -> None:
    """However the bytes are split, the body is the chunks' data and nothing else."""
    assert read(ChunkedBody(), wire) == (got, rest)
    assert read(ChunkedBody(), *bytewise(wire)) == (got, rest)
    for at in range(1, len(wire)):
        assert read(ChunkedBody(), wire[:at], wire[at:]) == (got, rest)


@pytest.mark.parametrize(
    "wire",
    [
        b"0x1\r\nZ\r\n",
        b"+1\r\nZ\r\n",
        b"-1\r\nZ\r\n",
        b"1_0\r\nZ\r\n",
        b"1 \r\nZ\r\n",
        b" 1\r\nZ\r\n",
        b"\r\nZ\r\n",
        b"1these-bytes\r\nZ\r\n",
        b"ZZ\r\n",
        b"0" * 16 + b"1\r\nZ\r\n",
        b"0_2e\r\n",
        b"1\nZ\n0\n\n",
        b"1\r\nZ\n0\r\n\r\n",
        b"1\r\nZXX0\r\n\r\n",
        b"1\r\nZZ",
        b"1\r\nZ\rX",
        b"1\r\r;a\r\n",
        b"1;a\nb\r\nZ\r\n",
        b'1;a="\r"\r\nZ\r\n',
        b'1;a="b\r\nZ\r\n',
        b"1;\r\nZ\r\n",
        b"1;a=\r\nZ\r\n",
        b"1 ;a\r\nZ\r\n",
        b"1;a=b c\r\nZ\r\n",
        b"0\r\nbadtrailer\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_case_10_11_14_broken_chunks_are_refused(wire: bytes) -> None:
    """Sizes are bare digits, lines end in CRLF, data where its size says, trailers are fields."""
    for segments in ([wire], bytewise(wire)):
        with pytest.raises(CallerError) as caught:
            read(ChunkedBody(), *segments)
        assert caught.value.key == "bad_request"


@pytest.mark.parametrize(
    "wire",
    [
        b"1;" + b"a" * (1 << 20),
        b"1;" + b"a" * 4096 + b"\r\nZ\r\n",
        b"0\r\n" + b"X: y\r\n" * 200_000,
        b"0\r\nX: " + b"y" * (1 << 20),
        b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nZ\r\n" * MAX_CHUNK_EXCESS,
    ],
)
def test_case_12_14_what_is_dropped_is_bounded(wire: bytes) -> None:
    """Extensions and trailers cannot be fed without end."""
    with pytest.raises(CallerError):
        read(ChunkedBody(), wire)


def line_of(length: int, size: int = 1) -> bytes:
    """A chunk's first line of so many bytes, its extension as long as that takes."""
    begun = b"%x;" % size
    return begun + b"a" * (length - len(begun) - 2) + b"\r\n"


def test_a_chunk_line_may_have_4096_bytes() -> None:
    """Its end included, and not one more."""
    end = b"Z\r\n0\r\n\r\n"
    assert read(ChunkedBody(), line_of(CHUNK_RULES.max_line) + end) == (b"Z", b"")
    with pytest.raises(CallerError):
        read(ChunkedBody(), line_of(CHUNK_RULES.max_line + 1) + end)


def test_trailers_may_have_8192_bytes() -> None:
    """All of them together, and not one more."""
    half = b"X: " + b"y" * (CHUNK_RULES.max_trailers // 2 - 5) + b"\r\n"
    assert read(ChunkedBody(), b"0\r\n" + half * 2 + b"\r\n") == (b"", b"")
    with pytest.raises(CallerError):
        read(ChunkedBody(), b"0\r\n" + half + half.replace(b"X", b"XX") + b"\r\n")


@pytest.mark.parametrize("begun", [b"", b"1000\r\n" + b"z" * 4096 + b"\r\n"])
def test_framing_is_bounded_to_the_byte(begun: bytes) -> None:
    """Sixteen bytes a chunk and twice its data are free; of more there may be 16 KiB in all.

    What a large chunk leaves of that is not saved up.
    """
    body = ChunkedBody()
    body.decode(begun)
    for _ in range(8):
        body.decode(line_of(18 + MAX_CHUNK_EXCESS // 8) + b"Z\r\n")
    body.decode(line_of(18) + b"Z\r\n")
    with pytest.raises(CallerError):
        body.decode(line_of(19) + b"Z\r\n")


TOLD = [
    (b"1;" + b"a" * 4096, "A chunk or trailer line is too long."),
    (b"x\r\n", "A chunk size is malformed."),
    (b"1\r\nZZ", "A chunk does not end where its size says."),
    (b"1\r\nZ\rX\n", "A chunk does not end where its size says."),
    (line_of(4096) + b"Z\r\n" + (line_of(4096) + b"Z\r\n") * 4,
     "The chunked body is mostly framing."),
    (b"0\r\nx\r\n", "The trailers are malformed or too long."),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "detail"), TOLD)
def test_a_caller_is_told_what_is_wrong(wire: bytes, detail: str) -> None:
    """In words that hold nothing of what was sent."""
    with pytest.raises(CallerError) as caught:
        read(ChunkedBody(), wire)
    assert caught.value.detail == detail


def test_extensions_that_are_worth_their_data_may_go_on() -> None:
    """Signed chunks of a large upload carry an extension each: only their share is bounded."""
    chunk = b"1000;chunk-signature=" + b"a" * 64 + b"\r\n" + b"z" * 4096 + b"\r\n"
    body = ChunkedBody()
    for _ in range(1000):
        assert len(body.decode(chunk)[0]) == 4096


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_case_35_every_split_gives_the_same_body(chunks: list[bytes], data: st.DataObject) -> None:
    """Segment borders mean nothing."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\nREST"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    segments = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert read(ChunkedBody(), *segments) == (b"".join(chunks), b"REST")
