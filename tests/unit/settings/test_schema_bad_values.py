"""Case 184: each wrong setting is refused, by its key path, with what would be right."""

from typing import Any

import pytest

ISSUER = """
[[issuers]]
issuer = "https://id.internal"
audience = "gateway"
"""
RS256 = ISSUER + 'algorithms = ["RS256"]\n'
JWKS = RS256 + 'jwks_file = "jwks.json"\n'
HASH = "sha256:" + "ab" * 32

# The text of gateway.toml, the key that is wrong, and a part of what is expected.
VALUES = [
    ("[audit]\nfile = true", "audit.file", 'or "stdout"'),
    ('[audit]\nfile = ""', "audit.file", "the path of a file"),
    ('[audit]\nwrite_before_forward = "yes"', "audit.write_before_forward", "true or false"),
    ('[tracing]\nendpoint = "otel:4318"', "tracing.endpoint", "http:// or https://"),
    ('[tracing]\nendpoint = "http://u:p@otel:4318"', "tracing.endpoint", "no user name"),
    ('[tracing]\nendpoint = "http://otel:4318/x?key=s"', "tracing.endpoint", "or query"),
    ("[tracing]\nsample_ratio = 1.5", "tracing.sample_ratio", "from 0 to 1"),
    ('[tracing]\nservice_name = ""', "tracing.service_name", "not empty"),
    ('[tracing]\nheaders = { "a b" = { env = "X" } }', 'tracing.headers."a b"', "header field"),
    ('[tracing]\nheaders = { x = "secret" }', "tracing.headers.x", "such as { env = "),
    ("[listen]\nport = 70000", "listen.port", "a port from 0 to 65535"),
    ("[listen]\nport = 0x" + "f" * 6000, "listen.port", "a port from 0 to 65535"),
    ("[listen]\nbody_timeout = 0x" + "f" * 6000, "listen.body_timeout", "a number of seconds"),
    ("[limits]\nmax_body = 0x" + "f" * 6000, "limits.max_body", "a number of bytes"),
    ("[listen]\nport = -1", "listen.port", "a port from 0 to 65535"),
    ("[listen]\nport = true", "listen.port", "a port from 0 to 65535"),
    ('[listen]\nport = "8585"', "listen.port", "a port from 0 to 65535"),
    ("[listen]\nport = 8585.0", "listen.port", "a port from 0 to 65535"),
    ('[listen]\nhost = ""', "listen.host", "an address such as"),
    ('[listen]\nhost = "127.0.0.1:80"', "listen.host", "without port"),
    ('[listen]\nhost = "300.1.1.1"', "listen.host", "an address such as"),
    ('[admin]\nhost = "127.0.0.01"', "admin.host", "an address such as"),
    ('[listen]\nhost = "a b"', "listen.host", "an address such as"),
    ('[listen]\nhost = "a..b"', "listen.host", "an address such as"),
    (f'[listen]\nhost = "{"a" * 64}"', "listen.host", "an address such as"),
    (f'[listen]\nhost = "{"a." * 127}"', "listen.host", "an address such as"),
    ("[listen]\nheader_timeout = 0", "listen.header_timeout", "greater than 0"),
    ("[listen]\nbody_timeout = -1.5", "listen.body_timeout", "greater than 0"),
    ("[listen]\nwrite_timeout = nan", "listen.write_timeout", "a number of seconds"),
    ("[listen]\nidle_timeout = inf", "listen.idle_timeout", "at most a year"),
    ('[listen]\nidle_timeout = "75"', "listen.idle_timeout", "a number of seconds"),
    ("[listen]\ndrain_delay = -0.1", "listen.drain_delay", "at least 0"),
    ("[listen]\ndrain_timeout = true", "listen.drain_timeout", "a number of seconds"),
    ("[listen]\nreuse_port = 1", "listen.reuse_port", "true or false"),
    ('[listen]\nsocket_mode = "0888"', "listen.socket_mode", '"0660"'),
    ("[listen]\nsocket_mode = 660", "listen.socket_mode", "octal"),
    ('[listen]\nplaceholder_tokens = "x"', "listen.placeholder_tokens", "a list"),
    ('[listen]\nplaceholder_tokens = ["a b"]', "listen.placeholder_tokens[0]", "visible ASCII"),
    ('[listen]\nclient_ca = ""', "listen.client_ca", "the path of a file"),
    ('[admin]\nstatus_networks = ["10.0.0.1/8"]', "admin.status_networks[0]", '"10.0.0.0/8"'),
    ('[admin]\nstatus_networks = ["fe80::%eth0/64"]', "admin.status_networks[0]", "without a zone"),
    ('[callers.a]\nnetworks = ["fe80::1%eth0"]', "callers.a.networks[0]", "without a zone"),
    ('[upstream]\nurl = "http://api.invopop.com"', "upstream.url", "https://"),
    ('[upstream]\nurl = "https://u:p@api.invopop.com"', "upstream.url", "user name"),
    ('[upstream]\nurl = "https://api.invopop.com/v1"', "upstream.url", "no path"),
    ('[upstream]\nurl = "https://api.invopop.com//"', "upstream.url", "no path"),
    ('[upstream]\nurl = "https://api.invopop.com?a=b"', "upstream.url", "query"),
    ('[upstream]\nurl = "https://api.invopop.com/?"', "upstream.url", "query"),
    ('[upstream]\nurl = "https://api.invopop.com#x"', "upstream.url", "fragment"),
    ('[upstream]\nurl = "https://"', "upstream.url", "with a host"),
    ('[upstream]\nurl = "https://api.invopop.com:0"', "upstream.url", "a port"),
    ('[upstream]\nurl = "https://api.invopop.com:65536"', "upstream.url", "a port"),
    ('[upstream]\nurl = "https://api.invopop.com\\n.evil"', "upstream.url", "with a host"),
    ('[upstream]\nurl = "https://a..b"', "upstream.url", "with a host"),
    ('[upstream]\nurl = "https://.a"', "upstream.url", "with a host"),
    ('[upstream]\nurl = "https://[::1"', "upstream.url", "with a host"),
    ('[upstream]\nurl = "https://[1:2]"', "upstream.url", "with a host"),
    ('[upstream]\nproxy = "https://egress:3128"', "upstream.proxy", "http://"),
    ('[upstream]\nproxy = "http://u:p@egress:3128"', "upstream.proxy", "user name"),
    ("[upstream]\nmax_connections = 0", "upstream.max_connections", "at least 1"),
    ("[upstream]\nmax_retries = 11", "upstream.max_retries", "0 to 10"),
    ('[upstream]\nretry_methods = ["GET", "POST"]', "upstream.retry_methods[1]", "idempotent"),
    ("[upstream]\ncircuit_failure_ratio = 1.1", "upstream.circuit_failure_ratio", "0 to 1"),
    ("[upstream]\ncircuit_failure_ratio = nan", "upstream.circuit_failure_ratio", "0 to 1"),
    ("[upstream]\ncircuit_open_for = 0", "upstream.circuit_open_for", "greater than 0"),
    ('[vault]\nstrict = "false"', "vault.strict", "true or false"),
    ("[vault]\nrefresh = 0", "vault.refresh", "greater than 0"),
    (
        '[vault.openbao]\nurl = "http://bao:8200"\ntoken = { env = "T" }',
        "vault.openbao.url",
        "http",
    ),
    ('[vault.openbao]\nurl = "https://bao"', "vault.openbao", "exactly one of token"),
    ('[vault.azure]\nvault_url = "ftp://x"', "vault.azure.vault_url", "https://"),
    ("[vault.gcp]", "vault.gcp.project", "required"),
    ('[limits]\nmax_body = "32M"', "limits.max_body", '"32MiB"'),
    ("[limits]\nmax_body = -1", "limits.max_body", "a number of bytes"),
    ("[limits]\nmax_body = true", "limits.max_body", "a number of bytes"),
    ("[limits]\nmax_header_bytes = 100", "limits.max_header_bytes", "1KiB"),
    ("[limits]\nmax_headers = 0", "limits.max_headers", "at least 1"),
    ("[limits]\nmax_in_flight = 0", "limits.max_in_flight", "at least 1"),
    ("[limits]\nrequests_per_second = -1", "limits.requests_per_second", "at least 0"),
    ("[limits]\nburst = 1.5", "limits.burst", "a whole number"),
    ('[limits]\nstorage = "http://redis"', "limits.storage", "redis://"),
    ('[limits]\nstorage = "redis://:pw@redis"', "limits.storage", "storage_password"),
    ('[limits]\non_storage_failure = "ajar"', "limits.on_storage_failure", "'open' or 'closed'"),
    ("[metrics]\nmax_series = 0", "metrics.max_series", "at least 1"),
    ('[log]\nlevel = "loud"', "log.level", "'debug', 'info', 'warning' or 'error'"),
    ('[log]\nformat = "xml"', "log.format", "'json' or 'console'"),
    ("[log]\nsample_success = 2", "log.sample_success", "0 to 1"),
    ("listen = 5\n[log]", "listen", "a table"),
    ("issuers = 5\n[log]", "issuers", "[[issuers]]"),
    ("[issuers]", "issuers", "[[issuers]]"),
    ("callers = []", "callers", "[callers.NAME]"),
    ('[callers]\nbilling = "x"', "callers.billing", "a table"),
    ('[callers.""]', 'callers.""', "printable characters"),
    ('[callers."a\\nb"]', 'callers."a\\nb"', "printable characters"),
]

CALLERS = [
    ('tokens = ["sha256:abc"]', "tokens[0]", "64 hex digits"),
    (f'tokens = ["{"ab" * 32}"]', "tokens[0]", '"sha256:"'),
    (f'tokens = ["sha1:{"ab" * 32}"]', "tokens[0]", '"sha256:"'),
    (f'tokens = [{{ hash = "{"zz" * 32}" }}]', "tokens[0].hash", "64 hex digits"),
    (f'tokens = [{{ hash = "{HASH}", expires = "2027-01-31" }}]', "tokens[0].expires", "a date"),
    (f'tokens = [{{ hash = "{HASH}", expires = 2027-01-31T00:00:00Z }}]', "tokens[0].expires", ""),
    ("tokens = [{ expires = 2027-01-31 }]", "tokens[0].hash", "required"),
    ('networks = ["10.0.0.0/33"]', "networks[0]", "a network such as"),
    ('networks = ["10.0.0.1/8"]', "networks[0]", '"10.0.0.0/8"'),
    ('networks = ["::ffff:10.0.0.0/104"]', "networks[0]", "10.0.0.0/8"),
    ('networks = ["unix:root"]', "networks[0]", '"unix:1000"'),
    ('networks = ["localhost"]', "networks[0]", "a network such as"),
    ('certificates = [""]', "certificates[0]", "visible ASCII"),
    ('tenants = ["other"]', "tenants[0]", "not `other`"),
    ('tenants = ["-acme"]', "tenants[0]", "a tenant's name"),
    ('tenants = ["ac/me"]', "tenants[0]", "a tenant's name"),
    ('tenants = "acme"', "tenants", "a list"),
    ('issuers = ["https://id.internal"]', "issuers[0]", "`issuer` of one of [[issuers]]"),
    ('certificates = ["spiffe://a"]', "certificates", "a CA to verify them by"),
    ("enforce = 0", "enforce", "true or false"),
    ("allow = [1]", "allow[0]", "not empty"),
    ("requests_per_second = nan", "requests_per_second", "requests per second"),
    ("burst = -1", "burst", "at least 0"),
]


def only(problems: Any) -> Any:
    """The one problem that there must be."""
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(("gateway", "key", "expected"), VALUES)
def test_wrong_value(workshop: Any, gateway: str, key: str, expected: str) -> None:
    """Case 184: a value that its setting cannot have is the one problem, at its key."""
    problem = only(workshop.problems(gateway))
    assert (problem.file, problem.key) == (str(workshop.gateway), key)
    assert expected in problem.expected
    assert problem.found


@pytest.mark.parametrize(("member", "key", "expected"), CALLERS)
def test_wrong_caller(workshop: Any, member: str, key: str, expected: str) -> None:
    """Case 184: a caller that is written wrong is refused at the wrong member."""
    problem = only(workshop.problems(f"[callers.billing]\n{member}\n"))
    assert problem.key == f"callers.billing.{key}"
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("gateway", "key", "nearest"),
    [
        ("[lisen]", "lisen", "`listen`"),
        ("[listen]\nprot = 1", "listen.prot", "`port`"),
        ("[callers.billing]\ntoken = 1", "callers.billing.token", "`tokens`"),
        (f'[callers.b]\ntokens = [{{ hash = "{HASH}", expire = 1 }}]', "callers.b.tokens[0].expire",
         "`expires`"),
        ('[vault.openbao]\nurl = "https://b"\nkubernetes = { role = "r", jwtfile = "x" }',
         "vault.openbao.kubernetes.jwtfile", "`jwt_file`"),
        (JWKS + 'audiense = "x"', "issuers[0].audiense", "`audience`"),
        ('[limits]\nstorage = "redis://r"\nstorage_password = { evn = "x", env = "X" }',
         "limits.storage_password.evn", "`env`"),
    ],
)  # fmt: skip
def test_unknown_key(workshop: Any, gateway: str, key: str, nearest: str) -> None:
    """An unknown key is an error that names the nearest known one, at any depth."""
    problem = only(workshop.problems(gateway))
    assert (problem.key, problem.found) == (key, "an unknown key")
    assert nearest in problem.expected


def test_all_problems_at_once(workshop: Any) -> None:
    """One run tells everything: both files, each section, values and rules, the environment."""
    gateway = """
bogus = 1
[listen]
port = 70000
tls_key = "k"
[upstream]
ca_only = true
[[issuers]]
issuer = "https://a"
audience = "b"
algorithms = ["HS256", "RS256"]
[callers.billing]
enforce = "no"
issuers = ["https://b"]
"""
    environ = {"INVOPOP_GATEWAY__ADMIN__PORT": "x", "INVOPOP_GATEWAY__NO": "1"}
    problems = workshop.problems(gateway, "[tenants.acme]\n[tenants.other]\n", environ)
    assert [problem.key for problem in problems] == [
        "bogus",
        "listen.port",
        "INVOPOP_GATEWAY__ADMIN__PORT",
        "callers.billing.enforce",
        "listen.tls_certificate",
        "upstream.ca_only",
        "issuers[0]",
        "issuers[0].algorithms",
        "callers.billing.issuers[0]",
        "INVOPOP_GATEWAY__NO",
        "tenants.acme.key",
        "tenants.other",
        "tenants.other.key",
    ]


def test_one_mistake_is_told_once(workshop: Any) -> None:
    """Rules keep silent about settings that are wrong themselves."""
    gateway = '[listen]\nport = "x"\n[admin]\nport = 8585\n[callers.a]\ntokens = ["x"]\n'
    problems = workshop.problems(gateway)
    assert [problem.key for problem in problems] == ["listen.port", "callers.a.tokens[0]"]
