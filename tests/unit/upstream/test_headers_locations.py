"""Where a redirect leads callers: back through the gateway, or where it said."""

import pytest

from gateway.upstream.reply_headers import relative_location

HOST = b"api.invopop.com"


@pytest.mark.parametrize(
    ("location", "relative"),
    [
        (b"https://api.invopop.com/a?b#c", b"/a?b#c"),
        (b"HTTPS://API.invopop.com:443/a", b"/a"),
        (b"//api.invopop.com/a", b"/a"),
        (b"https://api.invopop.com:/a", b"/a"),
        (b"https://api.invopop.com", b"/"),
        (b"https://api.invopop.com?x", b"/?x"),
        (b"https://api.invopop.com#f", b"/#f"),
        (b"https://api.invopop.com/a?u=//x\\y", b"/a?u=//x\\y"),
    ],
)
def test_a_location_on_the_upstream_becomes_relative(location: bytes, relative: bytes) -> None:
    """Callers follow it through the gateway again."""
    assert relative_location(location, HOST) == relative


@pytest.mark.parametrize(
    "location",
    [
        b"/a",
        b"a/b",
        b"",
        b"http://api.invopop.com/a",
        b"https://api.invopop.com:8443/a",
        b"https://api.invopop.com.evil.com/a",
        b"https://u:p@api.invopop.com/a",
        b"https://evil.test/",
        b"//evil",
        b"https://api.invopop.com//evil.com",
        b"https://api.invopop.com/\\evil.com",
        b"https://api.invopop.com/a\\b",
        b"https://api.invopop.com/\t/evil.com",
    ],
)
def test_any_other_location_stays(location: bytes) -> None:
    """Case 65: verbatim, also where a relative form would be read as an authority."""
    assert relative_location(location, HOST) == location
