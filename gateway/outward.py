"""Makes what speaks to Invopop from the settings: pooled transport, and the sender before it."""

import random
import ssl
from urllib.parse import urlsplit

import httpx

from gateway.events import Emit
from gateway.settings.schema import Upstream
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder, Timeouts
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from gateway.upstream.transport import Limits, Transport


def new_transport(upstream: Upstream, trust: ssl.SSLContext, emit: Emit) -> Transport:
    """Connections to Invopop, verified by `trust`."""
    limits = Limits(max_connections=upstream.max_connections)
    proxy = urlsplit(upstream.proxy) if upstream.proxy else None
    way = (proxy.hostname or "", proxy.port or 80) if proxy else None
    return Transport(trust, emit, limits=limits, proxy=way)


def new_sender(
    transport: httpx.AsyncBaseTransport, upstream: Upstream, emit: Emit, *, circuit: bool
) -> Sender:
    """Forwarding with retries, and, if `circuit`, with a circuit breaker of its own."""
    timeouts = Timeouts(connect=upstream.connect_timeout, read=upstream.read_timeout)
    forwarder = Forwarder(transport, upstream.url, timeouts, emit)
    rules = RetryRules(upstream.max_retries, frozenset(upstream.retry_methods))
    ratio = upstream.circuit_failure_ratio if circuit else 0.0
    breaker = Breaker(ratio, upstream.circuit_open_for)
    return Sender(forwarder, Retries(rules, random.random), breaker, emit)
