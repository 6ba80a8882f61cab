"""Case 184: settings that cannot stand together, and those that can."""

from typing import Any

import pytest

ISSUER = """
[[issuers]]
issuer = "https://id.internal"
audience = "gateway"
"""
RS256 = ISSUER + 'algorithms = ["RS256"]\n'
HS256 = ISSUER + 'algorithms = ["HS256"]\n'
BAO = '[vault.openbao]\nurl = "https://bao"\ntoken = { env = "T" }\n'
JWKS = RS256 + 'jwks_file = "jwks.json"\n'
OTHER = JWKS.replace("id.internal", "id.example")
HASH = "sha256:" + "ab" * 32

# The text of gateway.toml, the key that is wrong, and a part of what is expected.
RULES = [
    ('[listen]\nsocket = "s"\nport = 1', "listen.port", "one of the two"),
    ('[listen]\nsocket = "s"\nhost = "::1"', "listen.host", "one of the two"),
    ('[listen]\nsocket = "s"\nreuse_port = false', "listen.reuse_port", "one of the two"),
    (f'[listen]\nsocket = "/{"s" * 107}"', "listen.socket", "107 bytes"),
    ('[listen]\ntls_key = "k"', "listen.tls_certificate", "as tls_key is set"),
    ('[listen]\ntls_certificate = "c"', "listen.tls_key", "as tls_certificate is set"),
    ('[listen]\nclient_ca = "c"', "listen.client_ca", "tls_certificate and tls_key"),
    ("[admin]\nport = 8585", "admin.port", "another port"),
    ("[upstream]\nca_only = true", "upstream.ca_only", "ca_file"),
    ('[upstream]\nurl = "https://localhost:8585"', "upstream.url", "Invopop's address"),
    ('[upstream]\nurl = "https://127.0.0.1:9585"', "upstream.url", "Invopop's address"),
    (
        '[listen]\nhost = "gw.internal"\nport = 443\n[upstream]\nurl = "https://gw.internal"',
        "upstream.url",
        "Invopop's address",
    ),
    (
        '[upstream]\nfile_hosts = ["api.invopop.com."]',
        "upstream.file_hosts[0]",
        "not that of upstream.url",
    ),
    (
        '[upstream]\nfile_hosts = ["a.example", "A.example:443"]',
        "upstream.file_hosts[1]",
        "each host once",
    ),
    ('[upstream]\nfile_hosts = ["localhost:9585"]', "upstream.file_hosts[0]", "a host of files"),
    ('[limits]\nstorage_password = { env = "P" }', "limits.storage_password", "storage"),
    ("[audit]\nwrite_before_forward = true", "audit.write_before_forward", "a file to write"),
    (
        '[audit]\nfile = "stdout"\nwrite_before_forward = true',
        "audit.write_before_forward",
        "a file to write",
    ),
    (
        '[tracing]\nendpoint = "http://o:4318"\nheaders = { x = { env = "X" } }',
        "tracing.headers",
        "an https:// endpoint",
    ),
    (RS256, "issuers[0]", "exactly one of jwks_file"),
    (JWKS + "discovery = true", "issuers[0]", "exactly one of jwks_file"),
    (ISSUER + 'algorithms = []\njwks_file = "j"', "issuers[0].algorithms", "not empty"),
    (ISSUER + 'algorithms = ["none"]\njwks_file = "j"', "issuers[0].algorithms[0]", "RS256"),
    (ISSUER + 'algorithms = ["rs256"]\njwks_file = "j"', "issuers[0].algorithms[0]", "RS256"),
    (ISSUER + 'jwks_file = "j"', "issuers[0].algorithms", "required"),
    (ISSUER + 'algorithms = ["RS256", "HS256"]\njwks_file = "j"', "issuers[0].algorithms", "one"),
    (ISSUER + 'algorithms = ["HS256"]\njwks_file = "j"', "issuers[0].algorithms", "public-key"),
    (RS256 + 'secret = { env = "S" }', "issuers[0].algorithms", "HS256"),
    (RS256 + 'secret = { aws = "s" }', "issuers[0].algorithms", "HS256"),
    (HS256 + 'secret = { openbao = "secret/id" }', "issuers[0].secret", "a table [vault.openbao]"),
    (HS256 + 'secret = { gcp = "id" }', "issuers[0].secret", "a table [vault.gcp]"),
    (HS256 + 'secret = { azure = "id" }', "issuers[0].secret", "a table [vault.azure]"),
    (HS256 + 'secret = { aws = "{tenant}" }', "issuers[0].secret", "no braces"),
    (HS256 + 'secret = { aws = "s" }\n[vault]\naws = 5', "vault.aws", "a table"),
    (HS256 + 'secret = { openbao = "s/id" }\n[vault]\nopenbao = 5', "vault.openbao", "a table"),
    (RS256 + 'jwks_url = "http://id.internal/jwks"', "issuers[0].jwks_url", "https://"),
    (JWKS.replace("https://", "").replace('jwks_file = "jwks.json"', "discovery = true"),
     "issuers[0].issuer", "an https:// URL"),
    (JWKS + 'jwks_ca_file = "ca"', "issuers[0].jwks_ca_file", "jwks_url or discovery"),
    (JWKS + 'jwks_bearer_file = "t"', "issuers[0].jwks_bearer_file", "jwks_url or discovery"),
    (JWKS + "tenant_claim_required = false", "issuers[0].tenant_claim_required", "one with it"),
    (JWKS + 'caller_claim = "a"\ncaller_template = "{a}"', "issuers[0].caller_claim", "one of"),
    (JWKS + 'max_token_bytes = 10', "issuers[0].max_token_bytes", "256"),
    (JWKS + JWKS, "issuers[1].issuer", "each issuer once"),
    (JWKS + OTHER + "[callers.billing]", "callers.billing.issuers", "as there are several"),
]  # fmt: skip


def only(problems: Any) -> Any:
    """The one problem that there must be."""
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(("gateway", "key", "expected"), RULES)
def test_settings_at_odds(workshop: Any, gateway: str, key: str, expected: str) -> None:
    """Case 184: settings that cannot stand together are one problem, told once."""
    problem = only(workshop.problems(gateway))
    assert problem.key == key
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("member", "index"),
    [
        (f'tokens = ["{HASH}"]', "tokens[0]"),
        ('networks = ["10.1.0.0/16"]', "networks[0]"),
        ('networks = ["unix:1000"]', "networks[0]"),
    ],
)
def test_proof_of_two_callers(workshop: Any, member: str, index: str) -> None:
    """Case 184: what would prove two callers is refused, and both are named."""
    gateway = f"[callers.billing]\n{member}\n[callers.silo]\n{member}\n[listen]\nsocket = 's'\n"
    problem = only(workshop.problems(gateway))
    assert problem.key == f"callers.silo.{index}"
    assert f"callers.billing.{index}" in problem.found


def test_equal_tokens_differ_in_case_and_form_only(workshop: Any) -> None:
    """Case 184: the same hash in other letters, or with an expiry, is the same token."""
    table = f'{{ hash = "sha256:{"AB" * 32}", expires = 2027-01-31 }}'
    problem = only(workshop.problems(f'[callers.billing]\ntokens = ["{HASH}", {table}]\n'))
    assert problem.key == "callers.billing.tokens[1]"


def test_empty_token(workshop: Any) -> None:
    """Case 184: the hash of nothing is no token."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    problem = only(workshop.problems(f'[callers.billing]\ntokens = ["sha256:{empty}"]\n'))
    assert problem.key == "callers.billing.tokens[0]"


@pytest.mark.parametrize(
    "gateway",
    [
        '[callers.a]\nnetworks = ["10.0.0.0/8"]\n[callers.b]\nnetworks = ["10.1.0.0/16"]\n',
        "[listen]\nport = 0\n[admin]\nport = 0\n",
        '[listen]\nsocket = "s"\n[admin]\nport = 8585\n',
        JWKS + "[callers.billing]",
        JWKS + OTHER + '[callers.billing]\nissuers = ["https://id.example"]\n',
        JWKS + OTHER + "[callers.billing]\nissuers = []\n",
        '[upstream]\nurl = "https://[::1]:9443"\n',
        '[limits]\nstorage = "memory://"\n',
        '[vault.openbao]\nurl = "http://127.0.0.1:8200"\ntoken = { file = "t" }\n',
        '[vault.openbao]\nurl = "https://bao/x"\nkubernetes = { role = "r" }\n',
        HS256 + 'secret = { openbao = "secret/id", field = "hmac" }\n' + BAO,
        HS256 + 'secret = { aws = "id" }\n',
        HS256 + 'secret = { gcp = "projects/1/secrets/id" }\n',
        HS256 + 'secret = { azure = "id" }\n[vault.azure]\nvault_url = "https://v.example"\n',
        "[log]\nsample_success = 0\n",
    ],
)
def test_sound(workshop: Any, gateway: str) -> None:
    """What is meant to be possible is not refused."""
    assert workshop.load(gateway)
