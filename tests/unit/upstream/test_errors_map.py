"""Every way an attempt fails has a kind, a key, and an answer: foreign exceptions included."""

import inspect
import ssl
from typing import get_args

import httpx
import pytest

from gateway.errors import KINDS as KEYS
from gateway.errors import CallerError, GatewayFault, UpstreamError, UpstreamErrorKind
from gateway.upstream.errors_map import KINDS, failure, mapped

FOREIGN = [
    (httpx.ConnectError("x"), "connect", False),
    (httpx.ConnectTimeout("x"), "connect_timeout", False),
    (httpx.ReadTimeout("x"), "read_timeout", True),
    (httpx.WriteTimeout("x"), "write_timeout", True),
    (httpx.ReadError("x"), "closed", True),
    (httpx.WriteError("x"), "closed", True),
    (httpx.CloseError("x"), "closed", True),
    (httpx.ProxyError("x"), "proxy", False),
    (httpx.RemoteProtocolError("x"), "protocol", True),
    (httpx.DecodingError("x"), "protocol", True),
    (httpx.TooManyRedirects("x"), "protocol", True),
    (ssl.SSLError("x"), "tls", True),
    (ConnectionResetError("x"), "closed", True),
    (TimeoutError("x"), "read_timeout", True),
]


@pytest.mark.parametrize(("error", "kind", "sent"), FOREIGN, ids=repr)
def test_foreign_exceptions(error: Exception, kind: UpstreamErrorKind, sent: bool) -> None:
    """Case 116: `sent` is false only where certainly nothing left."""
    ours = mapped(error)
    assert isinstance(ours, UpstreamError)
    assert (ours.kind, ours.key, ours.sent) == (kind, KINDS[kind], sent)


def test_no_exception_of_httpx_is_forgotten() -> None:
    """Case 116: each has an answer with a key of ours."""
    for _, kind in inspect.getmembers(httpx, inspect.isclass):
        if issubclass(kind, Exception) and kind is not httpx.HTTPStatusError:
            made = kind.__new__(kind)
            assert mapped(made).key in KEYS


def test_a_full_pool_is_overload() -> None:
    """It is the gateway's own, and passes: 503 with Retry-After."""
    ours = mapped(httpx.PoolTimeout("x"))
    assert isinstance(ours, GatewayFault)
    assert (ours.key, ours.headers) == ("overloaded", [(b"retry-after", b"1")])


def test_a_certificate_that_fails_is_a_tls_error() -> None:
    """httpx hides it in a ConnectError's cause."""
    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError("secret")
    assert mapped(error).key == "upstream_tls_error"


def test_our_own_errors_stay_as_they_are() -> None:
    """A caller's error met while its body was read is still the caller's."""
    for error in (CallerError("request_timeout"), failure("dns", sent=False)):
        assert mapped(error) is error


def test_no_text_crosses() -> None:
    """Case 171: exception texts quote headers and addresses."""
    error = mapped(httpx.LocalProtocolError("Illegal header value b'Bearer KEY'"))
    assert error.key == "internal_error"
    assert "KEY" not in f"{error!r}{error}{error.detail}"


def test_each_kind_has_a_key_with_a_5xx() -> None:
    """The closed list."""
    assert set(KINDS) == set(get_args(UpstreamErrorKind))
    assert all(KEYS[key].status in {502, 504} for key in KINDS.values())
