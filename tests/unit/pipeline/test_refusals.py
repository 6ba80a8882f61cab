"""Requests that are answered here: by which check, with which answer, at what cost."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import GatewayFault
from gateway.identity.authenticator import AuthenticationMethods, Authenticator
from gateway.identity.claims import ClaimRules, claim_template
from gateway.identity.keys import KeySet, from_document
from gateway.identity.peers import Certificates, Networks
from gateway.identity.tokens import compile_tokens
from gateway.identity.verifier import TrustedIssuer, Verifier
from gateway.turns import Turns
from tests.support.held_loop import HeldLoop
from tests.support.jwt import Issuer
from tests.unit.pipeline.conftest import ACME, World


@pytest.mark.parametrize(
    ("call", "status", "key"),
    [
        ({"target": "/a/../b", "token": ""}, 400, "bad_request"),
        ({"method": "TRACE", "token": ""}, 405, "method_not_allowed"),
        ({"target": "http://evil.test/", "token": ""}, 421, "misdirected"),
        ({"headers": {"via": "1.1 invopop-gateway"}, "token": ""}, 508, "loop_detected"),
        ({"token": ""}, 401, "unauthenticated"),
        ({"target": "http://api.invopop.com/x", "token": ""}, 407, "unauthenticated"),
        ({"token": "igw_wrong", "headers": {"x-invopop-tenant": "nope"}}, 401, "unauthenticated"),
        ({}, 403, "tenant_required"),
        ({"headers": {"x-invopop-tenant": "other-co"}}, 403, "tenant_denied"),
        ({"headers": {"x-invopop-tenant": "ghost"}}, 403, "tenant_denied"),
        (
            {"method": "PATCH", "target": "/access/v1/workspace", "headers": ACME},
            403,
            "operation_denied",
        ),
        (
            {"method": "POST", "target": "/silo/v1/entries", "headers": ACME, "body": b"x" * 101},
            413,
            "body_too_large",
        ),
        ({"headers": ACME | {"x-request-timeout": "never"}}, 400, "bad_request"),
    ],
)
async def test_the_first_check_that_fails_answers(
    world: World, call: dict[str, Any], status: int, key: str
) -> None:
    """In the contract's order; nothing is sent, and nothing holds a permit afterwards."""
    answered, headers, body = await world.call(**call)
    assert (answered, headers["x-gateway-error"]) == (status, key)
    assert json.loads(body)["key"] == key
    assert world.wire.sent == []
    assert world.gateway.services.permits.in_flight == 0
    (x,) = world.exchanges
    assert (x.status, x.error) == (status, key)
    known = status == 503 or key in {"operation_denied", "body_too_large"}
    assert x.tenant == ("acme" if known else "")
    assert x.peer
    assert x.cause


def authenticator_of(verifier: Verifier) -> Authenticator:
    """One that knows nobody but by a JWT that this verifies."""
    nobody: Any = (Certificates({}), Networks({}), [], frozenset[bytes]())
    return Authenticator(AuthenticationMethods(frozenset(), compile_tokens({}), verifier, *nobody))


class FetchedKeys:
    """An issuer's keys, of which there are none until the first fetch has ended."""

    tried = healthy = True

    def __init__(self, issuer: Issuer, during: Callable[[], None]) -> None:
        self.current = KeySet(())
        self._keys, self._during = from_document(issuer.jwks_file.read_bytes(), ["ES256"]), during

    def may_fetch(self, key_id: str | None) -> bool:
        return True

    async def wait(self, key_id: str | None) -> None:
        self.current = self._keys
        self._during()


@pytest.mark.parametrize("removed", [False, True])
async def test_a_caller_removed_during_a_wait_for_keys_is_refused(
    world: World, tmp_path: Path, removed: bool
) -> None:
    """After the wait the configuration that is in use by then decides."""
    services, issuer = world.gateway.services, Issuer(tmp_path, "https://issuer.test")
    after = services.authenticator

    def reload() -> None:
        if removed:
            services.authenticator = after

    rules = ClaimRules(
        *(issuer.name, issuer.audience, 60.0, 3600.0, claim_template("sub"), None, False)
    )
    keys = FetchedKeys(issuer, reload)
    trusted = TrustedIssuer(rules, frozenset({"ES256"}), 8192, keys)
    verifier = Verifier([trusted], [("billing", issuer.name)])
    services.authenticator = authenticator_of(verifier)
    token = issuer.token(issuer.claims("billing"), "ES256")
    status, headers, _ = await world.call(headers=ACME, token=token)
    expected = (401, "unauthenticated") if removed else (200, None)
    assert (status, headers.get("x-gateway-error")) == expected
    assert len(world.wire.sent) == (not removed)


class WatchedLoop(HeldLoop):
    """Does something whenever somebody begins to wait for a turn, which comes then."""

    def __init__(self, waits: Callable[[], None]) -> None:
        super().__init__()
        self._waits = waits

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._waits()
        asyncio.get_running_loop().call_soon(callback)


async def test_a_caller_removed_while_it_waits_for_its_turn_is_refused(world: World) -> None:
    """The loop is full of requests; when this one's turn comes it is judged again."""
    services = world.gateway.services

    def reload() -> None:
        services.authenticator = authenticator_of(Verifier([], []))

    services.turns = Turns(WatchedLoop(reload), at_once=0)
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (401, "unauthenticated")
    assert world.wire.sent == []


@pytest.mark.parametrize(
    ("call", "account"),
    [({"token": "igw_wrong"}, ""), ({"target": "/a/../b"}, ""), ({}, "billing")],
    ids=["stranger", "malformed", "caller"],
)
async def test_refusals_take_turns(world: World, call: dict[str, Any], account: str) -> None:
    """Whoever is refused on many connections stands in line, strangers in one of all of them."""
    lines: list[Any] = []
    turns = Turns(WatchedLoop(lambda: lines.extend(turns._lines)), at_once=0)
    world.gateway.services.turns = Turns(WatchedLoop(lambda: lines.append("nobody waits")))
    await world.call(**call)
    assert lines == []
    world.gateway.services.turns = turns
    status, _, _ = await world.call(**call)
    assert status >= 400
    assert lines == [account]


async def test_an_unknown_tenant_answers_like_a_forbidden_one(world: World) -> None:
    """Byte for byte but for the request id: nobody can sound out which tenants exist."""
    for method, target, body in (
        ("GET", "/utils/v1/ping", b""),
        ("PATCH", "/access/v1/workspace", b""),  # which policy would refuse
        ("POST", "/silo/v1/entries", b"x" * 101),  # which is too large
    ):
        forbidden, unknown = [
            await world.call(
                method, target, body=body, headers={"x-invopop-tenant": name, "x-request-id": "r"}
            )
            for name in ("nobody", "ghost")
        ]
        assert forbidden == unknown
        assert forbidden[0] == 403


async def test_a_name_that_was_not_looked_up_is_no_label(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `[discover]` it is only what a client sent, until a store has known it."""
    services = world.gateway.services
    # A store may know it.
    monkeypatch.setattr(
        services.vault._lookups, "missing", lambda _: GatewayFault("key_unavailable")
    )
    for _ in range(2):
        services.permits.acquire(("acme", "billing"))
    status, _, _ = await world.call(headers={"x-invopop-tenant": "ghost"})
    assert (status, world.exchanges[-1].tenant) == (503, "")


async def test_no_permit_no_request(world: World) -> None:
    """Past `max_in_flight` the answer is 503 with `Retry-After`, and costs no upstream call."""
    held = [world.gateway.services.permits.acquire(("acme", "billing")) for _ in range(2)]
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (503, "overloaded")
    assert headers["retry-after"] == "1"
    for permit in held:
        permit.release()
    assert (await world.call(headers=ACME))[0] == 200


async def test_an_open_circuit_answers_before_the_vault(world: World) -> None:
    """503 circuit_open comes after the tenant, before its key, and takes no permit along."""
    world.wire.answer = lambda _: httpx.Response(502, stream=httpx.ByteStream(b""))
    for index in range(20):
        tenant = ("acme", "globex")[index % 2]
        await world.call("POST", "/silo/v1/entries", headers={"x-invopop-tenant": tenant})
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (503, "circuit_open")
    assert 1 <= int(headers["retry-after"]) <= 5
    assert (await world.call(headers={"x-invopop-tenant": "ghost"}))[0] == 403
    assert world.gateway.services.permits.in_flight == 0
    assert b"invopop_gateway_circuit_open 1.0" in world.gateway.observers.metrics.exposition("")[0]
