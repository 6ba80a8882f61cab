"""`tokens`: how opaque tokens are made, hashed and found."""

import hashlib
import time
from datetime import UTC, date, datetime

import pytest

from gateway.identity.tokens import PREFIX, compile_tokens, hash_token, is_genuine, new_token
from gateway.model import Caller
from gateway.settings.callers import CallerSettings, CallerToken


def test_new_token() -> None:
    """`igw_`, then 38 base-62 digits that differ each time and fit a Bearer header."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert token.startswith(PREFIX)
        assert len(token) == 42
        assert token[4:].isalnum()
        assert is_genuine(token)


def test_checksum() -> None:
    """A typo, a cut and an unfinished copy are told from a real token without any look-up."""
    token = new_token()
    other = "A" if token[10] != "A" else "B"
    for wrong in (token[:-1], token + "0", token[:10] + other + token[11:], "x" + token[1:], ""):
        assert not is_genuine(wrong)


def test_known_checksum() -> None:
    """The checksum is the CRC-32 of the random part in base 62: scanners may rely on it."""
    assert is_genuine("igw_" + "0" * 32 + "2wjyrI")


def test_hash_token() -> None:
    """The line for the configuration is the SHA-256 of the token's text."""
    digest = hashlib.sha256(b"abc").hexdigest()
    assert hash_token("abc") == f"sha256:{digest}"


@pytest.mark.parametrize("token", ["", "=", "a b", "é", "a\n", "\uff41bc", "a:b"])
def test_hash_of_what_cannot_be_sent(token: str) -> None:
    """A token that no caller could show is no token; the error does not repeat it."""
    with pytest.raises(ValueError, match="a token consists of") as caught:
        hash_token(token)
    assert len(token) < 2 or token not in str(caught.value)


def test_compiled() -> None:
    """Tokens are found by digest, and end with the last second of their day, UTC."""
    hash_ = hash_token("abc").removeprefix("sha256:")
    forever, until = CallerToken(hash="0" * 64), CallerToken(hash=hash_, expires=date(2027, 1, 31))
    tokens = compile_tokens({"billing": CallerSettings(tokens=(forever, until))})
    digest = hashlib.sha256(b"abc").digest()
    assert tokens.callers == dict.fromkeys((bytes(32), digest), Caller("billing", "token"))
    assert tokens.ends == {digest: datetime(2027, 2, 1, tzinfo=UTC).timestamp()}


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Lima"])
def test_the_end_of_a_day_is_that_of_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the machine stands, all replicas refuse a token at the same moment."""
    token = CallerToken(hash="0" * 64, expires=date(2027, 1, 31))
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        tokens = compile_tokens({"billing": CallerSettings(tokens=(token,))})
    time.tzset()
    assert tokens.ends[bytes(32)] == 1801440000  # 2027-02-01T00:00:00Z


def test_last_day_of_the_calendar() -> None:
    """The latest date that TOML can write is as good as any."""
    token = CallerToken(hash="0" * 64, expires=date.max)
    tokens = compile_tokens({"billing": CallerSettings(tokens=(token,))})
    assert tokens.ends[bytes(32)] == 253402300800
