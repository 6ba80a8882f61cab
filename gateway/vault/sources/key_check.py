"""May this value be sent as a key, or used as a secret? Never quotes what it refuses."""

import re
from typing import Final

from gateway.secret import Secret
from gateway.vault.sources.source import MALFORMED, SourceError

MAX_KEY: Final = 16 * 1024  # bytes; Invopop's keys are JWTs of some 300
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_VISIBLE: Final = re.compile(r"[!-~]+")


def check_key(secret: Secret) -> None:
    """Raises `SourceError` unless the key is a Bearer token (RFC 6750 2.1) of at most 16,384 bytes.

    Anything else would change or break the header that carries it, or is not a key: a reference
    that was never resolved, such as `${ACME_KEY}` or `vault:secret/acme#key`, is never one.
    """
    _refuse(fault_in(secret.reveal()))


def check_secret(secret: Secret) -> None:
    """Raises `SourceError` unless any other secret is 1 to 16,384 visible ASCII characters."""
    _refuse(_fault_in_secret(secret.reveal()))


def fault_in(value: str) -> str | None:
    """What is wrong with a key, without quoting it; None if nothing is."""
    if fault := _fault_in_secret(value):
        return fault
    if not _BEARER.fullmatch(value):
        return "is not a Bearer token (RFC 6750): is it a reference to a key?"
    return None


def _fault_in_secret(value: str) -> str | None:
    if not value:
        return "is empty"
    if len(value) > MAX_KEY:
        return f"is longer than {MAX_KEY} characters"
    if "\r" in value or "\n" in value:
        return "holds a line break"
    if not value.isascii():
        return "holds a character outside ASCII"
    if not _VISIBLE.fullmatch(value):
        return "holds a space, a tab or a control character"
    return None


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise SourceError(MALFORMED, f"the key {fault}")
