"""`jwks`: when a remote key set is fetched, and how long it is kept."""

import pytest

from gateway.events import JwksRefreshed
from gateway.identity import jwks
from gateway.identity.keys import KeySetError
from tests.support.identities import ISSUER
from tests.support.jwks import Publisher, running, until
from tests.support.jwt import Issuer

DAY = 86400.0


@pytest.fixture
def server(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """A server that answers; jitter is off."""
    monkeypatch.setattr(jwks, "_jittered", lambda seconds: seconds)
    return Publisher(issuer)


async def test_first_fetch(server: Publisher) -> None:
    """Nothing is known before the first fetch; a good one is told and kept."""
    keys = server.keys()
    assert (keys.tried, keys.healthy, len(keys.current)) == (False, False, 0)
    await keys.refresh()
    assert (keys.tried, keys.healthy, len(keys.current)) == (True, True, 2)
    assert keys.current.find("rsa-1", "RS256")
    assert server.events == [JwksRefreshed(ISSUER, "success", "")]


@pytest.mark.parametrize(
    ("max_age", "wait"), [(None, 300), (0, 30), (29, 30), (60, 60), (300, 300), (1e9, 300)]
)
async def test_refresh_within_bounds(server: Publisher, max_age: float | None, wait: float) -> None:
    """`max-age` counts between 30 s and `jwks_refresh`, which also stands for none."""
    server.max_age = max_age
    keys = server.keys()
    await keys.refresh()
    assert server.due(keys) == wait


async def test_short_refresh_wins(server: Publisher) -> None:
    """An operator who wants fresh keys gets them, whatever `max-age` says."""
    server.max_age = 60
    keys = server.keys(jwks_refresh=7.0)
    await keys.refresh()
    assert server.due(keys) == 7


def test_jitter() -> None:
    """Replicas spread over the last tenth of the interval and are never late."""
    waits = {jwks._jittered(100.0) for _ in range(1000)}
    assert 90 <= min(waits) < 92
    assert 98 < max(waits) <= 100


async def test_equal_set_keeps_its_identity(server: Publisher, issuer: Issuer) -> None:
    """Only other keys are another `KeySet`: verdicts outlive a refresh that changes none."""
    keys = server.keys()
    await keys.refresh()
    before = keys.current
    await keys.refresh()
    assert keys.current is before
    server.publish(issuer.jwks()["keys"][0])
    await keys.refresh()
    assert keys.current is not before
    assert "ec-1" not in keys.current


BAD: dict[str, tuple[Exception | bytes, str]] = {
    "timeout": (KeySetError("timeout"), "timeout"),
    "garbage": (b"<html>", "garbage"),
    "empty": (b'{"keys":[]}', "no_usable_key"),
    "defect": (RuntimeError("secret words"), "unexpected: RuntimeError"),
}


@pytest.mark.parametrize("name", BAD)
async def test_case_152_failure_takes_nothing_away(server: Publisher, name: str) -> None:
    """Case 152: a failed refresh is told, tried again soon, and the old keys stay."""
    keys = server.keys()
    await keys.refresh()
    before = keys.current
    server.answer, reason = BAD[name]
    waits = []
    for _ in range(8):
        await keys.refresh()
        waits.append(server.due(keys))
    assert keys.current is before
    assert (keys.tried, keys.healthy) == (True, False)
    assert server.events[-1] == JwksRefreshed(ISSUER, "failure", reason)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


async def test_case_152_down_from_the_start(server: Publisher) -> None:
    """Case 152: an issuer that is down at first is asked again after 5 s, and then let in."""
    good, server.answer = server.answer, KeySetError("unreachable")
    keys = server.keys()
    await keys.refresh()
    assert (keys.tried, keys.healthy, len(keys.current), server.due(keys)) == (True, False, 0, 5)
    server.answer = good
    await keys.refresh()
    assert (keys.healthy, len(keys.current)) == (True, 2)


async def test_case_152_stale_keys_end(server: Publisher) -> None:
    """Case 152: keys that could not be renewed for `jwks_max_stale` are believed no longer."""
    keys = server.keys(jwks_max_stale=DAY)
    await keys.refresh()
    good, server.answer = server.answer, KeySetError("status")
    server.now += 300 + DAY - 1
    await keys.refresh()
    assert len(keys.current) == 2
    server.now += 1
    await keys.refresh()
    assert len(keys.current) == 0
    server.answer = good
    await keys.refresh()
    assert len(keys.current) == 2


async def test_no_staleness_allowed(server: Publisher) -> None:
    """`jwks_max_stale = 0`: keys end with the first refresh that is due and fails."""
    keys = server.keys(jwks_max_stale=0.0)
    await keys.refresh()
    server.answer = KeySetError("status")
    server.now += 299
    await keys.refresh()
    assert len(keys.current) == 2
    server.now += 1
    await keys.refresh()
    assert len(keys.current) == 0


async def test_loop_refreshes_when_due(server: Publisher) -> None:
    """The loop fetches at once, and again when the interval has passed."""
    keys = server.keys(jwks_refresh=0.01)
    async with running(keys.run):
        await until(lambda: server.fetches == 1)
        server.now += 0.01
        await until(lambda: server.fetches == 2)


async def test_loop_ends_stale_keys(server: Publisher) -> None:
    """It looks again when the keys become too old, though the next try is due later."""
    keys = server.keys(jwks_refresh=DAY, jwks_max_stale=0.01)
    await keys.refresh()
    server.answer = KeySetError("status")
    for _ in range(16):
        keys._fail()
    assert server.due(keys) > DAY / 2
    keys._stale_at = server.now + 0.01
    async with running(keys.run):
        server.now += 0.01
        await until(lambda: len(keys.current) == 0)


async def test_adopted(server: Publisher) -> None:
    """A reload during an outage keeps the keys, their age, and the next date."""
    old, new = server.keys(), server.keys()
    await old.refresh()
    server.answer = KeySetError("unreachable")
    new.adopt(old)
    assert new.current is old.current
    assert (new.tried, new.healthy, server.due(new)) == (True, True, 300)
    assert not new.may_fetch("unknown")
    server.now += 300 + DAY
    await new.refresh()
    assert len(new.current) == 0
