"""TLS towards others: the one context that verifies Invopop, issuers, stores, Redis and collectors.

Rule: TLS 1.2 or later, certificate and host name always verified; no way round it. The flags are
spelt out, because defaults differ: Python 3.13 made those of `create_default_context` stricter.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import certifi

# A certificate authority in a file is an anchor whether or not it is its own issuer, as it is for
# Go and for Python 3.13. Not VERIFY_X509_STRICT: private authorities that omit what RFC 5280 asks
# for (an authority key identifier, a critical basicConstraints) are common and safe to use.
VERIFY: Final = (
    ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
)


def client_context(
    ca_file: Path | None = None, *, ca_only: bool = False, alpn: Sequence[str] = ("http/1.1",)
) -> ssl.SSLContext:
    """A context that trusts the system's certificate authorities (`SSL_CERT_FILE` works too).

    Where the system has none, certifi's are used. `ca_file` (PEM) is an extra trust anchor, or
    with `ca_only` the only one. Raises OSError or ssl.SSLError if it cannot be read.
    """
    if ca_only and ca_file is None:
        raise ValueError("ca_only needs a ca_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.verify_flags = VERIFY
    context.hostname_checks_common_name = False  # RFC 9110 4.3.4: only subjectAltName counts
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if not ca_only:
        _trust_system(context)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def server_name(host: str) -> str:
    """A host as SNI (RFC 6066 3), certificates and `Host` have it: without the final dot.

    The dot only makes a name absolute for the resolver: `api.invopop.com.` asks no search domain.
    """
    return host.removesuffix(".")


def _trust_system(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=certifi.where())
