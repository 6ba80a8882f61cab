"""`jwks`: which requests cause a fetch, and how long they wait for it."""

import asyncio

import pytest

from gateway.identity import jwks
from gateway.identity.jwks import ABSENT_FOR, COOL_DOWN
from gateway.identity.keys import KeySetError
from tests.support.jwks import Publisher, running, until
from tests.support.jwt import Issuer

DAY = 86400.0


@pytest.fixture
def server(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """A server that answers; jitter is off."""
    monkeypatch.setattr(jwks, "_jittered", lambda seconds: seconds)
    return Publisher(issuer)


async def test_case_155_herd(server: Publisher) -> None:
    """Case 155: 500 first requests at once cost one fetch, and all of them find the key."""
    keys = server.keys()
    server.open.clear()
    async with running(keys.run):
        waiting = [asyncio.create_task(keys.wait("rsa-1")) for _ in range(500)]
        await until(lambda: server.fetches == 1)
        waiting += [asyncio.create_task(keys.wait("ec-1")) for _ in range(500)]
        await asyncio.sleep(0)
        server.open.set()
        await asyncio.gather(*waiting)
        assert "rsa-1" in keys.current
        await asyncio.sleep(0)
    assert server.fetches == 1


async def test_case_153_storm(server: Publisher) -> None:
    """Case 153: 10,000 unknown `kid`s cost one fetch per cool-down and make nobody wait."""
    keys = server.keys(jwks_refresh=DAY)
    async with running(keys.run):
        await until(lambda: len(server.events) == 1)
        for number in range(10_000):
            assert not keys.may_fetch(f"kid-{number}")
            await keys.wait(f"kid-{number}")
        for fetches in (2, 3, 4):
            server.now += COOL_DOWN
            await asyncio.gather(*[keys.wait(f"kid-{fetches}-{n}") for n in range(2_000)])
            assert server.fetches == fetches
    assert len(keys._absent) <= 1024


async def test_who_asks_for_an_absent_key_waits_for_no_fetch(server: Publisher) -> None:
    """Not even for one that is under way for another key."""
    keys = server.keys(jwks_refresh=DAY)
    async with running(keys.run):
        await keys.wait("unknown")
        server.now += COOL_DOWN
        server.open.clear()
        waiter = asyncio.create_task(keys.wait("another"))
        await until(lambda: server.fetches == 2)
        async with asyncio.timeout(1):
            await keys.wait("unknown")
        server.open.set()
        await waiter


async def test_absent_kid(server: Publisher, issuer: Issuer) -> None:
    """A `kid` that a good fetch did not bring causes no other for a while; new keys end that."""
    keys = server.keys(jwks_refresh=DAY)
    async with running(keys.run):
        await keys.wait("unknown")
        server.now += COOL_DOWN
        assert not keys.may_fetch("unknown")
        assert keys.may_fetch("another")
        server.now += ABSENT_FOR - COOL_DOWN
        assert keys.may_fetch("unknown")
        await keys.wait("unknown")
        server.now += COOL_DOWN
        server.publish(issuer.jwks()["keys"][0])
        await keys.wait("another")
        server.now += COOL_DOWN
        assert keys.may_fetch("unknown")


async def test_failed_fetch_proves_no_absence(server: Publisher) -> None:
    """An outage does not make a `kid` known as absent: it is asked for after the cool-down."""
    server.answer = KeySetError("status")
    keys = server.keys(jwks_refresh=DAY)
    async with running(keys.run):
        await keys.wait("rsa-1")
        assert not keys.may_fetch("rsa-1")
        server.now += COOL_DOWN
        assert keys.may_fetch("rsa-1")


async def test_token_without_kid(server: Publisher) -> None:
    """A token that names no key may ask for a fetch too, under the same cool-down."""
    keys = server.keys(jwks_refresh=DAY)
    async with running(keys.run):
        await keys.wait(None)
        assert not keys.may_fetch(None)
        server.now += COOL_DOWN
        assert keys.may_fetch(None)
    assert not keys._absent


async def test_patience(server: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that stalls keeps a request for `PATIENCE` only, and goes on without it."""
    monkeypatch.setattr(jwks, "PATIENCE", 0.01)
    server.open.clear()
    keys = server.keys()
    async with running(keys.run):
        await keys.wait("rsa-1")
        assert "rsa-1" not in keys.current
        server.open.set()
        await until(lambda: "rsa-1" in keys.current)
    assert server.fetches == 1


def test_bounds() -> None:
    """What callers and issuers rely on, in seconds."""
    assert (jwks.PATIENCE, COOL_DOWN, ABSENT_FOR) == (2, 10, 30)


async def test_a_request_that_leaves_harms_nobody(server: Publisher) -> None:
    """A cancelled waiter does not cancel the fetch that others wait for."""
    server.open.clear()
    keys = server.keys()
    async with running(keys.run):
        first, second = (asyncio.create_task(keys.wait("rsa-1")) for _ in range(2))
        await until(lambda: server.fetches == 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.open.set()
        await second
        assert "rsa-1" in keys.current


async def test_a_reload_in_mid_fetch_serves_those_who_wait(server: Publisher) -> None:
    """Its fetch is the next version's to make, at once; who waits for the old one gets that."""
    server.open.clear()
    old, new = server.keys(), server.keys()
    async with running(old.run):
        waiter = asyncio.create_task(old.wait("rsa-1"))
        await until(lambda: server.fetches == 1)
        new.adopt(old)
    assert not waiter.done()
    assert new.may_fetch("rsa-1")
    async with running(new.run):
        await until(lambda: server.fetches == 2)
        server.open.set()
        async with asyncio.timeout(jwks.PATIENCE / 2):
            await waiter
        assert "rsa-1" in new.current


async def test_who_waits_for_nobody_waits_no_longer_than_others(
    server: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that stops for good in mid-fetch keeps requests for `PATIENCE` at most."""
    monkeypatch.setattr(jwks, "PATIENCE", 0.01)
    server.open.clear()
    keys = server.keys()
    async with running(keys.run):
        waiter = asyncio.create_task(keys.wait("rsa-1"))
        await until(lambda: server.fetches == 1)
    await waiter
