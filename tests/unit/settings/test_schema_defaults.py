"""What holds where the operator says nothing, and what a full example comes out as."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.callers import CallerToken
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings

DEFAULTS: dict[str, dict[str, Any]] = {
    "listen": {
        "host": "127.0.0.1",
        "port": 8585,
        "socket": None,
        "socket_mode": "0660",
        "reuse_port": False,
        "placeholder_tokens": (),
        "host_names": (),
        "header_timeout": 10.0,
        "body_timeout": 15.0,
        "write_timeout": 30.0,
        "min_rate": 240,
        "idle_timeout": 75.0,
        "drain_delay": 0.0,
        "drain_timeout": 25.0,
    },
    "admin": {"host": "127.0.0.1", "port": 9585, "status_networks": ()},
    "upstream": {
        "url": "https://api.invopop.com",
        "ca_file": None,
        "ca_only": False,
        "proxy": None,
        "connect_timeout": 5.0,
        "read_timeout": 75.0,
        "max_connections": 256,
        "max_retries": 2,
        "retry_methods": ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"),
        "circuit_failure_ratio": 0.5,
        "circuit_open_for": 5.0,
    },
    "vault": {
        "strict": True,
        "refresh": 300.0,
        "stale_grace": 1800.0,
        "negative_ttl": 30.0,
        "max_discovered": 1_000_000,
    },
    "limits": {
        "max_body": 32 * 1024 * 1024,
        "max_header_bytes": 32768,
        "max_headers": 128,
        "max_in_flight": 1024,
        "max_in_flight_per_tenant": 0,
        "requests_per_second": 0.0,
        "burst": 0,
        "storage": None,
    },
    "metrics": {"max_series": 20000},
    "log": {"level": "info", "format": "json", "sample_success": 1.0},
    "audit": {"file": None, "write_before_forward": False},
    "tracing": {
        "endpoint": None,
        "sample_ratio": 1.0,
        "service_name": "invopop-gateway",
        "ca_file": None,
        "headers": {},
    },
}

EXAMPLE = f"""
[listen]
placeholder_tokens = ["unused"]
host_names = ["gw.corp.example"]
client_ca = "ca.pem"
tls_certificate = "tls/cert.pem"
tls_key = "/etc/tls/key.pem"
[admin]
status_networks = ["10.0.0.0/8"]
[upstream]
url = "https://API.invopop.com:8443/"
proxy = "http://egress:3128"
connect_timeout = 5
[[issuers]]
issuer = "https://id.internal"
audience = "invopop-gateway"
algorithms = ["RS256"]
jwks_file = "jwks.json"
tenant_claim = "tenant"
[callers.billing]
tokens = ["sha256:{"A1" * 32}", {{ hash = "sha256:{"b2" * 32}", expires = 2027-01-31 }}]
issuers = ["https://id.internal"]
networks = ["127.0.0.1", "10.1.0.0/16", "unix", "unix:1000", "2001:DB8::/32"]
certificates = ["spiffe://prod/billing"]
tenants = ["acme", "globex-*"]
allow = ["silo.*", "transform.jobs.create", "GET /access/**"]
deny = []
enforce = true
[limits]
max_body = "10MB"
storage = "redis://127.0.0.1:6379/0"
storage_password = {{ env = "REDIS_PASSWORD" }}
"""
VAULT = """
[tenants.acme]
key = { env = "ACME_INVOPOP_KEY" }
previous = { file = "secrets/acme-old", field = "api_key" }
workspace = "5b45453c-cdd0-11ed-afa1-0242ac120002"
[tenants.globex]
key = { aws = "invopop/globex", field = "api_key" }
[discover]
key = { aws = "invopop/{tenant}" }
"""


@pytest.fixture
def example(workshop: Any) -> Loaded:
    """The example above, loaded."""
    loaded: Loaded = workshop.load(EXAMPLE, VAULT)
    return loaded


@pytest.mark.parametrize("section", DEFAULTS)
def test_documented_default(section: str) -> None:
    """A setting that is left out has the value that the reference shows."""
    table = getattr(Settings(), section)
    assert {name: getattr(table, name) for name in DEFAULTS[section]} == DEFAULTS[section]


def test_issuer_defaults(example: Loaded) -> None:
    """An issuer that says only the necessary gets the documented rest."""
    issuer = example.settings.issuers[0]
    assert (issuer.leeway, issuer.caller_claim, issuer.tenant_claim_required) == (5.0, "sub", True)
    assert (issuer.jwks_refresh, issuer.jwks_max_stale) == (300.0, 86400.0)
    assert (issuer.max_token_bytes, issuer.max_token_age) == (8192, None)


def test_caller_defaults(workshop: Any) -> None:
    """A caller that says nothing may use every operation of no tenant, and proves nothing."""
    caller = workshop.load("[callers.billing]\n").settings.callers["billing"]
    assert caller.allow is None
    assert caller.issuers is None
    assert caller.enforce is True
    assert caller.tokens == caller.networks == caller.certificates == caller.tenants == ()


def test_paths_are_relative_to_the_file_that_names_them(example: Loaded, tmp_path: Path) -> None:
    """A relative path is looked for beside the file that names it, an absolute one where it is."""
    assert example.settings.listen.client_ca == tmp_path / "ca.pem"
    assert example.settings.listen.tls_certificate == tmp_path / "tls/cert.pem"
    assert example.settings.listen.tls_key == Path("/etc/tls/key.pem")
    assert example.settings.issuers[0].jwks_file == tmp_path / "jwks.json"
    assert example.vault_path == example.settings.vault.file == tmp_path / "vault.toml"
    assert example.file == tmp_path / "gateway.toml"


def test_vault_paths_are_relative_to_the_vault_file(workshop: Any, tmp_path: Path) -> None:
    """A vault in another directory names its key files from there."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "v.toml").write_text('[tenants.acme]\nkey = { file = "../k/acme" }\n')
    loaded = workshop.load('[vault]\nfile = "keys/v.toml"\n')
    assert loaded.vault.tenants["acme"].key.file == tmp_path / "keys" / "../k/acme"


def test_values_come_out_in_one_form(example: Loaded) -> None:
    """URLs, networks, sizes and token hashes are normalised, whatever form they were written in."""
    settings = example.settings
    assert settings.upstream.url == "https://api.invopop.com:8443"
    assert settings.upstream.connect_timeout == 5.0
    assert settings.limits.max_body == 10_000_000
    caller = settings.callers["billing"]
    assert caller.networks == ("127.0.0.1/32", "10.1.0.0/16", "unix", "unix:1000", "2001:db8::/32")
    assert [token.hash for token in caller.tokens] == ["a1" * 32, "b2" * 32]
    assert caller.tokens[1].expires == date(2027, 1, 31)


def test_key_sources_say_their_kind(example: Loaded) -> None:
    """A key source describes itself without any secret."""
    acme = example.vault.tenants["acme"]
    assert acme.previous is not None
    assert (acme.key.kind, acme.key.reference) == ("env", "ACME_INVOPOP_KEY")
    assert acme.key.describe() == "env ACME_INVOPOP_KEY"
    assert acme.previous.describe() == f"file {acme.previous.file}#api_key"
    assert example.vault.tenants["globex"].key.describe() == "aws invopop/globex#api_key"
    assert example.vault.discover is not None
    assert example.vault.discover.key.describe() == "aws invopop/{tenant}"


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ('"1B"', 1), ('"10KB"', 10_000), ('"64KiB"', 65536), ('"2 GiB"', 2**31)],
)
def test_sizes(workshop: Any, text: str, size: int) -> None:
    """A size is a number of bytes or a number with a unit: KB is 1000, KiB 1024."""
    assert workshop.load(f"[limits]\nmax_body = {text}\n").settings.limits.max_body == size


def test_settings_are_frozen(example: Loaded) -> None:
    """Nobody changes a setting once it is read."""
    with pytest.raises(ValueError, match="frozen"):
        example.settings.listen.port = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        example.vault.tenants["acme"].key.kind = "file"  # type: ignore[misc]


def test_a_token_made_in_code_is_its_digits() -> None:
    """Code may give the digest alone; only files must say what it is a hash of."""
    assert CallerToken(hash="0" * 64).hash == "0" * 64


def test_socket_permissions(workshop: Any) -> None:
    """The socket's mode is octal, as chmod reads it."""
    loaded = workshop.load('[listen]\nsocket = "run/gw.sock"\nsocket_mode = "600"\n')
    assert loaded.settings.listen.socket_permissions == 0o600
