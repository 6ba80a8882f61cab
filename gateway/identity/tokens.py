"""Opaque caller tokens: how one is made, and to whom it belongs. Pure but for the random source.

Rule: only SHA-256 digests are kept; the time of a look-up by digest says nothing about tokens.
"""

import hashlib
import secrets
import string
import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from gateway.identity.credentials import is_token68
from gateway.model import Caller
from gateway.settings.callers import CallerSettings

PREFIX: Final = "igw_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 32  # base-62 digits: 190 bits
_CHECK: Final = 6  # base-62 digits hold a CRC-32


class OpaqueTokens(NamedTuple):
    """All configured tokens by their digest: whose each is.

    `ends` are the seconds (Unix time) from which those that end are refused.
    """

    callers: Mapping[bytes, Caller]
    ends: Mapping[bytes, float]


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


def compile_tokens(callers: Mapping[str, CallerSettings]) -> OpaqueTokens:
    """All configured tokens. The settings refuse equal ones."""
    owners: dict[bytes, Caller] = {}
    ends: dict[bytes, float] = {}
    for name, settings in callers.items():
        caller = Caller(name, "token")
        for token in settings.tokens:
            digest = bytes.fromhex(token.hash)
            owners[digest] = caller
            if token.expires is not None:
                ends[digest] = _end_of(token.expires)
    return OpaqueTokens(owners, ends)


def _end_of(day: date) -> float:
    """The first second (Unix time) after that day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 86400


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
