"""Every way in which an attempt fails has a kind, a key, and an answer."""

from typing import get_args

from gateway.errors import KINDS as KEYS
from gateway.errors import AttemptFailure
from gateway.upstream.failures import KINDS, overloaded


def test_a_full_pool_is_overload() -> None:
    """It is the gateway's own, and passes: 503 with Retry-After."""
    error = overloaded()
    assert (error.key, error.headers) == ("overloaded", [(b"retry-after", b"1")])


def test_each_kind_has_a_key_with_a_5xx() -> None:
    """The closed list."""
    assert set(KINDS) == set(get_args(AttemptFailure))
    assert all(KEYS[key].status in {502, 504} for key in KINDS.values())
