"""The hosts of Invopop's files: what each is called, what sends to it, and where it redirects to.

Rule: decides and holds; no I/O. A file host gets no key, and its redirects do not lead to Invopop.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from gateway.errors import CallerError
from gateway.invopop.table import FILES_PREFIX
from gateway.model import Headers, Inbound
from gateway.upstream.sender import Sender
from gateway.upstream.target import Authority, FileHostNames, check_target, file_host_names

# GET alone: an upload may take effect once only, and its link may be used up.
RETRIED: Final = frozenset({"GET", "HEAD"})
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class FileSenders(NamedTuple):
    """Those of one version of the configuration. `senders` are keyed by the hosts' names."""

    names: FileHostNames
    senders: Mapping[bytes, Sender]


def file_connections(max_connections: int) -> int:
    """How many connections each file host may have: a quarter of the upstream's."""
    return max(1, max_connections // 4)


def file_hosts(senders: Mapping[Authority, Sender]) -> FileSenders:
    """The file hosts, each with what sends to it, and with its own pool and circuit."""
    by_name = {authority.host_field: sender for authority, sender in senders.items()}
    return FileSenders(file_host_names(senders), by_name)


def with_own_location(headers: Headers, inbound: Inbound) -> Headers:
    """Reply headers whose `Location` holds for a client that knows the gateway as its base URL.

    For a file asked for as `/.files/HOST/PATH`, one on the same host becomes such a path, too; a
    relative reference would lead to Invopop. For all other targets, and hosts, it stays as it is.
    """
    if inbound.proxy_form or inbound.tunnelled or all(name != b"location" for name, _ in headers):
        return headers
    return [
        (name, _location(value, inbound) if name == b"location" else value)
        for name, value in headers
    ]


def _location(value: bytes, inbound: Inbound) -> bytes:
    origin = "https://" + inbound.file_host.decode("ascii")
    try:
        url = urljoin(origin + inbound.target.decode("ascii"), quote(value, safe=_VISIBLE))
        parts = urlsplit(url)
        authority = parts.netloc.lower().removesuffix(":443")
    except ValueError:
        return origin.encode("ascii")
    if parts.scheme != "https" or authority != inbound.file_host.decode("ascii"):
        # Without an authority, clients disagree on where it leads: it could be to us.
        return value if authority else origin.encode("ascii")
    rest = url.partition("://")[2][len(parts.netloc) :].encode("ascii")
    rest = rest if rest[:1] == b"/" else b"/" + rest
    try:
        check_target(rest.partition(b"#")[0])
    except CallerError:  # with dot segments, say, which clients take out: it could leave the prefix
        return origin.encode("ascii") + rest
    return FILES_PREFIX + inbound.file_host + rest
