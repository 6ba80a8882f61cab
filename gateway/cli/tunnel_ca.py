"""`tunnel-ca`: a certificate authority for `[tunnel]`, which can sign for Invopop's hosts only."""

import ipaddress
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.cli.configuration import ConfigOption, load_or_exit, path_of
from gateway.cli.streams import create
from gateway.network.certificates import general_name, key_usage
from gateway.settings.schema import Settings, UpstreamSettings
from gateway.upstream.target import authority_of

CERTIFICATE: Final = "tunnel-ca.pem"
KEY: Final = "tunnel-ca-key.pem"
LIFE: Final = timedelta(days=730)
_EARLIER: Final = timedelta(hours=1)
_TRUST: Final = """\
Clients that use the tunnel must trust {certificate}, and nothing else of it:

  curl      --cacert {certificate}, or CURL_CA_BUNDLE={certificate}
  Python    requests: REQUESTS_CA_BUNDLE={certificate}; httpx, urllib: SSL_CERT_FILE={certificate}
  Node      NODE_EXTRA_CA_CERTS={certificate}
  Go        SSL_CERT_FILE={certificate}
  Ruby      SSL_CERT_FILE={certificate}
  PHP       curl.cainfo={certificate} and openssl.cafile={certificate} in php.ini
  Java      keytool -importcert -noprompt -alias invopop-gateway -file {certificate}
              -keystore tunnel.p12 -storepass changeit, then -Djavax.net.ssl.trustStore=tunnel.p12

SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE take the place of the public authorities.
A client that also calls other hosts needs a file with both:

  cat /etc/ssl/certs/ca-certificates.crt {certificate} > all.pem

They reach the gateway by HTTPS_PROXY=http://any:TOKEN@GATEWAY:8585 (Ruby's Net::HTTP reads
http_proxy instead, for https:// too)."""


def tunnel_ca(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are written.")],
    config: ConfigOption = None,
) -> None:
    """Make a CA for [tunnel], and say how clients trust it.

    Its certificate can sign for the hosts of upstream.url and upstream.file_hosts only: those of
    the configuration, or without one the default.
    """
    known = config is not None or path_of(config).exists()
    upstream = (load_or_exit(config).settings if known else Settings()).upstream
    certificate, key = directory / CERTIFICATE, directory / KEY
    hosts = list(dict.fromkeys(hosts_of(upstream)))
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        pem, private = new_authority(hosts)
        create(key, private, 0o600)
        create(certificate, pem, 0o644)
    except OSError as error:
        typer.echo(f"error: {error.filename}: {error.strerror}; nothing is overwritten", err=True)
        raise typer.Exit(1) from None
    until = (datetime.now(UTC) + LIFE).strftime("%Y-%m-%d")
    typer.echo(f"A CA for {', '.join(hosts)}, until {until}. In gateway.toml:\n")
    typer.echo(f'[tunnel]\ncertificate = "{certificate}"\nkey = "{key}"\n')
    typer.echo(_TRUST.format(certificate=certificate))


def hosts_of(upstream: UpstreamSettings) -> Iterator[str]:
    """The host names and addresses that tunnels may lead to."""
    for url in (upstream.url, *(f"https://{host}" for host in upstream.file_hosts)):
        yield authority_of(url).host.decode("ascii").removesuffix(".").strip("[]")


def new_authority(hosts: Iterable[str]) -> tuple[bytes, bytes]:
    """A CA's certificate and its private key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "invopop-gateway tunnel CA")])
    public, now = key.public_key(), datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .add_extension(_constraints([general_name(host) for host in hosts]), critical=True)
        .add_extension(server_auth, critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def _constraints(names: list[x509.GeneralName]) -> x509.NameConstraints:
    """Only these hosts. A kind of name that is not permitted at all must be excluded by itself.

    A constraint says nothing of other kinds (RFC 5280 4.2.1.10): else any address would do.
    """
    permitted: list[x509.GeneralName] = []
    for name in names:
        if isinstance(name, x509.IPAddress):
            permitted.append(x509.IPAddress(ipaddress.ip_network(str(name.value))))
        else:
            permitted.append(name)
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(name, x509.IPAddress) for name in names):
        excluded = [
            x509.IPAddress(ipaddress.ip_network(everything)) for everything in ("0.0.0.0/0", "::/0")
        ]
    if not any(isinstance(name, x509.DNSName) for name in names):
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(permitted, excluded or None)
