"""What is allowed but probably not meant is warned of, and only that."""

import hashlib
from typing import Any

import pytest

from gateway.settings.notices import is_invopop, notices
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile

BILLING = '[callers.billing]\ntenants = ["acme"]\n'
TOKEN = f'tokens = ["sha256:{"ab" * 32}"]\n'
ISSUER = '[[issuers]]\nissuer = "i"\naudience = "a"\nalgorithms = ["EdDSA"]\njwks_file = "j"\n'
SANDBOX = '[upstream]\nurl = "https://sandbox.internal"\n'
PUBLIC = "sha256:" + hashlib.sha256(b"igw_sandbox-billing-public-by-design").hexdigest()


@pytest.mark.parametrize(
    ("gateway", "warning"),
    [
        ("[log]\n", "callers: there are none"),
        (BILLING, "callers.billing: has no token, issuer, network or certificate"),
        (BILLING + "issuers = []\n", "callers.billing: has no token"),
        ("[callers.billing]\n" + TOKEN, "callers.billing: has no tenants"),
        (BILLING + 'networks = ["unix"]\n', 'network "unix" never matches'),
        (BILLING + 'networks = ["0.0.0.0/0"]\n', "everyone who reaches the port"),
        (BILLING + 'networks = ["::/0"]\n', "everyone who reaches the port"),
        (BILLING + TOKEN + "burst = 5\n", "callers.billing: burst has no effect"),
        (BILLING + TOKEN + "[limits]\nburst = 5\n", "limits.burst: has no effect"),
        (
            BILLING + 'networks = ["10.0.0.0/8"]\n[listen]\nsocket = "s"\n',
            'network "10.0.0.0/8" never matches',
        ),
        (BILLING + TOKEN + '[listen]\nhost = "0.0.0.0"\n', "listen.host: callers' tokens"),
        (BILLING + TOKEN + '[listen]\nhost = "10.0.0.1"\n', "listen.host: callers' tokens"),
        (BILLING + ISSUER + '[listen]\nhost = "::"\n', "listen.host: callers' tokens"),
        (BILLING + TOKEN + '[admin]\nhost = "0.0.0.0"\n', "admin.host: open on every address"),
        (BILLING + TOKEN + '[admin]\nhost = "::"\n', "admin.host: open on every address"),
        (BILLING + TOKEN + '[admin]\nstatus_networks = ["0.0.0.0/0"]\n', "to everyone"),
        (BILLING + TOKEN + '[admin]\nstatus_networks = ["::/0"]\n', "to everyone"),
        (BILLING + 'networks = ["128.0.0.0/1"]\n', "a large part of everyone who reaches"),
        (BILLING + TOKEN + '[admin]\nhost = "0:0::0"\n', "admin.host: open on every address"),
        (BILLING + TOKEN + '[admin]\nhost = "::ffff:0.0.0.0"\n', "admin.host: open on every"),
        (BILLING + TOKEN + '[admin]\nstatus_networks = ["128.0.0.0/1"]\n', "a large part"),
        (BILLING + TOKEN + '[admin]\nstatus_networks = ["2000::/3"]\n', "a large part"),
        (BILLING + ISSUER + "jwks_refresh = 3000000.0\n", "issuers[0].jwks_refresh: 3e+06 s is"),
        (BILLING + ISSUER + "max_token_age = 0.01\n", "issuers[0].max_token_age: 0.01 s is short"),
        (BILLING + TOKEN + "[vault]\nstale_grace = 6000000.0\n", "vault.stale_grace"),
        (BILLING + TOKEN + "[upstream]\nconnect_timeout = 5000.0\n", "not milliseconds"),
        (BILLING + TOKEN + "[listen]\nidle_timeout = 75000.0\n", "not milliseconds"),
        (BILLING + TOKEN + "[listen]\nheader_timeout = 0.01\n", "is short; times are seconds"),
        (BILLING + TOKEN + "[limits]\nmax_body = 32\n", "32 bytes is little"),
        (f'[callers.billing]\ntenants = ["acme"]\ntokens = ["{PUBLIC}"]\n', "everybody knows"),
    ],
)
def test_warning(workshop: Any, gateway: str, warning: str) -> None:
    """Each of these starts, with one warning that names it."""
    (text,) = workshop.load(gateway).warnings
    assert warning in text


@pytest.mark.parametrize(
    "gateway",
    [
        BILLING + TOKEN,
        BILLING + TOKEN + "requests_per_second = 1.0\nburst = 5\n[limits]\nburst = 0\n",
        BILLING + 'networks = ["127.0.0.1/32"]\n',
        BILLING + 'networks = ["unix:1000"]\n[listen]\nsocket = "s"\n',
        BILLING + 'networks = ["10.0.0.0/8"]\n[listen]\nhost = "0.0.0.0"\nport = 1\n',
        BILLING + TOKEN + '[admin]\nstatus_networks = ["10.0.0.0/8", "fc00::/7", "17.0.0.0/8"]\n',
        BILLING + TOKEN + '[listen]\nhost = "::1"\n',
        BILLING + TOKEN + '[listen]\nhost = "localhost"\n',
        BILLING + TOKEN + "[listen]\ndrain_timeout = 0.0\n[limits]\nmax_body = 0\n",
        f'[callers.billing]\ntenants = ["acme"]\ntokens = ["{PUBLIC}"]\n' + SANDBOX,
        BILLING + '[[issuers]]\nissuer = "i"\naudience = "a"\nalgorithms = ["EdDSA"]\n'
        'public_key_file = "k.pem"\n',
    ],
)
def test_nothing_to_warn_of(workshop: Any, gateway: str) -> None:
    """A sensible configuration is silent."""
    assert workshop.load(gateway).warnings == ()


@pytest.mark.parametrize(
    ("name", "may_match"),
    [
        ("spiffe://prod/billing", True),
        ("urn:uuid:1", True),
        ("billing.internal", True),
        ("billing", True),
        ("*.internal", True),
        ("CN=billing", False),
        ("DNS:billing.internal", False),
        ("URI:spiffe://prod/billing", False),
        ("10.0.0.1", False),
        ("fd00::1", False),
        ("billing@internal", False),
        ("/CN=billing", False),
    ],
)
def test_certificates_that_can_never_match(name: str, may_match: bool) -> None:
    """Only URIs and DNS names of a certificate are compared, and only as they stand in it."""
    settings = Settings.model_validate(
        {"callers": {"billing": {"certificates": [name], "tenants": ["acme"]}}}
    )
    texts = [text for text in notices(settings, VaultFile(tenants={})) if "never matches" in text]
    assert bool(texts) is not may_match


@pytest.mark.parametrize(
    ("url", "real"),
    [
        ("https://api.invopop.com", True),
        ("https://api.invopop.com.", True),
        ("https://api.invopop.com:444", True),
        ("https://api.notinvopop.com", False),
        ("https://invopop.com.example", False),
        ("https://localhost:8443", False),
    ],
)
def test_what_is_invopop(url: str, real: bool) -> None:
    """The company's own hosts, nothing that only looks like them."""
    assert is_invopop(url) is real
