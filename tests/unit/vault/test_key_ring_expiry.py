"""Expiry of keys that are JWTs."""

import json
from typing import Any

import jwt
import pytest

from gateway.secret import Secret
from gateway.vault.key_ring import LATEST, expiry, scope

SIGNING = "a-signing-key-of-some-length-or-other"


def token(**claims: Any) -> str:
    """A signed JWT."""
    return jwt.encode(claims, SIGNING, algorithm="HS256")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (token(exp=1_900_000_000), 1_900_000_000.0),
        (token(exp=1), 1.0),
        (token(exp=0), None),
        (token(exp=0.0), None),
        (token(exp=LATEST), 253_402_300_799.0),
        (token(exp=LATEST + 1), None),
        (token(sub="acme"), None),
        ("sk_live_opaque", None),
        ("a.b.c", None),
        ("..", None),
        ("", None),
    ],
    ids=[
        "jwt",
        "past",
        "never",
        "never, as a float",
        "latest",
        "too late",
        "no exp",
        "opaque",
        "dots",
        "only dots",
        "empty",
    ],
)
def test_expiry_is_read_unverified(key: str, expected: float | None) -> None:
    """A JWT's `exp` is read whoever signed it, also when past; anything else has none."""
    assert expiry(Secret(key)) == expected


@pytest.mark.parametrize(
    "exp", ["soon", True, None, {}, -1, 10**400, float("nan"), float("inf"), 1e300]
)
def test_a_strange_exp_is_no_expiry(exp: Any) -> None:
    """An `exp` that is no number is ignored: it is only a hint."""
    header, _, signature = token(exp=1).split(".")
    payload = jwt.utils.base64url_encode(json.dumps({"exp": exp}).encode()).decode()
    assert expiry(Secret(f"{header}.{payload}.{signature}")) is None


def test_a_deeply_nested_token_is_no_expiry() -> None:
    """A key that would exhaust the decoder is only a key without expiry."""
    payload = jwt.utils.base64url_encode(b"[" * 10_000).decode()
    header = token(exp=1).partition(".")[0]
    assert expiry(Secret(f"{header}.{payload}.x")) is None


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "api"}, "api"),
        ({"scope": "silo:read transform:write"}, "silo:read transform:write"),
        ({}, ""),
        ({"scope": ["api"]}, "api"),
        ({"scope": ["silo:read", "transform:write"]}, "silo:read transform:write"),
        ({"scope": [{"a": "b"}]}, ""),
        ({"scope": []}, ""),
        ({"scope": "sk_live_51HabcdEFGHijklMNOPqrst"}, ""),
        ({"scope": "x" * 65}, ""),
        ({"scope": "a\x1b[31m"}, ""),
    ],
)
def test_a_scope_is_a_few_words(claims: dict[str, Any], expected: str) -> None:
    """Anything longer or stranger is not shown: it may be anything, a secret too."""
    assert scope(Secret(token(exp=0, **claims))) == expected


def test_a_key_that_is_not_a_token_has_no_scope() -> None:
    """Nothing of an opaque key is shown."""
    assert scope(Secret("sk_live_opaque")) == ""
