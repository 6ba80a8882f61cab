"""What goes out and what comes back: keys, attempts, and the record of both."""

import json
from collections.abc import AsyncIterator
from time import monotonic, perf_counter

import httpx
import pytest

from gateway import attempts, inbound, pipeline, relay, sending, services
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.failures import failure
from tests.unit.pipeline.conftest import ACME, TOKEN, World


async def test_the_tenants_key_goes_out_and_the_callers_token_stays(world: World) -> None:
    """One `Authorization`, the tenant's; target and host are the upstream's."""
    status, headers, body = await world.call(target="/utils/v1/ping?a=%zz", headers=ACME)
    ((request, _),) = world.wire.sent
    assert (status, json.loads(body)) == (200, {"ping": "pong"})
    assert request.headers.get_list("authorization") == ["Bearer key-acme-1"]
    assert request.headers["host"] == "api.invopop.com"
    assert request.extensions["target"] == b"/utils/v1/ping?a=%zz"
    assert TOKEN not in str(request.headers.raw)
    assert headers["via"] == "1.1 invopop-gateway"
    assert headers["x-request-id"] == request.headers["x-request-id"]


async def test_an_exchange_is_told_once_with_what_was_known(world: World) -> None:
    """The record names caller, tenant, operation, rule, key and durations."""
    await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    (x,) = world.exchanges
    assert (x.caller, x.by, x.tenant) == ("billing", "token", "acme")
    assert (x.operation, x.route) == ("silo.entries.create", "/silo/v1/entries")
    assert (x.status, x.attempts, x.bytes_in) == (200, 1, 2)
    assert (x.key_slot, len(x.key_fingerprint)) == ("key", 12)
    assert x.upstream_seconds is not None
    assert 0 < x.overhead_seconds < x.seconds


class Waits:
    """Every clock of the data path, set forward while something is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited = 0.0
        for module in (pipeline, attempts, sending, relay, inbound):
            monkeypatch.setattr(module, "perf_counter", lambda: perf_counter() + self.waited)
        monkeypatch.setattr(services, "monotonic", lambda: monotonic() + self.waited)

    async def wait(self, *_: object) -> None:
        """For a thousand seconds."""
        self.waited += 1000.0


async def test_the_gateways_own_share_holds_no_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the storage that replicas count in, nor Invopop, is in `overhead_seconds`."""
    waits = Waits(monkeypatch)

    class Storage:
        take = waits.wait

        async def aclose(self) -> None:
            """Nothing is open."""

    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await waits.wait()
            yield b"{}"

    world.gateway.services.shared_rates = Storage()  # type: ignore[assignment]
    world.wire.answer = lambda _: httpx.Response(200, stream=Slow())
    await world.call(headers=ACME)
    (x,) = world.exchanges
    assert x.seconds >= 2000
    assert 0 < x.overhead_seconds < 1000


async def test_a_rejected_key_is_replaced_once(world: World) -> None:
    """Invopop refuses the key: the tenant's other key is tried with the same body, a POST too."""
    world.wire.answer = lambda r: httpx.Response(
        401 if r.headers["authorization"] == "Bearer key-acme-1" else 200, json={}
    )
    status, _, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert status == 200
    assert world.wire.keys() == ["Bearer key-acme-1", "Bearer key-acme-0"]
    assert [body for _, body in world.wire.sent] == [b"{}", b"{}"]
    assert (world.exchanges[0].attempts, world.exchanges[0].key_slot) == (2, "previous")


async def test_a_tenant_without_a_good_key_is_told_so(world: World) -> None:
    """401 from Invopop to every key is 502 `key_rejected`: the caller's own token was fine."""
    world.wire.answer = lambda _: httpx.Response(401, json={})
    status, headers, _ = await world.call(headers={"x-invopop-tenant": "globex"})
    assert (status, headers["x-gateway-error"]) == (502, "key_rejected")
    assert "www-authenticate" not in headers
    assert set(world.wire.keys()) == {"Bearer key-globex"}


async def test_a_reply_tells_its_attempts(world: World) -> None:
    """`X-Gateway-Attempts` is set on a reply, Invopop's or our own, that took more than one."""
    statuses = iter([503, 200, 503, 200])
    world.wire.answer = lambda _: httpx.Response(next(statuses), stream=httpx.ByteStream(b""))
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-attempts"]) == (200, "2")
    status, headers, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert (status, "x-gateway-attempts" in headers) == (503, False)
    status, headers, _ = await world.call(headers=ACME)
    assert (status, "x-gateway-attempts" in headers) == (200, False)

    def away(_: httpx.Request) -> httpx.Response:
        raise failure("connect", sent=False)

    world.wire.answer = away
    status, headers, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert (status, headers["x-gateway-attempts"]) == (502, "3")
    assert [x.attempts for x in world.exchanges] == [2, 1, 1, 3]


@pytest.mark.parametrize(
    ("method", "answers", "told"),
    [
        ("PUT", [503, 409], True),
        ("PUT", ["closed", 409], True),
        ("PUT", ["connect", 409], False),
        ("PUT", [409], False),
        ("PUT", [503, 404], False),
        ("PUT", [503, 200], False),
        ("PUT", ["connect", 503, 409], True),
        ("PUT", [503, "connect", 409], True),
        ("DELETE", [502, 404], True),
        ("DELETE", [502, 409], True),
        ("DELETE", [404], False),
        ("GET", [503, 404], False),
        ("GET", [503, 409], False),
        ("POST", ["connect", 409], False),
    ],
)
async def test_a_conflict_after_a_retry_of_our_own_is_told(
    world: World, method: str, answers: list[int | str], told: bool
) -> None:
    """But only if the first attempt may have taken effect: one that was never sent cannot."""
    coming = iter(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        this = next(coming)
        if isinstance(this, int):
            return httpx.Response(this, stream=httpx.ByteStream(b""))
        if this == "closed":
            raise StaleConnectionError(sent=True)
        raise failure("connect", sent=False)

    world.wire.answer = answer
    entry = "/silo/v1/entries/00000000-0000-4000-8000-000000000000"
    paths = {"DELETE": "/silo/v1/spool/a", "POST": "/silo/v1/entries"}
    status, headers, _ = await world.call(method, paths.get(method, entry), headers=ACME)
    assert status == answers[-1]
    expected = "earlier-attempt-may-have-succeeded" if told else None
    assert headers.get("x-gateway-retried") == expected


async def test_no_retry_outlasts_the_deadline(world: World) -> None:
    """Where there is no time for another attempt the outcome that is here passes through."""
    busy = {"retry-after": "5"}
    world.wire.answer = lambda _: httpx.Response(
        503, headers=busy, stream=httpx.ByteStream(b"busy")
    )
    status, headers, body = await world.call(headers=ACME | {"x-request-timeout": "0.5"})
    assert (status, body, "x-gateway-error" in headers) == (503, b"busy", False)
