"""Where an origin's URL leads, and what `Host` says of it."""

import pytest

from gateway.upstream.target import Authority, authority_of


@pytest.mark.parametrize(
    ("url", "authority", "field"),
    [
        ("https://api.invopop.com", Authority(b"api.invopop.com", 443), b"api.invopop.com"),
        (
            "https://API.invopop.com:8443/",
            Authority(b"api.invopop.com", 8443),
            b"api.invopop.com:8443",
        ),
        ("https://[::1]:8443", Authority(b"[::1]", 8443), b"[::1]:8443"),
        ("https://[::1]", Authority(b"[::1]", 443), b"[::1]"),
    ],
)
def test_authority_of(url: str, authority: Authority, field: bytes) -> None:
    """Case 66: `Host` is the upstream's, with its port if that is not 443."""
    assert authority_of(url) == authority
    assert authority.host_field == field


@pytest.mark.parametrize("url", ["http://api.invopop.com", "api.invopop.com", "https://"])
def test_only_https_is_spoken(url: str) -> None:
    """There is no way to send a key over plain HTTP."""
    with pytest.raises(ValueError, match="https"):
        authority_of(url)
