"""The configuration, compiled: who is who, who may do what, and how Invopop is reached.

Rule: all or nothing; every problem is in one list, and nothing is in use yet.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError, Problem, refused, with_file
from gateway.events import Emit
from gateway.identity.authenticator import Authenticator
from gateway.identity.build import ReadSecret, build_authenticator
from gateway.identity.keys import KeySetError
from gateway.identity.listener_tls import ListenerTls, listener_tls
from gateway.identity.tunnel_authority import TunnelAuthority, tunnel_authority
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.policy.grants import Grants, compile_grants
from gateway.policy.rates import Rates
from gateway.policy.rates_shared import SharedRates, connect, is_shared
from gateway.secret import Secret
from gateway.settings.key_sources import LOCAL, STORES, KeySource
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings, UpstreamSettings
from gateway.settings.wording import shown_path
from gateway.upstream.breaker import Breaker
from gateway.upstream.enrollment import EnrollmentCall
from gateway.upstream.file_hosts import RETRIED, FileSenders, file_connections, file_hosts
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.request_encoder import Timeouts
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from gateway.upstream.target import Authority, authority_of
from gateway.upstream.transport import PoolLimits, Transport
from gateway.vault.sources.source import SourceError
from gateway.vault.vault import Vault

T = TypeVar("T")

# New sockets, or what is made once for the life of the process.
_AT_START: Final = (
    *("listen.host", "listen.port", "listen.socket", "listen.socket_mode", "listen.reuse_port"),
    *("admin.host", "admin.port"),
    *("metrics.max_series", "log.level", "log.format", "log.sample_success"),
    *("audit.file", "audit.write_before_forward", "tracing.endpoint", "tracing.sample_ratio"),
    *("tracing.service_name", "tracing.ca_file", "tracing.headers"),
)


class Trust(NamedTuple):
    """How Invopop's certificate is verified; `anchor` is the content of `upstream.ca_file`."""

    context: ssl.SSLContext
    anchor: bytes


class CompiledConfiguration(NamedTuple):
    """What a loaded configuration says, ready to be taken into use.

    `shared_rates` are the rate limits that replicas share, `listener` is the callers' TLS, and
    `tunnels` signs for the hosts in tunnels, if the configuration has them. Connections to the
    storage are opened on first use.
    """

    authenticator: Authenticator
    grants: Grants
    shared_rates: SharedRates | None
    listener: ListenerTls | None
    tunnels: TunnelAuthority | None


async def compile_configuration(
    loaded: Loaded, vault: Vault, rates: Rates, emit: Emit, shared_rates: SharedRates | None = None
) -> CompiledConfiguration:
    """Compiles a configuration, apart from `trust_of`. Raises `ConfigurationError`.

    `rates` count while the storage of shared rate limits is away. `shared_rates` are those in use.
    """
    settings, file = loaded.settings, str(loaded.file)
    secrets, problems = await _secrets(loaded, vault)
    authenticator, wrong = build_authenticator(settings, secrets, emit)
    problems += [p for p in with_file(wrong, file) if not _unresolved(p, problems)]
    grants, wrong = compile_grants(settings.callers, file)
    problems += wrong
    listener = await attempt(asyncio.to_thread(listener_tls, settings.listen), problems)
    tunnels, wrong = await asyncio.to_thread(tunnel_authority, settings.tunnel)
    problems += wrong
    connecting = _shared_rates(loaded, vault, rates, emit, shared_rates)
    shared_rates = await attempt(connecting, problems)
    await attempt(_application(loaded, vault), problems)
    if problems:
        raise ConfigurationError(with_file(problems, str(loaded.file)))
    return CompiledConfiguration(authenticator, grants, shared_rates, listener, tunnels)


async def attempt(made: Awaitable[T], problems: list[Problem]) -> T | None:
    """The result of `made`; None, and its problems in the list, if the configuration is wrong."""
    try:
        return await made
    except ConfigurationError as error:
        problems += error.problems
        return None


async def trust_of(loaded: Loaded) -> Trust:
    """How Invopop is verified. Raises `ConfigurationError` for an unusable `upstream.ca_file`."""
    return await asyncio.to_thread(_trust_of, loaded.settings.upstream, str(loaded.file))


def _trust_of(upstream: UpstreamSettings, file: str) -> Trust:
    if upstream.ca_only and upstream.ca_file is None:  # of a draft: the settings do not allow it
        expected = "ca_file with it, the only CA to trust"
        raise refused(file, "upstream.ca_only", "ca_only without ca_file", expected)
    try:
        anchor = upstream.ca_file.read_bytes() if upstream.ca_file else b""
        return Trust(client_context(upstream.ca_file, ca_only=upstream.ca_only), anchor)
    except (OSError, ssl.SSLError):
        found = f'"{shown_path(upstream.ca_file or Path())}"'
        expected = "a readable PEM file of certificates"
        raise refused(file, "upstream.ca_file", found, expected) from None


def trust_nobody() -> Trust:
    """Accepts no certificate: in place of a wrong `ca_file` until that problem is reported."""
    return Trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), b"")


async def _shared_rates(
    loaded: Loaded, vault: Vault, rates: Rates, emit: Emit, current: SharedRates | None
) -> SharedRates | None:
    limits, password = loaded.settings.limits, None
    if not is_shared(limits):
        return None
    if limits.storage_password is not None:
        key = "limits.storage_password"
        password = await vault.resolve(limits.storage_password, str(loaded.file), key)
    return connect(limits, password, rates, emit, current)


def new_transport(
    upstream: UpstreamSettings, trust: ssl.SSLContext, emit: Emit, resolver: Resolver | None = None
) -> Transport:
    """Connections to Invopop, verified by `trust`. `resolver` outlives them, with what it knows."""
    limits = PoolLimits(max_connections=upstream.max_connections)
    return Transport(trust, emit, limits=limits, proxy=_proxy_of(upstream), resolver=resolver)


def _proxy_of(upstream: UpstreamSettings) -> tuple[str, int] | None:
    proxy = urlsplit(upstream.proxy) if upstream.proxy else None
    return (proxy.hostname or "", proxy.port or 80) if proxy else None


def _timeouts_of(upstream: UpstreamSettings) -> Timeouts:
    return Timeouts(connect=upstream.connect_timeout, read=upstream.read_timeout)


def new_sender(
    transport: Transport, upstream: UpstreamSettings, emit: Emit, *, circuit: bool
) -> Sender:
    """Forwarding with retries, and, if `circuit`, with a circuit breaker of its own."""
    authority = authority_of(upstream.url)
    exchange = transport.exchange_with(authority, _timeouts_of(upstream))
    return _sender(Forwarder(exchange, authority, emit), upstream, emit, circuit=circuit)


def new_file_hosts(transport: Transport, upstream: UpstreamSettings, emit: Emit) -> FileSenders:
    """The same for each file host, without a key."""
    senders: dict[Authority, Sender] = {}
    most = file_connections(upstream.max_connections)
    for host in upstream.file_hosts:
        authority = authority_of(f"https://{host}")
        exchange = transport.exchange_with(authority, _timeouts_of(upstream), most)
        forwarder = Forwarder(exchange, authority, emit, keyless=True)
        senders[authority] = _sender(forwarder, upstream, emit, circuit=True)
    return file_hosts(senders)


def _sender(
    forwarder: Forwarder, upstream: UpstreamSettings, emit: Emit, *, circuit: bool
) -> Sender:
    methods = frozenset(upstream.retry_methods)
    if forwarder.keyless:
        methods &= RETRIED
    ratio = upstream.circuit_failure_ratio if circuit else 0.0
    retries = Retries(RetryRules(upstream.max_retries, methods), random.random)
    return Sender(forwarder, retries, Breaker(ratio, upstream.circuit_open_for), emit)


async def _application(loaded: Loaded, vault: Vault) -> None:
    """Raises `ConfigurationError` if the secret of `[vault.invopop]` is here, and unusable."""
    invopop = loaded.settings.vault.invopop
    if invopop is not None and invopop.client_secret.kind in LOCAL:
        key = "vault.invopop.client_secret"
        await vault.resolve(invopop.client_secret, str(loaded.file), key)


# At 200 ms a call, so many connections carry 640 calls a second.
_ISSUING: Final = PoolLimits(max_connections=192)


def new_enrollment_call(
    upstream: UpstreamSettings, trust: ssl.SSLContext, emit: Emit, resolver: Resolver
) -> EnrollmentCall:
    """Asks Invopop for keys, over connections of its own, made as those for requests are."""
    transport = Transport(
        trust, emit, limits=_ISSUING, proxy=_proxy_of(upstream), resolver=resolver
    )
    return EnrollmentCall(transport, authority_of(upstream.url), _timeouts_of(upstream), emit)


def files_of(loaded: Loaded, *, refused: bool = False) -> set[Path]:
    """Every file but tenants' keys whose change makes a reload due.

    An issuer's bearer token is read whenever it is needed: only a `refused` version waits for it.
    """
    settings = loaded.settings
    files = {loaded.file, loaded.vault_path}
    sources = [issuer.secret for issuer in settings.issuers]
    sources += [settings.limits.storage_password, settings.vault.identity]
    invopop = settings.vault.invopop
    sources += [invopop.client_secret] if invopop is not None else []
    files |= {source.file for source in sources if source is not None and source.file}
    listen, openbao = settings.listen, settings.vault.openbao
    named = [settings.upstream.ca_file, listen.tls_certificate, listen.tls_key, listen.client_ca]
    named += [settings.tunnel.certificate, settings.tunnel.key]
    named += [openbao.ca_file] if openbao is not None else []
    for issuer in settings.issuers:
        named += [issuer.jwks_file, issuer.public_key_file, issuer.jwks_ca_file]
        named += [issuer.jwks_bearer_file] if refused else []
    return files | {path for path in named if path}


def restart_required(before: Settings, after: Settings) -> tuple[str, ...]:
    """The settings that differ from those at start and cannot take effect without a restart."""
    names = [name for name in _AT_START if _value(before, name) != _value(after, name)]
    if (before.listen.tls_certificate is None) != (after.listen.tls_certificate is None):
        names.append("listen.tls_certificate")
    return tuple(names)


def _value(settings: Settings, name: str) -> object:
    section, _, key = name.partition(".")
    return getattr(getattr(settings, section), key)


async def _secrets(
    loaded: Loaded, vault: Vault
) -> tuple[Mapping[str, str | ReadSecret], list[Problem]]:
    """The shared secrets of issuers that sign with one, and why some are unavailable.

    A store is not asked here: it must not stop a start.
    """
    secrets: dict[str, str | ReadSecret] = {}
    problems: list[Problem] = []
    for index, issuer in enumerate(loaded.settings.issuers):
        if issuer.secret is None:
            continue
        if issuer.secret.kind in STORES:
            secrets[issuer.issuer] = partial(_from_store, vault, issuer.secret)
            continue
        try:
            key = f"issuers[{index}].secret"
            secret = await vault.resolve(issuer.secret, str(loaded.file), key)
            secrets[issuer.issuer] = secret.reveal()
        except ConfigurationError as error:
            problems += error.problems
    return secrets, problems


async def _from_store(vault: Vault, source: KeySource) -> Secret:
    try:
        return await vault.fetch(source)
    except SourceError as error:
        raise KeySetError(error.outcome) from None


def _unresolved(problem: Problem, known: list[Problem]) -> bool:
    """Whether the same setting has been reported already, closer to the cause."""
    return any(problem.key == other.key for other in known)
