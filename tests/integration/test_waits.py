"""A request that waits is judged by what is in force when it is sent, not when its head came."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.caller import Connection
from tests.support.edited_gateway import Operated, replace
from tests.support.gateway import eventually, token_hash
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, VAULT, fields, request

OTHER = "igw_sentinel-token-of-billing-another-one-1"
LATER = fields("503 Later", "Retry-After: 4", "Content-Length: 0")


@pytest.fixture(scope="module")
def _operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with Operated(tmp_path_factory.mktemp("waiting")) as made:
        made.settings["upstream"]["max_connections"] = 1
        made.configure({})
        made.reload()
        made.take_baseline()
        yield made


@pytest.fixture
def operated(_operated: Operated) -> Iterator[Operated]:
    """A gateway with one connection to Invopop; afterwards its files are as before."""
    set_vault(
        _operated, {"acme": {"key": {"env": "TEST_KEY_A"}, "previous": {"env": "TEST_KEY_B"}}}
    )
    _operated.reload(times=2)
    yield _operated
    _operated.configure({})
    set_vault(_operated, {})
    _operated.reload(times=2)
    _operated.check_invariants()


def set_vault(operated: Operated, changes: dict[str, Any]) -> None:
    """The vault file with these tenants changed; None removes one."""
    tenants = {**VAULT["tenants"], **changes}
    listed = {name: entry for name, entry in tenants.items() if entry is not None}
    replace(operated.directory / "vault.toml", {"tenants": listed})


def tenant_removed(operated: Operated) -> None:
    """The tenant leaves the vault."""
    set_vault(operated, {"acme": None})


def caller_removed(operated: Operated) -> None:
    """The caller leaves the configuration."""
    operated.configure({}, "billing")


def token_removed(operated: Operated) -> None:
    """The caller stays, with another token."""
    operated.configure({"callers": {"billing": {"tokens": [token_hash(OTHER)]}}})


def grant_removed(operated: Operated) -> None:
    """The caller may no longer do this."""
    operated.configure({"callers": {"billing": {"deny": ["* /x"]}}})


def key_rotated(operated: Operated) -> None:
    """The tenant has another key, and not the old one."""
    set_vault(operated, {"acme": {"key": {"env": "TEST_KEY_B"}}})


def waiting_for_its_body(operated: Operated, change: Callable[[], None]) -> Connection:
    """The change comes between head and body."""
    connection = operated.connect()
    connection.send(request("PUT /x", "Content-Length: 3", token=TOK_A))
    eventually(lambda: operated.gateway.metric("requests_in_flight") == 1)
    change()
    connection.send(b"abc", lenient=True)
    return connection


def waiting_to_retry(operated: Operated, change: Callable[[], None]) -> Connection:
    """The change comes between two attempts."""
    operated.origin.answer(LATER)
    connection = operated.connect()
    connection.send(request("PUT /x", "Content-Length: 3", token=TOK_A, body=b"abc"))
    operated.origin.eventually_started(1)
    change()
    return connection


def waiting_for_a_connection(operated: Operated, change: Callable[[], None]) -> Connection:
    """The change comes while another tenant's request has the only connection."""
    with operated.origin.holding(fields("200 OK", "Content-Length: 2"), b"ok"):
        first, connection = operated.connect(), operated.connect()
        first.send(request("GET /first", token=TOK_B))
        operated.origin.eventually_started(1)
        connection.send(request("PUT /x", "Content-Length: 3", token=TOK_A, body=b"abc"))
        eventually(lambda: operated.gateway.metric("upstream_connections", state="waiting") == 1)
        change()
    assert first.reply().status == 200
    return connection


WAITS = [waiting_for_its_body, waiting_to_retry, waiting_for_a_connection]


def keys(operated: Operated) -> list[str]:
    """The keys that were shown with the waiting request."""
    return [
        str(seen.get("authorization")).removeprefix("Bearer ")
        for seen in operated.origin.requests
        if seen.target == b"/x"
    ]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize(
    ("removed", "status", "error"),
    [
        (tenant_removed, 403, "tenant_denied"),
        (caller_removed, 401, "unauthenticated"),
        (token_removed, 401, "unauthenticated"),
        (grant_removed, 403, "operation_denied"),
    ],
)
def test_what_was_removed_meanwhile_is_not_sent(
    operated: Operated,
    wait: Callable[[Operated, Callable[[], None]], Connection],
    removed: Callable[[Operated], None],
    status: int,
    error: str,
) -> None:
    """It is refused as one that came after the change; nothing more of it reaches Invopop."""

    def change() -> None:
        removed(operated)
        operated.reload(times=2)

    reply = wait(operated, change).reply("PUT", timeout=15)
    assert (reply.status, reply.get("x-gateway-error")) == (status, error)
    assert keys(operated) == ([KEY_A] if wait is waiting_to_retry else [])


@pytest.mark.parametrize("wait", WAITS)
def test_a_rotated_key_is_used_at_once(
    operated: Operated, wait: Callable[[Operated, Callable[[], None]], Connection]
) -> None:
    """It goes out with the key in force when it is sent, whole, and once for each attempt."""

    def change() -> None:
        key_rotated(operated)
        operated.reload(times=2)

    reply = wait(operated, change).reply("PUT", timeout=15)
    assert reply.status == 200
    assert keys(operated) == ([KEY_A, KEY_B] if wait is waiting_to_retry else [KEY_B])
    assert [seen.body for seen in operated.origin.requests if seen.target == b"/x"][-1] == b"abc"
    assert reply.get("x-gateway-attempts") == ("2" if wait is waiting_to_retry else None)


def test_a_removed_previous_key_is_not_tried(operated: Operated) -> None:
    """Invopop refuses the first key; `previous` leaves the vault while its attempt is in line."""
    refused, ok = (
        fields("401 Unauthorized", "Content-Length: 0"),
        fields("200 OK", "Content-Length: 2"),
    )
    with (
        operated.origin.holding(b"", refused) as first,
        operated.origin.holding(ok, b"ok") as second,
    ):
        waiting, other = operated.connect(), operated.connect()
        waiting.send(request("GET /x", token=TOK_A))
        operated.origin.eventually_started(1)
        other.send(request("GET /other", token=TOK_B))
        eventually(lambda: operated.gateway.metric("upstream_connections", state="waiting") == 1)
        first.release()
        operated.origin.eventually_started(2)  # the other one has the only connection now
        eventually(lambda: operated.gateway.metric("upstream_connections", state="waiting") == 1)
        set_vault(operated, {"acme": {"key": {"env": "TEST_KEY_A"}}})
        operated.reload(times=2)
        second.release()
        assert waiting.reply("GET", timeout=15).status in {401, 502, 503}
    assert keys(operated) == [KEY_A]
