"""`certificates`: the caller behind a verified client certificate."""

import pytest

from gateway.identity.certificates import Certificates
from gateway.model import Peer

CALLERS = {
    "billing": ["spiffe://prod/billing", "billing.internal"],
    "ledger": ["spiffe://prod/ledger"],
}
SANS: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...] | None, str | None]] = {
    "URI": (("spiffe://prod/billing",), (), "billing"),
    "DNS": ((), ("billing.internal",), "billing"),
    "one of several": (("https://x", "spiffe://prod/ledger"), ("x.internal",), "ledger"),
    "two names of one caller": (("spiffe://prod/billing",), ("billing.internal",), "billing"),
    "two callers": (("spiffe://prod/billing", "spiffe://prod/ledger"), (), None),
    "two callers, two kinds": (("spiffe://prod/ledger",), ("billing.internal",), None),
    "prefix": (("spiffe://prod/billin",), (), None),
    "longer": (("spiffe://prod/billing/x",), (), None),
    "case": (("spiffe://prod/Billing",), (), None),
    "trailing dot": ((), ("billing.internal.",), None),
    "wildcard": ((), ("*.internal",), None),
    "URI as DNS": ((), ("spiffe://prod/billing",), None),
    "DNS as URI": (("billing.internal",), (), None),
    "nothing": ((), (), None),
    "no certificate": (None, None, None),
}


@pytest.mark.parametrize("name", SANS)
def test_names(name: str) -> None:
    """A name matches whole, in its own kind; a certificate of two callers is nobody's."""
    uris, dns_names, caller = SANS[name]
    assert Certificates(CALLERS).find(Peer("10.0.0.1", None, uris, dns_names)) == caller
