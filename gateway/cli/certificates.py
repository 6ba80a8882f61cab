"""What the certificate files of a configuration hold: a line each, and warnings of their ends.

Rule: says nothing of files that cannot be read or used: those are problems already.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, NamedTuple

from gateway.cli.tunnel_ca import hosts_of
from gateway.network.certificates import CertificateInfo, permitted_hosts, read_certificates
from gateway.settings.schema import Settings
from gateway.settings.wording import masked, shown_path

SOON: Final = 30 * 86400.0  # seconds in which the end of a certificate is warned of


class CertificateNotes(NamedTuple):
    """What `check` says: `held` of each file, and `warnings`."""

    held: list[str]
    warnings: list[str]


def certificate_notes(settings: Settings) -> CertificateNotes:
    """Reads each certificate file that the settings name."""
    held, warnings, now = [], [], time.time()
    for key, path, own in _files(settings):
        try:
            certificates = read_certificates(path.read_bytes())
        except (OSError, ValueError):
            continue
        held.append(f"{key}: {_count(certificates, own=own)} in {shown_path(path)}")
        warnings += [f"{key}: {text}" for one in certificates if (text := _ending(one, now))]
    return CertificateNotes(held, [*warnings, *_tunnel_names(settings)])


def _tunnel_names(settings: Settings) -> Iterator[str]:
    """Whether the tunnels' CA may sign for their hosts, and for no others."""
    if (file := settings.tunnel.certificate) is None:
        return
    try:
        permitted = permitted_hosts(file.read_bytes())
    except (OSError, ValueError):
        return
    advice = "make another with `invopop-gateway tunnel-ca`"
    if permitted is None:
        yield f"tunnel.certificate: this CA may sign for any host that its clients call; {advice}"
        return
    for host in hosts_of(settings.upstream):
        if not any(_covers(name, host) for name in permitted):
            yield f"tunnel.certificate: this CA may not sign for {masked(host)}; {advice}"


def _covers(permitted: str, host: str) -> bool:
    """Whether a host lies within a permitted name, or network of addresses."""
    try:
        return ip_address(host) in ip_network(permitted)
    except ValueError:
        name = permitted.lstrip(".")
        return host == name or host.endswith(f".{name}")


def _files(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """Key and path of each file, and whether it holds our own certificate, not an authority's."""
    listen, openbao = settings.listen, settings.vault.openbao
    named = [
        ("upstream.ca_file", settings.upstream.ca_file, False),
        ("listen.tls_certificate", listen.tls_certificate, True),
        ("tunnel.certificate", settings.tunnel.certificate, True),
        ("listen.client_ca", listen.client_ca, False),
        ("vault.openbao.ca_file", openbao.ca_file if openbao is not None else None, False),
        ("tracing.ca_file", settings.tracing.ca_file, False),
    ]
    for index, issuer in enumerate(settings.issuers):
        named.append((f"issuers[{index}].jwks_ca_file", issuer.jwks_ca_file, False))
    return ((key, path, own) for key, path, own in named if path is not None)


def _count(certificates: Sequence[CertificateInfo], *, own: bool) -> str:
    number = len(certificates)
    text = f"{number} certificate{'s' if number != 1 else ''}"
    inner = sum(not certificate.root for certificate in certificates)
    return text if own or not inner else f"{text} ({inner} not self-signed, but trusted as a root)"


def _ending(certificate: CertificateInfo, now: float) -> str:
    if certificate.ends > now + SOON:
        return ""
    day = datetime.fromtimestamp(certificate.ends, UTC).strftime("%Y-%m-%d")
    word = "expired" if certificate.ends <= now else "expires"
    return f"the certificate {masked(certificate.name) or 'without a subject'} {word} on {day}"
