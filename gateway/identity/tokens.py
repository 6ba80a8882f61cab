"""Opaque caller tokens: how one is made, and to whom it belongs. Pure but for the random source.

Rule: only SHA-256 digests are kept; the time of a look-up by digest says nothing about tokens.
"""

import hashlib
import secrets
import string
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from math import inf
from typing import Final, NamedTuple

from gateway.identity.credentials import is_token68
from gateway.model import Caller
from gateway.settings.callers import CallerSettings

PREFIX: Final = "igw_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 32  # base-62 digits: 190 bits
_CHECK: Final = 6  # base-62 digits hold a CRC-32


class OpaqueToken(NamedTuple):
    """A token's caller, and the second (Unix time) from which it is refused."""

    caller: Caller
    until: float


def new_token() -> str:
    """A fresh token: `igw_`, 190 random bits, and a checksum by which secret scanners find it."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + body + _checksum(body)


def is_genuine(token: str) -> bool:
    """True if `token` has the form and checksum of `new_token`: no typo, nothing cut off."""
    body, check = token[len(PREFIX) :][:-_CHECK], token[-_CHECK:]
    return token.startswith(PREFIX) and len(body) == _RANDOM and check == _checksum(body)


def hash_token(token: str) -> str:
    """The `sha256:…` line for the configuration.

    Raises `ValueError` for a token that is empty or cannot be sent as a Bearer token.
    """
    if not token.isascii() or not is_token68(token.encode()):
        raise ValueError("a token consists of letters, digits and -._~+/, with = at its end only")
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def compile_tokens(callers: Mapping[str, CallerSettings]) -> dict[bytes, OpaqueToken]:
    """All configured tokens by their digest. The settings refuse equal tokens."""
    return dict(_entries(callers))


def _entries(callers: Mapping[str, CallerSettings]) -> Iterable[tuple[bytes, OpaqueToken]]:
    for name, settings in callers.items():
        caller = Caller(name, "token")
        for token in settings.tokens:
            yield bytes.fromhex(token.hash), OpaqueToken(caller, _end_of(token.expires))


def _end_of(day: date | None) -> float:
    """The first second (Unix time) after that day, UTC; infinity without one."""
    if day is None:
        return inf
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 86400


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
