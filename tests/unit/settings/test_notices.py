"""What is allowed but probably not meant is warned of, and only that."""

from typing import Any

import pytest

BILLING = '[callers.billing]\ntenants = ["acme"]\n'
TOKEN = f'tokens = ["sha256:{"ab" * 32}"]\n'


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
        BILLING + '[[issuers]]\nissuer = "i"\naudience = "a"\nalgorithms = ["EdDSA"]\n'
        'public_key_file = "k.pem"\n',
    ],
)
def test_nothing_to_warn_of(workshop: Any, gateway: str) -> None:
    """A sensible configuration is silent."""
    assert workshop.load(gateway).warnings == ()
