"""Which request targets go to the upstream, byte for byte, and which are refused.

Rule: decides; never changes a byte of what it accepts; does no I/O.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.errors import CallerError
from gateway.framing import TOKEN

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_TOKEN: Final = re.compile(TOKEN.decode() + "+")
# Visible ASCII without what needs a closer look in a path: # % . / ? \
_PLAIN: Final = rb"[!-\"$&-\-0->@-\[\]-~]++"
_QUERY: Final = rb"(?:\?[!-\"$-~]*+)?"
_SEGMENT: Final = _PLAIN + rb"(?:\." + _PLAIN + rb")*+"  # a dot between others: never a dot segment
_FAST: Final = re.compile(rb"(/(?:" + _SEGMENT + rb"(?:/" + _SEGMENT + rb")*+/?)?)" + _QUERY)
_SLOW: Final = re.compile(rb"(/[!-\"$->@-\[\]-~]*)" + _QUERY)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
# A dot segment, also one with path parameters ("..;a") or blanks, which some servers drop first.
_DOT_SEGMENT: Final = re.compile(r"/\.\.?\s*+(?:[/;]|$)")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9!$&'()*+,;=._~%-]+)(?::([0-9]{0,5}))?"
)
_TLS_PORT: Final = 443
_PLAIN_PORT: Final = 80  # of http:// URLs, which clients with a plain HTTP proxy send


class Authority(NamedTuple):
    """An origin's host, lower-case and with brackets if it is an IPv6 address, and its port.

    The host may end in a dot, which makes a name absolute for the resolver, and is for that only.
    """

    host: bytes
    port: int

    @property
    def host_field(self) -> bytes:
        """The value of `Host` for it (RFC 9110 7.2): the port is named if it is not https's own."""
        host = self.host.removesuffix(b".")
        return host if self.port == _TLS_PORT else b"%b:%d" % (host, self.port)


class Target(NamedTuple):
    """A valid target: `raw` goes upstream as it is, `path` is its part before `?`."""

    raw: bytes
    path: bytes
    proxy_form: bool


def authority_of(url: str) -> Authority:
    """Where `https://host[:port]` leads. Raises ValueError for any other scheme: keys go by TLS."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("not an https:// URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Authority(host.encode("ascii"), parts.port or _TLS_PORT)


def check_target(target: bytes) -> bytes:
    """The path part of an origin-form target (RFC 9112 3.2.1), found valid.

    Raises CallerError("bad_request").
    """
    plain = _FAST.fullmatch(target)
    if plain is not None:
        return plain[1]
    visible = _SLOW.fullmatch(target)
    if visible is None:
        raise _bad("The target must be a path and query of visible ASCII characters.")
    path = visible[1]
    _check_path(path)
    return path


def resolve(method: str, target: bytes, upstream: Authority) -> Target:
    """What a request line asks for: origin-form, or absolute-form for `upstream` (RFC 9112 3.2).

    The absolute form may say http or https. Raises CallerError: `bad_request`,
    `method_not_allowed`, or `misdirected` if it names another authority.
    """
    if method not in METHODS:
        raise _refused_method(method)
    if target[:1] == b"/":
        return Target(target, check_target(target), proxy_form=False)
    if target == b"*" and method == "OPTIONS":
        raise CallerError("method_not_allowed", "OPTIONS * is not forwarded.")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise _bad("The target must begin with a slash.")
    authority, rest = absolute.groups()
    _check_authority(authority, upstream)
    if not rest and method == "OPTIONS":  # RFC 9112 3.2.4: this is how a proxy is asked for `*`
        raise CallerError("method_not_allowed", "OPTIONS * is not forwarded.")
    raw: bytes = rest if rest[:1] == b"/" else b"/" + rest
    return Target(raw, check_target(raw), proxy_form=True)


def _check_path(path: bytes) -> None:
    if _BAD_ESCAPE.search(path):
        raise _bad("The path contains a % that does not start a valid escape.")
    once = _decode(path)
    try:
        text = once.decode()
    except UnicodeDecodeError:
        raise _bad("The escapes in the path are not valid UTF-8.") from None
    # The second reading is only searched for what is forbidden: it need not be valid itself.
    for reading in (path.decode("ascii"), text, _decode(once).decode(errors="replace")):
        if _UNSAFE.search(reading):
            raise _bad("The path contains a backslash or a control character.")
        if "//" in reading:
            raise _bad("The path contains an empty segment.")
        if _DOT_SEGMENT.search(reading):
            raise _bad("The path contains a dot segment.")


def _decode(path: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), path)


def _check_authority(authority: bytes, upstream: Authority) -> None:
    if b"@" in authority:
        raise _bad("The target must not contain user information.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _bad("The host or port in the target is malformed.")
    port = int(parts[2] or _PLAIN_PORT)
    host = parts[1].lower().removesuffix(b".")
    if host != upstream.host.removesuffix(b".") or port not in (_PLAIN_PORT, upstream.port):
        raise CallerError(
            "misdirected", "The target names a host or port that is not the upstream's."
        )


def _refused_method(method: str) -> CallerError:
    if _TOKEN.fullmatch(method):
        return CallerError("method_not_allowed", "This method is not forwarded.")
    return _bad("The method is malformed.")


def _bad(detail: str) -> CallerError:
    return CallerError("bad_request", detail)
