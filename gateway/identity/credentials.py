"""Which token did the caller show? Reads the fields that hold credentials. Pure.

Rule: a malformed credential is refused; it never counts as no credential.
"""

import base64
import binascii
from typing import Final

from gateway.errors import CallerError, ErrorKey

_TOKEN68: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_LONGEST_SHOWN: Final = 256  # characters of a claim in a log line


class IdentityRefused(CallerError):
    """Refused although the identity is verified: the log names it, the reply does not.

    `issuer` and `subject` are printable; `issuer` is "" for a certificate.
    """

    def __init__(self, key: ErrorKey, cause: str, issuer: object, subject: object) -> None:
        super().__init__(key, cause=cause)
        self.issuer = _printable(issuer)
        self.subject = _printable(subject)


def _printable(claim: object) -> str:
    """A claim's text for a log line: short, and without line breaks or lone surrogates."""
    if not isinstance(claim, str):
        return ""
    return (claim if claim.isprintable() else ascii(claim)[1:-1])[:_LONGEST_SHOWN]


def unauthenticated(cause: str) -> CallerError:
    """The one refusal of a credential: callers see the same answer; only the log has `cause`."""
    return CallerError("unauthenticated", cause=cause)


def is_token68(value: bytes) -> bool:
    """True if `value` can be sent as a Bearer token (RFC 9110 11.2, RFC 6750 2.1)."""
    text = value.rstrip(b"=")
    return bool(text) and not text.translate(None, _TOKEN68)


def presented(credential: bytes | None, placeholders: frozenset[bytes]) -> bytes | None:
    """The token in the value of a credential field, or None if it is no credential.

    `placeholders` are exact Bearer values that count as no credential. Raises
    `CallerError("unauthenticated")` for any other scheme and for broken syntax.
    """
    if credential is None:
        return None
    scheme, _, rest = credential.partition(b" ")
    scheme = scheme.lower()
    rest = rest.lstrip(b" ")  # RFC 9110 11.4: one or more spaces after the scheme
    if scheme == b"basic":
        return _basic(rest)
    if scheme != b"bearer":
        raise unauthenticated("unsupported_scheme")
    if rest in placeholders:
        return None
    if not is_token68(rest):
        raise unauthenticated("malformed_credential")
    return rest


def _basic(encoded: bytes) -> bytes:
    """The password of RFC 7617 credentials; it alone identifies the caller."""
    try:
        decoded = base64.b64decode(encoded)
    except binascii.Error:
        raise unauthenticated("malformed_credential") from None
    token = decoded.partition(b":")[2]
    # One spelling per value: the decoder ignores foreign characters and stray bits.
    if not token or base64.b64encode(decoded) != encoded:
        raise unauthenticated("malformed_credential")
    return token
