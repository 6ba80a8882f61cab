"""`http1`: how long a request's body is, and every disguise of that which is refused."""

import pytest

from gateway.errors import CallerError
from tests.unit.server.conftest import parse, refusal


def status_or_length(*fields: bytes) -> int | None:
    """The status that a head is refused with, or else the length of its body."""
    try:
        return parse(*fields).content_length
    except CallerError as error:
        return error.status


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Transfer-Encoding: identity,chunked", b"Content-Length: 36"],
    ],
)
def test_case_1_two_framings_are_400(fields: list[bytes]) -> None:
    """Content-Length beside Transfer-Encoding is an attack until proven otherwise."""
    assert refusal(*fields) == 400


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 1", b"Content-Length: 2"],
        [b"Content-Length: 1", b"content-length: 1"],
        [b"Content-Length: 1, 1"],
        [b"Content-Length: 1", b"X: y", b"CONTENT-LENGTH: 1"],
    ],
)
def test_case_2_more_than_one_length_is_400(fields: list[bytes]) -> None:
    """Equal values are no excuse."""
    assert refusal(*fields) == 400


@pytest.mark.parametrize(
    "value",
    b'+5|-5|0x5|5_0|5 5||1Z|\xc2\xb9|\xb9|99999999999999999999|9223372036854775808|5,|5;|"5"|5.0'
    b"|\x0b5|\xa05".split(b"|"),
)
def test_case_3_a_length_is_digits_only(value: bytes) -> None:
    """No sign, base, separator, list, non-ASCII digit or overflow."""
    assert refusal(b"Content-Length: " + value) == 400


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"5", 5), (b"007", 7), (b"9" * 18, 10**18 - 1)]
)
def test_a_length_is_read(value: bytes, length: int) -> None:
    """A body of that many bytes follows."""
    assert parse(b"Content-Length: " + value).content_length == length


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"Transfer-Encoding: xchunked"], 501),
        ([b"Transfer-Encoding: chunked, chunked"], 501),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], 400),
        ([b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"], 400),
        ([b"Transfer-Encoding: chunked, gzip"], 501),
        ([b"Transfer-Encoding: gzip, chunked"], 501),
        ([b"Transfer-Encoding: chunkedchunked"], 501),
        ([b'Transfer-Encoding: "chunked"'], 400),
        ([b"Transfer-Encoding: identity"], 501),
        ([b"Transfer-Encoding: ,chunked"], 400),
        ([b"Transfer-Encoding: chunked,"], 400),
        ([b"Transfer-Encoding:"], 400),
        ([b"Transfer-Encoding: chunked;q=1"], 400),
        ([b"Transfer-Encoding: \x0bchunked"], 400),
        ([b"Transfer-Encoding: \xa0chunked"], 400),
        ([b"Transfer-Encoding: chunked\t"], 400),
        ([b"Transfer-Encoding: chunked "], 400),
        ([b"Transfer-Encoding: chunked ", b"X: chunked"], 400),
        ([b"Transfer-Encoding: ch\x96nked"], 400),
        ([b"Transfer-Encoding : chunked"], 400),
        ([b"Transfer-Encoding: ", b" chunked"], 400),
    ],
)
def test_case_5_6_a_coding_is_exactly_chunked(fields: list[bytes], status: int) -> None:
    """A lawful list of other codings is 501, all else 400."""
    assert refusal(*fields) == status


def test_chunked_is_read_in_any_case() -> None:
    """Coding names are case-insensitive: RFC 9112 7."""
    assert parse(b"Transfer-Encoding: Chunked").content_length is None
    assert parse(b"transfer-encoding:chunked").content_length is None


@pytest.mark.parametrize(
    "byte", [0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF]
)
@pytest.mark.parametrize(
    "template",
    [
        b"Transfer-Encoding:%cchunked",
        b"Transfer-Encoding%c: chunked",
        b"%cTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked%c",
        b"X: X%cTransfer-Encoding: chunked",
        b"X: X\r%cTransfer-Encoding: chunked",
        b"X: X%c\nTransfer-Encoding: chunked",
    ],
)
def test_case_8_no_hidden_coding_changes_the_framing(template: bytes, byte: int) -> None:
    """A disguised Transfer-Encoding is refused, or has no effect beside the length."""
    assert status_or_length(b"Content-Length: 4", template % byte) in {400, 4}


@pytest.mark.parametrize(
    "name", [b"Transfer_Encoding: chunked", b"Content_Length: 9", b"Transfer.Encoding: chunked"]
)
def test_case_9_look_alikes_frame_nothing(name: bytes) -> None:
    """Only the names themselves count; the app drops these before the upstream."""
    assert parse(b"Content-Length: 4", name).content_length == 4
    assert parse(name).content_length == 0


def test_case_5_no_coding_on_http_10() -> None:
    """RFC 9112 6.1: there, Transfer-Encoding means faulty framing."""
    assert refusal(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0") == 400
