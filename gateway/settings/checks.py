"""Rules between settings. Pure: yields what is wrong with what was read.

Each violation names every setting concerned, so that one mistake is reported once.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.settings.callers import CallerSettings, Issuer
from gateway.settings.findings import Violation
from gateway.settings.key_sources import SOURCE_KINDS, STORE_TABLES, KeySource
from gateway.settings.schema import AuditSettings, ListenSettings, Settings, TracingSettings
from gateway.settings.values import Table
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import KeyPath, key_path

_ORIGINS: Final = ("jwks_file", "public_key_file", "secret", "jwks_url", "discovery")
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
# What sockaddr_un holds, but for the NUL at its end.
_LONGEST_SOCKET: Final = 107


def check(settings: Settings, positions: Sequence[int]) -> Iterator[Violation]:
    """Every rule of `gateway.toml`. `positions` are the issuers' indices in the file."""
    yield from _socket(settings.listen)
    yield from _tls(settings.listen)
    yield from _pair("tunnel", settings.tunnel, "certificate", "key")
    yield from _ports(settings)
    yield from _upstream(settings)
    yield from _storage(settings)
    yield from _audit(settings.audit)
    yield from _tracing(settings.tracing)
    for position, issuer in zip(positions, settings.issuers, strict=True):
        yield from _issuer(("issuers", position), issuer)
    yield from _shared_secrets(settings, positions)
    yield from _equal_issuers(settings, positions)
    for name, caller in settings.callers.items():
        yield from _caller(("callers", name), caller, settings)
    yield from _shared_proofs(settings)


def check_vault(vault: VaultFile, known: Collection[str]) -> Iterator[Violation]:
    """Every rule of `vault.toml`. `known` are the stores that the settings know how to reach."""
    yield from _unreachable(_sources(vault), known)
    yield from _uses(vault)


def _uses(vault: VaultFile) -> Iterator[Violation]:
    """One violation for each wrong name that tables have in `use`: 100,000 may have the same."""
    wrong: dict[str, list[str]] = {}
    for name, entry in vault.sharing.items():
        if entry.use not in vault.tenants:
            wrong.setdefault(entry.use, []).append(name)
    for used, names in wrong.items():
        found = "a tenant that is not listed"
        if used in vault.sharing:
            found = "a tenant that has `use` itself"
        if len(names) > 1:
            found += f" (as in {len(names) - 1} more tables)"
        expected = "the name of a table in [tenants] with a key of its own"
        yield Violation(("tenants", names[0], "use"), found, expected)


def _unreachable(
    sources: Iterable[tuple[KeyPath, KeySource]], known: Collection[str]
) -> Iterator[Violation]:
    missing = set(STORE_TABLES).difference(known)
    for path, source in sources:
        kind = SOURCE_KINDS[source.kind]
        if kind.table in missing and kind.needs_table(source.reference):
            missing.remove(kind.table)
            expected = f"a table [vault.{kind.table}] in the configuration file"
            others: tuple[KeyPath, ...] = (("vault", kind.table),)
            yield Violation(path, f"{source.kind}, which is not configured", expected, others)


def _sources(vault: VaultFile) -> Iterator[tuple[KeyPath, KeySource]]:
    if vault.discover is not None:
        yield ("discover", "key"), vault.discover.key
    for name, entry in vault.tenants.items():
        yield ("tenants", name, "key"), entry.key
        if entry.previous is not None:
            yield ("tenants", name, "previous"), entry.previous


def _socket(listen: ListenSettings) -> Iterator[Violation]:
    if listen.socket is None:
        return
    for member in ("host", "port", "reuse_port"):
        if member in listen.model_fields_set:
            found = f"`{member}` beside `socket`"
            yield Violation(("listen", member), found, "one of the two", (("listen", "socket"),))
    length = len(bytes(listen.socket))
    if length > _LONGEST_SOCKET:
        expected = f"at most {_LONGEST_SOCKET} bytes, the system's limit"
        yield Violation(("listen", "socket"), f"a path of {length} bytes", expected)


def _tls(listen: ListenSettings) -> Iterator[Violation]:
    yield from _pair("listen", listen, "tls_certificate", "tls_key")
    given = listen.tls_certificate is not None or listen.tls_key is not None
    if listen.client_ca is not None and not given:
        expected = "tls_certificate and tls_key with it"
        others: tuple[KeyPath, ...] = (("listen", "tls_certificate"), ("listen", "tls_key"))
        yield Violation(("listen", "client_ca"), "client_ca without TLS", expected, others)


def _pair(section: str, table: Table, *names: str) -> Iterator[Violation]:
    """Both of two files, or none."""
    given = [name for name in names if getattr(table, name) is not None]
    if len(given) == 1:
        missing = next(name for name in names if name not in given)
        others: tuple[KeyPath, ...] = tuple((section, name) for name in names)
        yield Violation((section, missing), "nothing", f"a file, as {given[0]} is set", others)


def _ports(settings: Settings) -> Iterator[Violation]:
    port = settings.listen.port
    if settings.listen.socket is None and port == settings.admin.port != 0:
        expected = "another port: callers must not reach the admin listener"
        others: tuple[KeyPath, ...] = (("listen", "port"), ("listen", "socket"))
        yield Violation(("admin", "port"), f"{port}, the callers' port", expected, others)


def _upstream(settings: Settings) -> Iterator[Violation]:
    upstream = settings.upstream
    if upstream.ca_only and upstream.ca_file is None:
        expected = "ca_file with it, the only CA to trust"
        others: tuple[KeyPath, ...] = (("upstream", "ca_file"),)
        yield Violation(("upstream", "ca_only"), "ca_only without ca_file", expected, others)
    yield from _own_address(settings, ("upstream", "url"), upstream.url, "Invopop's address")
    seen = {_origin(upstream.url)}
    for index, name in enumerate(upstream.file_hosts):
        path: KeyPath = ("upstream", "file_hosts", index)
        if _origin(f"//{name}") in seen:
            expected = "each host once, and not that of upstream.url"
            yield Violation(path, "a host that is there already", expected)
        seen.add(_origin(f"//{name}"))
        yield from _own_address(settings, path, f"//{name}", "a host of files")


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").removesuffix("."), parts.port or 443


def _own_address(settings: Settings, at: KeyPath, url: str, expected: str) -> Iterator[Violation]:
    target, own_port = _origin(url)
    for section, host, port in (
        ("listen", settings.listen.host, settings.listen.port),
        ("admin", settings.admin.host, settings.admin.port),
    ):
        same_host = target == host or {target, host} <= _HERE
        if same_host and own_port == port and not _on_socket(settings, section):
            others: tuple[KeyPath, ...] = ((section, "host"), (section, "port"))
            found = f"this gateway's own address ([{section}])"
            yield Violation(at, found, expected, others)


def _on_socket(settings: Settings, section: str) -> bool:
    return section == "listen" and settings.listen.socket is not None


def _storage(settings: Settings) -> Iterator[Violation]:
    limits = settings.limits
    if limits.storage_password is not None and not (limits.storage or "").startswith("redis"):
        others: tuple[KeyPath, ...] = (("limits", "storage"),)
        found = "a password without a Redis storage"
        yield Violation(("limits", "storage_password"), found, "storage with it", others)


def _audit(audit: AuditSettings) -> Iterator[Violation]:
    if audit.write_before_forward and (audit.file is None or audit.on_stdout):
        found = "stdout, which keeps nothing" if audit.on_stdout else "no audit.file"
        others: tuple[KeyPath, ...] = (("audit", "file"),)
        yield Violation(("audit", "write_before_forward"), found, "a file to write to", others)


def _tracing(tracing: TracingSettings) -> Iterator[Violation]:
    target = urlsplit(tracing.endpoint or "https:")
    if tracing.headers and target.scheme != "https" and target.hostname not in _HERE:
        found = "headers over plain http://"
        others: tuple[KeyPath, ...] = (("tracing", "endpoint"),)
        yield Violation(("tracing", "headers"), found, "an https:// endpoint for them", others)


def _issuer(at: KeyPath, issuer: Issuer) -> Iterator[Violation]:
    origins = [name for name in _ORIGINS if getattr(issuer, name) not in {None, False}]
    paths: tuple[KeyPath, ...] = tuple((*at, name) for name in _ORIGINS)
    if len(origins) != 1:
        expected = f"exactly one of {', '.join(_ORIGINS)}"
        yield Violation(at, " and ".join(origins) or "no origin of keys", expected, paths)
    yield from _algorithms(at, issuer, origins)
    if issuer.discovery and not issuer.issuer.startswith("https://"):
        expected = "an https:// URL, as its keys are to be discovered"
        yield Violation((*at, "issuer"), "no https:// URL", expected, ((*at, "discovery"),))
    for name in ("jwks_ca_file", "jwks_bearer_file"):
        if getattr(issuer, name) is not None and not {"jwks_url", "discovery"} & {*origins}:
            yield Violation((*at, name), f"`{name}` without URL", "jwks_url or discovery", paths)
    if issuer.caller_template is not None and "caller_claim" in issuer.model_fields_set:
        template = (*at, "caller_template")
        yield Violation((*at, "caller_claim"), "caller_template too", "one of the two", (template,))
    if issuer.tenant_claim is None and "tenant_claim_required" in issuer.model_fields_set:
        claim = (*at, "tenant_claim")
        yield Violation((*at, "tenant_claim_required"), "no tenant_claim", "one with it", (claim,))


def _algorithms(at: KeyPath, issuer: Issuer, origins: Sequence[str]) -> Iterator[Violation]:
    path = (*at, "algorithms")
    shared = [name for name in issuer.algorithms if name.startswith("HS")]
    # An issuer that takes both lets its public key be used as an HMAC secret (RFC 8725 2.1).
    if shared and len(shared) < len(issuer.algorithms):
        yield Violation(path, f"{shared[0]} among public-key algorithms", "one or the other")
    elif len(origins) == 1 and bool(shared) != (origins == ["secret"]):
        expected = "HS256, HS384 or HS512" if origins == ["secret"] else "public-key algorithms"
        found = f"{issuer.algorithms[0]} with {origins[0]}"
        yield Violation(path, found, expected, tuple((*at, name) for name in _ORIGINS))


def _shared_secrets(settings: Settings, positions: Sequence[int]) -> Iterator[Violation]:
    known = {table for table in STORE_TABLES if getattr(settings.vault, table)}
    both = zip(positions, settings.issuers, strict=True)
    found: list[tuple[KeyPath, KeySource | None]] = [
        (("issuers", at, "secret"), issuer.secret) for at, issuer in both
    ]
    if (invopop := settings.vault.invopop) is not None:
        found.append((("vault", "invopop", "client_secret"), invopop.client_secret))
    return _unreachable(((path, source) for path, source in found if source), known)


def _equal_issuers(settings: Settings, positions: Sequence[int]) -> Iterator[Violation]:
    first: dict[str, KeyPath] = {}
    for position, issuer in zip(positions, settings.issuers, strict=True):
        path: KeyPath = ("issuers", position, "issuer")
        if issuer.issuer in first:
            found = f"the issuer of {key_path(first[issuer.issuer])}"
            yield Violation(path, found, "each issuer once")
        first.setdefault(issuer.issuer, path)


def _caller(at: KeyPath, caller: CallerSettings, settings: Settings) -> Iterator[Violation]:
    known = {issuer.issuer for issuer in settings.issuers}
    others: tuple[KeyPath, ...] = (("issuers",),)
    for index, issuer in enumerate(caller.issuers or ()):
        if issuer not in known:
            expected = "the `issuer` of one of [[issuers]], letter for letter"
            path = (*at, "issuers", index)
            yield Violation(path, "an issuer that is not configured", expected, others)
    if caller.issuers is None and len(known) > 1:
        expected = "the issuers that may name this caller ([] = none), as there are several"
        yield Violation((*at, "issuers"), "nothing", expected, others)
    if caller.certificates and settings.listen.client_ca is None:
        others = (("listen", "client_ca"),)
        found = "certificates without listen.client_ca"
        yield Violation((*at, "certificates"), found, "a CA to verify them by", others)


def _shared_proofs(settings: Settings) -> Iterator[Violation]:
    """The same token, network or certificate twice would make who calls a matter of order."""
    first: dict[tuple[str, str], KeyPath] = {}
    for path, proof in _proofs(settings):
        kind = str(path[2])
        if (kind, proof) in first:
            other = first[kind, proof]
            found = f"the same as {key_path(other)}"
            yield Violation(path, found, "each of them once, for one caller", (other,))
        first.setdefault((kind, proof), path)


def _proofs(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    for name, caller in settings.callers.items():
        for index, token in enumerate(caller.tokens):
            yield ("callers", name, "tokens", index), token.hash
        for member in ("networks", "certificates"):
            for index, proof in enumerate(getattr(caller, member)):
                yield ("callers", name, member, index), proof
