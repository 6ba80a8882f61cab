"""TLS towards the upstream: the context that verifies it.

Law: TLS 1.2 or later, certificate and host name always verified, http/1.1 only; no way round it.
"""

import ssl
from pathlib import Path

import certifi


def client_context(ca_file: Path | None = None, *, ca_only: bool = False) -> ssl.SSLContext:
    """A context that trusts the system's certificate authorities (`SSL_CERT_FILE` works too).

    Where the system has none, certifi's are used. `ca_file` (PEM) is an extra trust anchor, or
    with `ca_only` the only one. Raises OSError or ssl.SSLError if it cannot be read.
    """
    if ca_only and ca_file is None:
        raise ValueError("ca_only needs a ca_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.hostname_checks_common_name = False  # RFC 9110 4.3.4: only subjectAltName counts
    context.set_alpn_protocols(["http/1.1"])
    if not ca_only:
        _trust_system(context)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _trust_system(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=certifi.where())
