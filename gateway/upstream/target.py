"""Which request targets go to the upstream, byte for byte, and which are refused.

Rule: decides; never changes a byte of what it accepts; does no I/O.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.errors import CallerError
from gateway.framing import TARGET_BYTES, TOKEN
from gateway.invopop import spellings
from gateway.invopop.operations import match_file
from gateway.invopop.table import FILES_PREFIX

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_TOKEN: Final = re.compile(TOKEN.decode() + "+")
# Visible ASCII without what needs a closer look in a path: # % . / ? \
_PLAIN: Final = rb"[!-\"$&-\-0->@-\[\]-~]++"
_QUERY: Final = rb"(?:\?[!-\"$-~]*+)?"
_SEGMENT: Final = _PLAIN + rb"(?:\." + _PLAIN + rb")*"  # a dot between others: never a dot segment
_PLAIN_BYTES: Final = TARGET_BYTES.translate(None, b"%.?\\")
_FAST: Final = re.compile(rb"(/(?:" + _SEGMENT + rb"(?:/" + _SEGMENT + rb")*/?)?)" + _QUERY)
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
# How the path of a file begins: also as a server may read it that unescapes, folds or drops more.
_FILES_SEGMENT: Final = FILES_PREFIX.strip(b"/").decode("ascii")
_UNESCAPED: Final = 10  # times that escapes are decoded in the search for it; policy takes the rest
_FILE_METHODS: Final = (b"allow", b"GET, HEAD, PUT, POST")
_NO_TUNNELS: Final = (
    "This gateway opens no tunnels. Use its own http:// URL as the client's base URL; or Invopop's "
    "URL with http:// and the variable http_proxy, not https_proxy. For undici's ProxyAgent set "
    "proxyTunnel: false."
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


@dataclass(init=False, slots=True)
class Target:
    """A valid target: `raw` is sent as it is, `path` is its part before `?`.

    Of a file `file_host` is the name of its host, else b""; `path` is then `/.files/HOST/PATH`,
    however that was spelt.
    """

    raw: bytes
    path: bytes
    proxy_form: bool
    file_host: bytes

    def __init__(self, raw: bytes, path: bytes, proxy_form: bool, file_host: bytes = b"") -> None:
        self.raw, self.path = raw, path
        self.proxy_form, self.file_host = proxy_form, file_host


FileHostNames = Mapping[tuple[bytes, int | None], bytes]
"""The names of file hosts, by host and port (None: no port) as a target may give them."""


def authority_of(url: str) -> Authority:
    """Where `https://host[:port]` leads. Raises ValueError for any other scheme: keys go by TLS."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("not an https:// URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Authority(host.encode("ascii"), parts.port or _TLS_PORT)


def file_host_names(hosts: Iterable[Authority]) -> FileHostNames:
    """By which host and port each of them may be meant; its name is its `host_field`.

    As for the upstream, the port may be its own, 80 (clients with a plain HTTP proxy send http://
    URLs), or left out, unless several file hosts differ in nothing but their port.
    """
    names: dict[tuple[bytes, int | None], bytes] = {}
    ordered = sorted(hosts, key=lambda one: one.port != _TLS_PORT)
    alone = [one.host.removesuffix(b".") for one in ordered]
    for host, authority in zip(alone, ordered, strict=True):
        if authority.port == _TLS_PORT or alone.count(host) == 1:
            names[host, None] = names[host, _PLAIN_PORT] = authority.host_field
    names |= {(host, one.port): one.host_field for host, one in zip(alone, ordered, strict=True)}
    return names


def check_target(target: bytes) -> bytes:
    """The path of a valid origin-form target (RFC 9112 3.2.1). Raises CallerError bad_request."""
    plain = _FAST.fullmatch(target)
    if plain is not None:
        return plain[1]
    visible = _SLOW.fullmatch(target)
    if visible is None:
        raise _bad("The target must be a path and query of visible ASCII characters.")
    path = visible[1]
    _check_path(path)
    return path


def resolve(
    method: str, target: bytes, upstream: Authority, files: FileHostNames | None = None
) -> Target:
    """What a request line asks for: origin-form, or absolute-form for `upstream` (RFC 9112 3.2).

    The absolute form may say http or https; it may also name one of `files`, as the path
    `/.files/HOST/PATH` does. Raises CallerError: `bad_request`, `method_not_allowed`, or
    `misdirected` if another authority is named.
    """
    if method not in METHODS:
        raise _refused_method(method)
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")  # most need no pattern, which costs five times more
        odd = path.translate(None, _PLAIN_BYTES) or query.translate(None, TARGET_BYTES)
        if not odd and path.find(b"//") < 0:
            return Target(target, path, False)
        plain = _FAST.fullmatch(target)
        if plain is not None:  # none of its segments begins with a dot
            return Target(target, plain[1], False)
        return _unless_file(method, target, files or {}, proxy_form=False)
    if target == b"*" and method == "OPTIONS":
        raise CallerError("method_not_allowed", "OPTIONS * is not forwarded.")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise _bad("The target must begin with a slash.")
    authority, rest = absolute.groups()
    file_host = _host_of(authority, upstream, files or {})
    if not rest and method == "OPTIONS":  # RFC 9112 3.2.4: this is how a proxy is asked for `*`
        raise CallerError("method_not_allowed", "OPTIONS * is not forwarded.")
    raw: bytes = rest if rest[:1] == b"/" else b"/" + rest
    if file_host:
        return _file(method, raw, file_host, proxy_form=True)
    return _unless_file(method, raw, files or {}, proxy_form=True)


def _unless_file(method: str, raw: bytes, files: FileHostNames, *, proxy_form: bool) -> Target:
    """A target of the upstream, unless its path begins with `/.files/`.

    Spelt in another way, that is refused: it goes neither to a file host nor to the upstream.
    """
    path = check_target(raw)
    if not path.startswith(FILES_PREFIX):
        if _reads_as_file(path):
            raise _bad("The path of a file must begin with /.files/HOST/, exactly so.")
        return Target(raw, path, proxy_form)
    authority = re.split(rb"[/?]", raw[len(FILES_PREFIX) :], maxsplit=1)[0]
    rest = raw[len(FILES_PREFIX) + len(authority) :]
    file_host = files.get(_host_and_port(authority))
    if file_host is None:
        raise _misdirected("a file host's", "List it in upstream.file_hosts.")
    return _file(method, rest if rest[:1] == b"/" else b"/" + rest, file_host, proxy_form)


def resolve_file(method: str, target: bytes, file_host: bytes) -> Target:
    """What a request line asks for that is sent to a file host itself, as if it were an origin.

    Raises CallerError as `resolve` does.
    """
    if method not in METHODS:
        raise _refused_method(method)
    if target[:1] == b"/":
        return _file(method, target, file_host, proxy_form=False)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise _bad("The target must begin with a slash.")
    host, port = _host_and_port(absolute[1])
    if file_host not in (host, b"%b:%d" % (host, port or 0)) and (port or 443) != 443:
        raise _misdirected("that of the tunnel", "Open another one.")
    return _file(
        method, absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2], file_host, False
    )


def _file(method: str, raw: bytes, file_host: bytes, proxy_form: bool) -> Target:
    path = FILES_PREFIX + file_host + check_target(raw)
    if match_file(method, path) is None:
        detail = "Files are fetched by GET and HEAD, and uploaded by PUT and POST."
        raise CallerError("method_not_allowed", detail, headers=[_FILE_METHODS])
    return Target(raw, path, proxy_form, file_host)


def _reads_as_file(path: bytes) -> bool:
    """Whether anybody may read the first segment of a path as that of files."""
    text = path.decode("ascii")
    for _ in range(_UNESCAPED):
        if _FILES_SEGMENT in (_first(text), _first(spellings.drop_parameters(text))):
            return True
        if "%" not in text:
            return False
        text = spellings.unescape(text)
    return False


def _first(text: str) -> str:
    """The first segment of a text with something in it, plain."""
    ended = spellings.cut_off(spellings.separate(spellings.fold(text)))
    plain = (part.strip().rstrip(". ") for part in ended.split("/"))
    return next(filter(None, plain), "")


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


def _host_of(authority: bytes, upstream: Authority, files: FileHostNames) -> bytes:
    """The name of the file host that is meant, or b"" for the upstream."""
    host, port = _host_and_port(authority)
    if host == upstream.host.removesuffix(b".") and port in (None, _PLAIN_PORT, upstream.port):
        return b""
    file_host = files.get((host, port))
    if file_host is None:
        name = upstream.host_field.decode()
        advice = f"The upstream is {name}: list other hosts in the client's NO_PROXY."
        raise _misdirected("the upstream's or a file host's", advice)
    return file_host


def _host_and_port(authority: bytes) -> tuple[bytes, int | None]:
    """Raises CallerError `bad_request` for what is no host, or has user information."""
    if b"@" in authority:
        raise _bad("The target must not contain user information.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _bad("The host or port in the target is malformed.")
    return parts[1].lower().removesuffix(b"."), int(parts[2]) if parts[2] else None


def _misdirected(expected: str, advice: str) -> CallerError:
    detail = f"The target names a host or port that is not {expected}. {advice}"
    return CallerError("misdirected", detail)


def no_tunnel(hosts: Iterable[bytes] = ()) -> CallerError:
    """The answer to a CONNECT that opens no tunnel; `hosts` are those that tunnels may lead to."""
    names = ", ".join(host.decode("ascii") for host in hosts)
    detail = _NO_TUNNELS
    if names:
        detail = (
            f"Tunnels lead to port 443 of {names}, never within a tunnel. List other hosts in "
            "the client's NO_PROXY; http:// URLs need no tunnel (undici: proxyTunnel: false)."
        )
    return CallerError("method_not_allowed", detail)


def _refused_method(method: str) -> CallerError:
    if method == "CONNECT":
        return no_tunnel()
    if _TOKEN.fullmatch(method):
        return CallerError("method_not_allowed", "This method is not forwarded.")
    return _bad("The method is malformed.")


def _bad(detail: str) -> CallerError:
    return CallerError("bad_request", detail)
