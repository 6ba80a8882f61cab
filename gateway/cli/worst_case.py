"""The most memory that callers and Invopop can make the gateway hold, by what holds it.

Rule: pure sums of settings and of the fixed bounds of the packages below; estimates nothing that
neither can make grow, such as the program itself and its listed tenants. The kernel's own buffers
for sockets are not counted.
"""

from typing import Final

from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.upstream.file_hosts import file_connections

KIB: Final = 1024
MIB: Final = 1024 * KIB
PROGRAM: Final = 80 * MIB  # what it takes without any of this, with few tenants; no part of the sum

# The bounds that are not settings. Each is a constant of its own package; a test compares them.
UNREAD: Final = 64 * KIB  # of a request's body, or of what comes behind it, until no more is read
UNSENT: Final = 64 * KIB  # of replies that the caller does not take, until no more is written
READ_BLOCK: Final = 64 * KIB  # what one read may bring beyond such a bound
PIECE: Final = 64 * KIB  # of a reply, which may be written beyond it
FIELD: Final = 144  # the objects of one header field, apart from its text
KNOWN: Final = 24 * KIB  # what is remembered of a connection's two kinds of heads
CONNECTION: Final = 16 * KIB  # its objects, without any buffer
# OpenSSL's state, the event loop's buffer, and what has come but is not decrypted yet: as measured
CALLER_TLS: Final = 320 * KIB
TUNNEL: Final = 128 * KIB  # OpenSSL's state inside one, and what has come but is not decrypted yet
REPLAY: Final = 64 * KIB  # a body that may have to be sent again
UPSTREAM_UNSENT: Final = 64 * KIB  # a request that Invopop does not read as fast as it comes
REPLY_BUFFER: Final = 128 * KIB  # a reply that its caller does not read as fast as it comes
REPLY_HEAD: Final = 128 * KIB
UPSTREAM_TLS: Final = 64 * KIB  # OpenSSL's state, and a record on its way in and out
HELD: Final = MIB  # a reply over a Unix socket whose length HTTP/1.0 must know
PAGE: Final = 512 * KIB  # the status page, as it is made for one reader
SERIES: Final = 2 * KIB  # metrics of one tenant and caller in all families, for each `max_series`
RENDERING: Final = 2 * KIB  # the same while a scrape's body is made of them, one at a time
EXPOSED: Final = KIB  # the same in a body that a scraper is still reading
BODIES: Final = 3  # such bodies at one time
ROUTES: Final = 8 * MIB  # histograms of all routes, and their part of those bodies
VERDICTS: Final = 65536  # tokens of callers that are remembered
VERDICT: Final = 512
BUCKETS: Final = 2 * 20_000  # names with a rate limit in use, callers and tenants
BUCKET: Final = 256
FOUND: Final = 2560  # a tenant that `[discover]` found
ABSENT: Final = 10_000 * 512  # names that it did not find
LOG: Final = 2 * 8 * MIB  # lines that nobody reads, and those that are just being written
AUDIT: Final = 2 * 8 * MIB  # lines that cannot be written
TRACES: Final = 4096  # traced exchanges that were not exported yet
TRACE: Final = 4 * KIB

Part = tuple[str, int]


def worst_case(loaded: Loaded, open_files: int) -> list[Part]:
    """What can be held, and its bytes, in the order of a request's way; the sum is the bound.

    Without `listen.max_connections`, callers' connections are bounded by `open_files`.
    """
    settings = loaded.settings
    return [*_exchanges(settings, open_files), *_remembered(loaded), *_observed(settings)]


def _exchanges(settings: Settings, open_files: int) -> list[Part]:
    """Connections, requests and replies."""
    listen, limits, upstream = settings.listen, settings.limits, settings.upstream
    of_files = len(upstream.file_hosts) * file_connections(upstream.max_connections)
    pooled = upstream.max_connections + of_files
    connections = min(open_files, listen.max_connections or open_files)
    head = limits.max_header_bytes + limits.max_headers * FIELD
    connection = CONNECTION + KNOWN + head + UNREAD + READ_BLOCK + UNSENT + PIECE
    tls = CALLER_TLS if listen.tls_certificate is not None else 0
    tls += TUNNEL if settings.tunnel.certificate is not None else 0
    request = head + limits.max_header_bytes + REPLAY + UNREAD + READ_BLOCK
    upload = UPSTREAM_UNSENT + UNREAD + READ_BLOCK  # its last piece, encrypted
    reply = 2 * (REPLY_BUFFER + READ_BLOCK) + 2 * REPLY_HEAD  # being taken, and coming
    whole = HELD if listen.socket is not None else 0
    busy = min(limits.max_in_flight, pooled)
    return [
        ("callers' connections", connections * (connection + tls)),
        ("requests in flight", limits.max_in_flight * (request + whole)),
        ("exchanges with Invopop and file hosts", busy * (upload + reply)),
        (
            "connections to Invopop and file hosts",
            pooled * (CONNECTION + KNOWN + UPSTREAM_TLS + READ_BLOCK),
        ),
        ("admin connections", settings.admin.max_connections * (connection + PAGE)),
    ]


def _remembered(loaded: Loaded) -> list[Part]:
    """What callers' credentials and tenants leave behind."""
    settings, discovers = loaded.settings, loaded.vault.discover is not None
    limited = settings.limits.requests_per_second or any(
        caller.requests_per_second for caller in settings.callers.values()
    )
    found = settings.vault.max_discovered * FOUND + ABSENT
    return [
        ("remembered tokens", VERDICTS * VERDICT if settings.issuers else 0),
        ("rate limits", BUCKETS * BUCKET if limited else 0),
        ("discovered tenants", found if discovers else 0),
    ]


def _observed(settings: Settings) -> list[Part]:
    """Metrics, logs and traces."""
    audit = AUDIT if settings.audit.file is not None and not settings.audit.on_stdout else 0
    traces = TRACES if settings.tracing.endpoint is not None else 0
    series = SERIES + RENDERING + BODIES * EXPOSED
    return [
        ("metrics", settings.metrics.max_series * series + ROUTES),
        ("log lines not written yet", LOG + audit),
        ("traces not exported yet", traces * TRACE),
    ]
