"""What is allowed but probably not meant. Pure: yields warnings, never stops a start."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from gateway.settings.callers import CallerSettings
from gateway.settings.schema import Settings
from gateway.settings.sealed import SUFFIX
from gateway.settings.shared_keys import shared_keys
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import key_path

# SHA-256 of the tokens of deploy/compose: anybody can read them there.
_PUBLIC: Final = frozenset({
    "dd5aeb0619a9344cdd06d87a2f9c64868c2b6343ec3997d714d93b2c598ca3a3",
    "2c2b35e8fe53c2eb100f058db714267285c76c91f1e3cddac8de6f94bef19400",
})  # fmt: skip
_WIDEST: Final = {4: 8, 6: 16}  # prefixes of the widest networks that one owner has
_URI: Final = re.compile(r"(?!(?i:dns|uri|cn|ip):)[A-Za-z][A-Za-z0-9+.-]*:.+")
_DNS_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# The least that a body limit is probably meant to be: fewer bytes were meant as KiB or MiB.
_LEAST_BODY: Final = 1024
_SHORTEST: Final = 0.05
# The longest that is probably meant, in seconds; beyond it milliseconds were.
_LONGEST: Final = {
    ("listen", "header_timeout"): 600,
    ("listen", "body_timeout"): 3600,
    ("listen", "write_timeout"): 3600,
    ("listen", "idle_timeout"): 7200,
    ("listen", "drain_delay"): 600,
    ("listen", "drain_timeout"): 3600,
    ("upstream", "connect_timeout"): 300,
    ("upstream", "read_timeout"): 3600,
    ("upstream", "circuit_open_for"): 3600,
    ("vault", "refresh"): 7 * 86400,
    ("vault", "negative_ttl"): 86400,
    ("vault", "stale_grace"): 30 * 86400,
}
_LONGEST_OF_ISSUERS: Final = {
    "leeway": 600,
    "jwks_refresh": 7 * 86400,
    "jwks_max_stale": 60 * 86400,
    "max_token_age": 366 * 86400,
}


def is_invopop(url: str) -> bool:
    """Whether an upstream is Invopop itself, not a sandbox or a stand-in."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    return host == "invopop.com" or host.endswith(".invopop.com")


def notices(settings: Settings, vault: VaultFile) -> Iterator[str]:
    """Warnings, each beginning with the key path that it is about."""
    if not vault.tenants and vault.discover is None:
        yield "tenants: the vault is empty; every request will be refused"
    if not settings.callers:
        yield "callers: there are none; every request will be refused"
    if settings.limits.burst and not settings.limits.requests_per_second:
        yield "limits.burst: has no effect without requests_per_second"
    if settings.vault.identity is not None and settings.vault.file.suffix != SUFFIX:
        yield f"vault.identity: has no effect, as vault.file does not end in `{SUFFIX}`"
    yield from _workspaces(vault)
    yield from shared_keys(vault.tenants)
    yield from _listeners(settings)
    yield from _units(settings)
    for name, caller in settings.callers.items():
        for text in _caller(caller, settings):
            yield f"{key_path(('callers', name))}: {text}"


def _workspaces(vault: VaultFile) -> Iterator[str]:
    for name, entry in vault.tenants.items():
        if entry.workspace is not None and _UUID.fullmatch(entry.workspace) is None:
            where = key_path(("tenants", name, "workspace"))
            yield f"{where}: not a UUID, as the ids of Invopop's workspaces are; no key will match"


def _listeners(settings: Settings) -> Iterator[str]:
    listen, admin = settings.listen, settings.admin
    plain = listen.socket is None and listen.tls_certificate is None
    tokens = any(
        caller.tokens or _issuers(caller, settings) for caller in settings.callers.values()
    )
    if plain and tokens and not _is_loopback(listen.host):
        yield (
            "listen.host: callers' tokens come over plain HTTP on an address that is not loopback; "
            "set tls_certificate, unless a mesh or an ingress encrypts them"
        )
    if _is_wildcard(admin.host):
        yield (
            "admin.host: open on every address; metrics name tenants and callers, so let only "
            "Prometheus and probes reach it"
        )
    for network in admin.status_networks:
        if whom := _strangers(network):
            yield f'admin.status_networks: "{network}" shows the status page to {whom}'


def _units(settings: Settings) -> Iterator[str]:
    """Times and sizes that look like another unit: milliseconds, minutes, KiB, MiB."""
    for (section, name), longest in _LONGEST.items():
        yield from _time(f"{section}.{name}", getattr(getattr(settings, section), name), longest)
    for index, issuer in enumerate(settings.issuers):
        for name, longest in _LONGEST_OF_ISSUERS.items():
            where = key_path(("issuers", index, name))
            yield from _time(where, getattr(issuer, name) or 0.0, longest)
    if 0 < settings.limits.max_body < _LEAST_BODY:
        size = settings.limits.max_body
        yield f'limits.max_body: {size} bytes is little; a size is bytes, or such as "{size}MiB"'


def _time(where: str, value: float, longest: float) -> Iterator[str]:
    if value > longest:
        yield f"{where}: {value:g} s is long; times are seconds, not milliseconds"
    elif 0 < value < _SHORTEST:
        yield f"{where}: {value:g} s is short; times are seconds"


def _caller(caller: CallerSettings, settings: Settings) -> Iterator[str]:
    if not (caller.tokens or _issuers(caller, settings) or caller.networks or caller.certificates):
        yield "has no token, issuer, network or certificate; nobody can be this caller"
    if not caller.tenants:
        yield "has no tenants; its requests will be refused"
    if caller.burst and not caller.requests_per_second:
        yield "burst has no effect without requests_per_second beside it"
    if is_invopop(settings.upstream.url) and _PUBLIC.intersection(t.hash for t in caller.tokens):
        yield "a token of the published sandbox configuration, which everybody knows, opens Invopop"
    on_socket = settings.listen.socket is not None
    for network in caller.networks:
        if network.startswith("unix") != on_socket:
            yield f'network "{network}" never matches: see listen.socket'
        elif whom := _strangers(network):
            yield f'network "{network}" makes {whom} who reaches the port this caller'
    for index, name in enumerate(caller.certificates):
        if not _may_match(name):
            yield f"certificates[{index}] never matches: it is not a URI or DNS name"


def _issuers(caller: CallerSettings, settings: Settings) -> bool:
    return bool(caller.issuers if caller.issuers is not None else settings.issuers)


def _may_match(name: str) -> bool:
    """Whether this can be a URI or a DNS name: an address, or `CN=x`, is neither."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return (_URI if ":" in name else _DNS_NAME).fullmatch(name) is not None
    return False


def _strangers(network: str) -> str:
    """Whom a network holds that is wider than anybody's own; "" if it is not."""
    if network.startswith("unix"):
        return ""
    parsed = ipaddress.ip_network(network)
    if parsed.prefixlen == 0:
        return "everyone"
    wide = parsed.prefixlen < _WIDEST[parsed.version] and not parsed.is_private
    return "a large part of everyone" if wide else ""


def _is_wildcard(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_unspecified


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
