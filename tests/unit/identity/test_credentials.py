"""`credentials`: which token a request shows, and what is none."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.identity.credentials import is_token68, presented
from tests.support.identities import refusal

PLACEHOLDERS = frozenset({b"unused", b"sk-not a token"})


def basic(text: bytes) -> bytes:
    """Basic credentials of this user and password."""
    return b"Basic " + base64.b64encode(text)


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
    assert base64.b64decode(b"dTp4eR==") == base64.b64decode(base64.b64encode(b"u:xy"))


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
