"""`credentials`: which token a request shows, and what is none."""

from base64 import b64decode, b64encode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.identity.credentials import (
    is_credential,
    is_token68,
    presented,
    shortest_secret,
    without_copies,
)
from gateway.known_head import KnownLines, KnownRequest
from tests.support.identities import NOBODY, TOKEN, inbound, refusal

PLACEHOLDERS = frozenset({b"unused", b"sk-not a token"})


def basic(text: bytes) -> bytes:
    """Basic credentials of this user and password."""
    return b"Basic " + b64encode(text)


def of(credential: bytes | None) -> bytes | None:
    """The token in this field value."""
    return presented(credential, PLACEHOLDERS)


SHOWN = {
    "Bearer": (b"Bearer tok.en-_~+/==", b"tok.en-_~+/=="),
    "lower case": (b"bearer x", b"x"),
    "upper case": (b"BEARER x", b"x"),
    "more spaces": (b"Bearer   x", b"x"),
    "one letter": (b"Bearer X", b"X"),
    "Basic": (basic(b"anyone:x"), b"x"),
    "Basic, lower case": (basic(b"anyone:x").replace(b"Basic", b"basic"), b"x"),
    "Basic without user": (basic(b":x"), b"x"),
    "Basic, first colon": (basic(b"u:a:b:"), b"a:b:"),
    "Basic is no placeholder": (basic(b"u:unused"), b"unused"),
    "none": (None, None),
    "placeholder": (b"Bearer unused", None),
    "placeholder in lower case": (b"bearer unused", None),
    "placeholder of any text": (b"Bearer sk-not a token", None),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown(name: str) -> None:
    """Bearer and Basic in any case; the user name is ignored; a placeholder is no credential."""
    header, token = SHOWN[name]
    assert of(header) == token


MALFORMED = {
    "empty": b"",
    "scheme alone": b"Bearer",
    "scheme and spaces": b"Bearer  ",
    "two words": b"Bearer a b",
    "comma": b"Bearer ,x",
    "tab for space": b"Bearer\tx",
    "tab inside": b"Bearer a\tb",
    "tab after the space": b"Bearer \tx",
    "padding alone": b"Bearer ==",
    "padding inside": b"Bearer a=b",
    "padding inside, capital": b"Bearer a=X",
    "non-ASCII": b"Bearer \xff\xfe",
    "NUL": b"Bearer a\0",
    "placeholder in another case": b"Bearer sk-not A token",
    "no scheme": b"igw_abc",
    "another scheme": b"Negotiate abc",
    "leading space": b" Bearer x",
    "Basic alone": b"Basic",
    "Basic without colon": basic(b"token"),
    "Basic without token": basic(b"user:"),
    "Basic with a foreign character": basic(b"u:x") + b"!",
    "Basic with white space": b"Basic dTp4 ",
    "Basic with too much padding": basic(b"u:x") + b"=",
    "Basic with too little padding": basic(b"u:xy").rstrip(b"="),
    "Basic with stray bits": b"Basic dTp4eR==",
    "Basic in the URL alphabet": basic(b"\xfb\xff:x").replace(b"+", b"-").replace(b"/", b"_"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_case_144_malformed(name: str) -> None:
    """Case 144: broken syntax is a refusal, with one public face, never "no credential"."""
    error = refusal(of, MALFORMED[name])
    assert (error.key, error.status, error.detail, error.headers) == (
        "unauthenticated",
        401,
        "",
        [],
    )
    assert error.cause in {"malformed_credential", "unsupported_scheme"}


def test_stray_bits_are_what_they_seem() -> None:
    """The table's odd spelling decodes to the same bytes as a lawful one does."""
    assert b64decode(b"dTp4eR==") == b64decode(b64encode(b"u:xy"))


@given(st.binary(max_size=40))
def test_any_bytes(header: bytes) -> None:
    """Whatever the header, the answer is a token that is not empty, none, or a refusal."""
    with suppress(CallerError):
        assert of(header) or header.lower().startswith(b"bearer ")


@given(st.binary(min_size=1), st.binary())
def test_basic_round_trip(token: bytes, user: bytes) -> None:
    """What a client encodes by RFC 7617 is what is looked up."""
    assert of(basic(user.replace(b":", b"") + b":" + token)) == token


def test_token68() -> None:
    """The alphabet of RFC 9110 11.2, with padding at its end only."""
    assert is_token68(b"AZaz09-._~+/=")
    assert not any(map(is_token68, [b"", b"=", b"a b", b"a=b", b"a:b", b"\xe9"]))


SHOWN_TOKEN = TOKEN.encode()
PADDED = b"padded/token+of~billing=="
BEARER = b"Bearer " + SHOWN_TOKEN


def escaped(text: bytes) -> bytes:
    """Every byte as a percent escape."""
    return b"".join(b"%%%02x" % byte for byte in text)


COPIES = {
    "alone": (b"x-api-key", SHOWN_TOKEN),
    "with its scheme": (b"x-authorization", BEARER),
    "within text": (b"x-debug", b'{"token":"' + SHOWN_TOKEN + b'"}'),
    "among others": (b"x-auth-token", b"a, " + SHOWN_TOKEN + b", b"),
    "as Basic": (b"x-authorization", basic(b"billing:" + SHOWN_TOKEN)),
    "as basic": (b"x-authorization", basic(SHOWN_TOKEN + b":").replace(b"Basic", b"basic")),
    "in base64": (b"x-token", b64encode(SHOWN_TOKEN)),
    "in base64 with one byte before it": (b"x-token", b64encode(b":" + SHOWN_TOKEN + b":x")),
    "in base64 with two bytes before it": (b"x-token", b64encode(b"u:" + SHOWN_TOKEN + b"\n")),
    "in base64 without a scheme": (b"x-token", b"key " + b64encode(b"other:" + SHOWN_TOKEN)),
    "in base64 of URLs": (b"x-token", urlsafe_b64encode(b'\xff\xfe{"t":"' + SHOWN_TOKEN + b'"}')),
    "in base64, escaped": (b"x-link", b"/?t=" + quote(b64encode(SHOWN_TOKEN + b"?>"), "").encode()),
    "escaped": (b"x-link", b"/x?access_token=" + escaped(SHOWN_TOKEN)),
    "escaped in part": (b"x-link", SHOWN_TOKEN.replace(b"_", b"%5F")),
    "escaped twice": (b"x-link", SHOWN_TOKEN.replace(b"_", b"%255f")),
    "as a name": (b"x-" + SHOWN_TOKEN.lower(), b""),
    "in a well-known field": (b"user-agent", b"sdk/1 " + SHOWN_TOKEN),
    "in a trace": (b"tracestate", b"x=" + SHOWN_TOKEN),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_left_out(name: str) -> None:
    """A token in any other field goes no further; the other fields stay, in order."""
    field = COPIES[name]
    for credential in (BEARER, b"bearer   " + SHOWN_TOKEN, basic(b"any:" + SHOWN_TOKEN)):
        request = inbound(
            NOBODY, (b"authorization", credential), (b"accept", b"*/*"), field, (b"x-b", b"2")
        )
        kept = without_copies(request, credential).headers
        assert [one for one in kept if one[0] != b"authorization"] == [
            (b"host", b"gateway"), (b"accept", b"*/*"), (b"x-b", b"2"),
        ]  # fmt: skip


def test_a_copy_of_basic_credentials_is_one_too() -> None:
    """What was shown in base64 is not passed on in base64 either."""
    shown = basic(b"any:" + SHOWN_TOKEN)
    request = inbound(NOBODY, (b"x-api-key", shown.partition(b" ")[2]))
    assert without_copies(request, shown).headers == [(b"host", b"gateway")]


def test_a_copy_of_the_credential_that_was_not_read() -> None:
    """A second credential is another caller's secret perhaps, and not for Invopop either."""
    unread = (b"Basic " + b64encode(b"ci:other-callers-token"), b"Bearer x")
    fields = [(b"x-api-key", b"other-callers-token"), (b"x-b", SHOWN_TOKEN), (b"x-kept", b"x")]
    kept = without_copies(inbound(NOBODY, *fields), BEARER, unread)
    assert kept.headers == [(b"host", b"gateway"), (b"x-kept", b"x")]
    link = replace(inbound(), target=b"/x?t=other-callers-token")
    assert refusal(without_copies, link, BEARER, unread).key == "bad_request"
    assert without_copies(link, BEARER, (BEARER,)) is link


@pytest.mark.parametrize("shown", [b"Bearer 8letters", basic(b"u:8letters")])
def test_eight_bytes_are_enough(shown: bytes) -> None:
    """A shorter token may stand in any text by chance."""
    request = inbound(NOBODY, (b"x-api-key", b"8letters"))
    assert without_copies(request, shown).headers == [(b"host", b"gateway")]


def test_a_copy_in_what_varies_between_known_requests() -> None:
    """That the rest has none is remembered; target and values that vary are looked at each time."""
    fields = [(b"authorization", BEARER), (b"x-vary", b"1")]
    lines = KnownLines([b"Authorization: " + BEARER, b"X-Vary: 1"], fields, [1])
    known = KnownRequest(lines, -1, -1)
    known.shortest = shortest_secret(fields)
    request = replace(inbound(NOBODY, *fields), known=known)
    assert without_copies(request, BEARER) is request
    assert known.no_copies
    assert without_copies(request, BEARER) is request
    copied = replace(request, headers=[fields[0], (b"x-vary", b"t=" + SHOWN_TOKEN)])
    assert without_copies(copied, BEARER).headers == []
    link = replace(request, target=b"/x?t=" + SHOWN_TOKEN)
    assert refusal(without_copies, link, BEARER).key == "bad_request"


def test_nothing_else_is_left_out() -> None:
    """Without a copy the request stays what it is, and so does what only looks like one."""
    for value in (SHOWN_TOKEN[:-1], SHOWN_TOKEN.upper(), b"Basic !", b"Basic", b"%", b"%zz" * 20):
        request = inbound(NOBODY, (b"authorization", BEARER), (b"x-other", value))
        assert without_copies(request, BEARER) is request
    short = inbound(NOBODY, (b"x-other", b"unused"), (b"referer", b"https://unused"))
    for credential in (b"Bearer unused", b"Bearer", b"", basic(b"u:x"), b"Basic !"):
        assert without_copies(short, credential) is short


@pytest.mark.parametrize("copy", [SHOWN_TOKEN, escaped(SHOWN_TOKEN), SHOWN_TOKEN[:-1] + b"%67"])
def test_copies_that_cannot_be_left_out(copy: bytes) -> None:
    """In the target or in Referer the request is refused, and the answer does not repeat it."""
    for request in (
        replace(inbound(), target=b"/x?access_token=" + copy),
        replace(inbound(), target=b"/" + copy + b"/x"),
        inbound(NOBODY, (b"referer", b"https://app.internal/?t=" + copy)),
    ):
        error = refusal(without_copies, request, BEARER)
        assert (error.key, error.status, error.cause) == ("bad_request", 400, "credential_copied")
        assert TOKEN not in error.detail
        place = "the request target" if copy in request.target else "Referer"
        assert error.detail.endswith(f"not in {place}.")
    padded = replace(inbound(), target=b"/x?t=" + quote(PADDED, safe="").encode())
    assert refusal(without_copies, padded, b"Bearer " + PADDED).key == "bad_request"


def test_is_credential() -> None:
    """Of either field, valid or not."""
    headers = [(b"authorization", b"Bearer theirs-00"), (b"proxy-authorization", BEARER)]
    assert is_credential(SHOWN_TOKEN, headers)
    assert is_credential(b"theirs-00", headers)
    assert not is_credential(b"theirs-0", headers)
    assert not is_credential(SHOWN_TOKEN, [(b"x-api-key", SHOWN_TOKEN)])
