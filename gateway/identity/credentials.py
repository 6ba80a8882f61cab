"""Which token did the caller show, and where else in its request is that token? Pure.

Rule: a malformed credential is refused; it never counts as no credential. What was shown to us goes
no further: not in another field, not in the target.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import CallerError, ErrorKey
from gateway.known_head import KnownRequest
from gateway.model import CREDENTIAL_FIELDS, Headers, Inbound
from gateway.secret import stands_in

# Bytes. A shorter token may stand in any text by chance; and it is guessed sooner than it leaks.
_SHORTEST: Final = 8
_NONE: Final = 1 << 30  # longer than any text
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
    return (claim if claim.isprintable() else ascii(claim)[1:][:-1])[:_LONGEST_SHOWN]


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


def without_copies(inbound: Inbound, credential: bytes, unread: Sequence[bytes] = ()) -> Inbound:
    """The request without copies of its own credentials: fields that hold one are left out.

    Clients that have a token for us may put it into `X-Api-Key` as well, or into a link. `unread`
    are credentials that this one was preferred to. Raises `CallerError("bad_request")` for a copy
    in the target or in `Referer`: neither can be left out.
    """
    known = None if unread else inbound.known  # a reload may change what is `unread`
    if known is not None and known.no_copies and _none_in_rest(inbound, known):
        return inbound
    secrets = _secrets_of_all(credential, unread)
    if not secrets:
        return inbound
    shortest = len(secrets[-1])
    copies = False
    for name, value in inbound.headers:
        if len(value) < shortest and len(name) < shortest:
            continue
        if name not in CREDENTIAL_FIELDS and _in_field(name, value, secrets):
            if name == b"referer":
                raise _copied("Referer")
            copies = True
    if len(inbound.target) >= shortest and _in_text(inbound.target, secrets):
        raise _copied("the request target")
    if not copies:
        if known is not None:
            known.no_copies, known.secrets = True, secrets
        return inbound
    headers = [field for field in inbound.headers if not _in_field(*field, secrets)]
    return replace(inbound, headers=headers, known=None)


def _none_in_rest(inbound: Inbound, known: KnownRequest) -> bool:
    """Whether what is not known, target and values that vary, holds no copy either."""
    shortest, secrets, headers = known.shortest, known.secrets, inbound.headers
    for at in known.lines.varying:
        name, value = headers[at]
        if len(value) >= shortest and _in_field(name, value, secrets):
            return False
    return len(inbound.target) < shortest or not _in_text(inbound.target, secrets)


def is_credential(text: bytes, headers: Headers) -> bool:
    """True if `text` holds a credential that is in these headers, valid or not."""
    for name, value in headers:
        if name in CREDENTIAL_FIELDS and _in_text(text, _secrets_of(value)):
            return True
    return False


def shortest_secret(headers: Headers) -> int:
    """The length of the shortest credential in these headers, valid or not: no text that is shorter
    holds one.
    """
    shortest = _NONE
    for name, value in headers:
        if name in CREDENTIAL_FIELDS:
            for secret in _secrets_of(value):
                shortest = min(shortest, len(secret))
    return shortest


def _copied(place: str) -> CallerError:
    detail = f"Show your credential in Authorization or Proxy-Authorization only, not in {place}."
    return CallerError("bad_request", detail, cause="credential_copied")


def _secrets_of_all(credential: bytes, others: Sequence[bytes]) -> tuple[bytes, ...]:
    secrets = _secrets_of(credential)
    if not others:
        return secrets
    every = [*secrets, *(secret for other in others for secret in _secrets_of(other))]
    return tuple(sorted(every, key=len, reverse=True))


def _secrets_of(credential: bytes) -> tuple[bytes, ...]:
    """What must not leave of the value of a credential field, longest first."""
    scheme, _, rest = credential.partition(b" ")
    shown = rest.lstrip(b" ")
    if scheme.lower() != b"basic":
        return (shown,) if len(shown) >= _SHORTEST else ()
    token = _decoded(shown).partition(b":")[2]
    return tuple(secret for secret in (shown, token) if len(secret) >= _SHORTEST)


def _in_field(name: bytes, value: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Whether a field holds a secret: in its name, which is in lower case, or in its value."""
    for secret in secrets:
        if secret.lower() in name:
            return True
    return _in_text(value, secrets)


def _in_text(text: bytes, secrets: tuple[bytes, ...]) -> bool:
    for secret in secrets:  # noqa: SIM110 - on each request's way
        if stands_in(secret, text):
            return True
    return False


def _decoded(encoded: bytes) -> bytes:
    """What is in base64; b"" if it is not."""
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        return b""
