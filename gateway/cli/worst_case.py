"""The most memory that callers and Invopop can make the gateway hold, by what holds it.

Rule: pure sums of settings and of the fixed bounds of the packages below; estimates nothing that
neither can make grow, such as the program itself (some 70 MiB).
"""

from typing import Final

from gateway.settings.schema import Settings
from gateway.upstream.file_hosts import file_connections

# The bounds that are not settings. Each is a constant of its own package; a test compares them.
CALLER_BUFFER: Final = 64 * 1024  # a request's body, or what comes behind it, not yet taken
REPLAY: Final = 64 * 1024  # a body that may have to be sent again
REPLY_BUFFER: Final = 256 * 1024  # a reply that its caller does not read as fast as it comes
UPSTREAM_BUFFER: Final = 64 * 1024  # a request that Invopop does not read as fast as it comes
REPLY_HEAD: Final = 128 * 1024
READ_BLOCK: Final = 256 * 1024  # what one read of a socket may bring beyond a bound
CONNECTION: Final = 16 * 1024  # its objects, without any buffer
TLS: Final = 64 * 1024  # OpenSSL's state, and a record on its way in and out
CALLER_TLS: Final = 320 * 1024  # as measured: the event loop keeps a buffer of 256 KiB for each
HELD: Final = 1024 * 1024  # a reply over a Unix socket whose length HTTP/1.0 must know
SERIES: Final = 1024  # one metric series with its labels
FAMILIES: Final = 6  # metric families that `metrics.max_series` bounds, each
VERDICTS: Final = 65536  # callers' tokens that are remembered
VERDICT: Final = 512
LOG: Final = 8 * 2**20  # lines that nobody reads
AUDIT: Final = 8 * 2**20  # lines that cannot be written
TRACES: Final = 4096  # traced exchanges that were not exported yet
TRACE: Final = 4096


def worst_case(settings: Settings, connections: int) -> list[tuple[str, int]]:
    """What can be held, and its bytes, in the order of a request's way; the sum is the bound.

    `connections` is how many callers' connections there can be: `listen.max_connections`, or the
    process's limit of open files.
    """
    limits, upstream = settings.limits, settings.upstream
    of_files = len(upstream.file_hosts) * file_connections(upstream.max_connections)
    pooled = upstream.max_connections + of_files
    tls = CALLER_TLS if settings.listen.tls_certificate is not None else 0
    held = limits.max_header_bytes + CALLER_BUFFER + CONNECTION + tls
    request = limits.max_header_bytes + REPLAY + UPSTREAM_BUFFER + CALLER_BUFFER
    audit = AUDIT if settings.audit.file is not None else 0
    traces = TRACES if settings.tracing.endpoint is not None else 0
    whole = HELD if settings.listen.socket is not None else 0
    reply = REPLY_BUFFER + REPLY_HEAD + READ_BLOCK + whole
    return [
        ("callers' connections", connections * held),
        ("requests in flight", limits.max_in_flight * request),
        ("replies in flight", min(limits.max_in_flight, pooled) * reply),
        ("connections to Invopop and file hosts", pooled * (CONNECTION + TLS)),
        ("remembered tokens", VERDICTS * VERDICT),
        ("metrics", FAMILIES * settings.metrics.max_series * SERIES),
        ("log lines not written yet", LOG + audit),
        ("traces not exported yet", traces * TRACE),
    ]
