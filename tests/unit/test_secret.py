"""`Secret`: no way out but `reveal`."""

import copy
import json
import pickle
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.secret import REDACTED, Secret, stands_in

VALUE = "sk_live_4f9c1a7be2d84e0f9a6b"


class Holder(BaseModel):
    secret: Secret


def showings() -> list[str]:
    secret = Secret(VALUE)
    return [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        "%s" % secret,  # noqa: UP031 - one of the ways that must not leak
        repr([secret]),
        repr({"key": secret}),
        repr(Holder(secret=secret)),
        Holder(secret=secret).model_dump_json(),
        json.dumps(Holder(secret=secret).model_dump(), default=str),
        pickle.dumps(secret).decode("latin-1"),
        repr(copy.deepcopy(secret)),
        repr(vars(Holder(secret=secret))),
    ]


@pytest.mark.parametrize("shown", showings())
def test_no_showing_contains_the_value(shown: str) -> None:
    """str, repr, format, pickle, copy and JSON are redacted, on their own and inside others."""
    assert VALUE not in shown


def test_reveal_is_the_way_out() -> None:
    """What was put in comes out of `reveal`, unchanged."""
    assert Secret(VALUE).reveal() == VALUE


def test_fingerprint_is_a_short_digest() -> None:
    """The fingerprint is the first 12 hex digits of the SHA-256, as operators can recompute."""
    assert Secret("abc").fingerprint == "ba7816bf8f01"


def test_equality_is_by_value() -> None:
    """Equal values are equal secrets; a secret never equals a plain string."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert hash(Secret("a")) != hash(Secret("b"))


def test_a_model_takes_strings_only() -> None:
    """A number in place of a secret is an error whose text does not show it."""
    with pytest.raises(ValueError, match="secret") as caught:
        Holder(secret=123456789)
    assert REDACTED not in str(caught.value)


def test_a_model_holds_secrets_and_shows_none() -> None:
    """Strict strings and secrets in, the word `[redacted]` out; the field is still a secret."""

    class Made(BaseModel):
        secret: Secret

    for either in (VALUE, Secret(VALUE)):
        made = Made.model_validate({"secret": either})
        assert made.secret == Secret(VALUE)
        assert made.model_dump() == {"secret": REDACTED}
        assert json.loads(made.model_dump_json()) == {"secret": REDACTED}
    kept = Secret(VALUE)
    assert Made(secret=kept).secret is kept
    for odd in (123, None, VALUE.encode(), [VALUE]):
        with pytest.raises(ValueError, match="secret"):
            Made.model_validate({"secret": odd})


def test_empty_is_false() -> None:
    """An empty secret is falsy, so that `if secret` asks whether there is one."""
    assert not Secret("")
    assert Secret("x")


@given(
    secret=st.binary(min_size=8, max_size=60),
    before=st.binary(max_size=7),
    behind=st.binary(max_size=7),
    encode=st.sampled_from([b64encode, urlsafe_b64encode, bytes, quote_from_bytes]),
    escapes=st.integers(0, 2),
)
def test_a_secret_stands_in_whatever_was_made_of_it(
    secret: bytes, before: bytes, behind: bytes, encode: Any, escapes: int
) -> None:
    """Whatever is around it, in either alphabet of base64, and escaped up to twice."""
    made = encode(before + secret + behind)
    text = made.encode() if isinstance(made, str) else made
    if encode is quote_from_bytes:
        escapes = min(escapes, 1)
    for _ in range(escapes):
        text = quote_from_bytes(text, safe="").encode()
    assert stands_in(secret, b"key=" + text)


@pytest.mark.parametrize("text", [b"", b"short", b"%", b"%zz%4", b"c2VjcmV0LTEyMw", b"SECRET-1234"])
def test_it_does_not_stand_in_what_only_looks_alike(text: bytes) -> None:
    """Cut short, in other letters, or nothing at all."""
    assert not stands_in(b"secret-1234", text)
