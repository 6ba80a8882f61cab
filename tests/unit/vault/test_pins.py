"""WorkspaceFacts pins: no key is used before Invopop has vouched for it."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.errors import GatewayFault
from gateway.events import Event, KeyChanged, KeyRefreshed
from gateway.pin import WorkspaceFacts
from gateway.secret import Secret
from gateway.vault import pins
from gateway.vault import vault as vault_module
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.vault import Vault
from tests.support.vaults import (
    loaded,
    replace,
    running,
    unanswered,
    vault_file,
    vault_of,
    vault_settings,
)

PINNED = {"key": {"env": "K"}, "workspace": "w-1"}
OTHER = {"key": {"value": "other"}, "workspace": "w-1"}


class Invopop:
    """Says whose a key is; `known` by key, None for no answer; counts and orders the questions."""

    def __init__(self, **known: str | None) -> None:
        self.known = known
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def check(self, secret: Secret) -> str:
        """As `GET /access/v1/workspace` would."""
        self.asked.append(secret.reveal())
        await self.open.wait()
        if secret.reveal() == "raises":
            raise ConnectionError("sk_canary")
        if (workspace := self.known.get(secret.reveal())) is None:
            raise unanswered()
        return workspace


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "INTERVAL", 0.001)
    monkeypatch.setattr(pins, "RETRY_BACKGROUND", 0.05)
    monkeypatch.setattr(pins, "RETRY_AFTER", 0.0)


def sent(vault: Vault, tenant: str = "a") -> str:
    """What would be sent now without waiting; the error's key, or "needed"."""
    try:
        return vault.key(tenant).secret.reveal()
    except KeyNeeded:
        return "needed"
    except GatewayFault as error:
        return error.key


async def until(vault: Vault, expected: str, tenant: str = "a") -> None:
    """Waits for the background."""
    async with asyncio.timeout(5):
        while sent(vault, tenant) != expected:
            await asyncio.sleep(0.002)


async def test_a_pinned_key_is_used_once_its_workspace_is_confirmed() -> None:
    """In the background, without any request, the key becomes usable."""
    invopop = Invopop(good="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    assert sent(vault) == "needed"
    async with running(vault):
        await until(vault, "good")
    assert invopop.asked == ["good"]


async def test_a_first_request_waits_for_the_check() -> None:
    """A request that comes first has its tenant checked next, and is served."""
    invopop = Invopop(good="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        assert (await vault.read("a", "billing")).secret.reveal() == "good"


@pytest.mark.parametrize("key", ["stranger", "silent", "raises"])
async def test_a_key_that_is_not_vouched_for_is_503(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another workspace, no answer, or an error: the key is never used."""
    monkeypatch.setattr(vault_module, "PATIENCE", 0.1)
    invopop = Invopop(stranger="w-2", silent=None)
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": key}, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        with pytest.raises(GatewayFault) as caught:
            await vault.read("a", "billing")
        assert caught.value.key == "key_unavailable"
        assert "canary" not in repr(vault.tenants())


@pytest.mark.parametrize(
    ("pin", "cause"),
    [
        ({"sandbox": False, "country": "ES"}, ""),
        ({"workspace": "w-1", "sandbox": False, "country": "ES"}, ""),
        ({"workspace": "w-2", "sandbox": False}, "pin_mismatch"),
        ({"workspace": "w-1", "sandbox": True}, "pin_mismatch_sandbox"),
        ({"sandbox": False, "country": "PT"}, "pin_mismatch_country"),
    ],
)
async def test_all_pins_must_hold(pin: dict[str, object], cause: str) -> None:
    """Else the answer is 503, and its cause says which of them does not."""
    events: list[Event] = []

    async def check(secret: Secret) -> WorkspaceFacts:
        assert secret.reveal() == "good"
        return WorkspaceFacts("w-1", sandbox=False, country="ES")

    file = vault_file({"a": {"key": {"env": "K"}, **pin}})
    vault = await loaded(vault_of(file, environ={"K": "good"}, events=events, check=check))
    async with running(vault):
        if not cause:
            assert (await vault.read("a", "billing")).secret.reveal() == "good"
            return
        with pytest.raises(GatewayFault) as caught:
            await vault.read("a", "billing")
        assert (caught.value.key, caught.value.cause) == ("key_unavailable", cause)
        (row,) = vault.tenants()
        assert row.state == cause
        (failure,) = failures(events)
        assert row.detail in failure.reason


async def test_another_pin_beside_the_same_workspace_needs_another_check() -> None:
    """What was not asked for before was not confirmed; a pin that goes needs none."""
    invopop = Invopop(good="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        await until(vault, "good")
        await replace(vault, vault_file({"a": {**PINNED, "country": "ES"}}), vault_settings())
        assert sent(vault) == "needed"
        await until(vault, "key_unavailable")
        await replace(vault, vault_file({"a": PINNED}), vault_settings())
        await until(vault, "good")
        await replace(vault, vault_file({"a": {"key": {"env": "K"}}}), vault_settings())
        assert sent(vault) == "good"


async def test_without_a_checker_pinned_keys_stay_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails open: where nobody asks Invopop, nothing is confirmed."""
    monkeypatch.setattr(vault_module, "PATIENCE", 0.05)
    vault = await loaded(vault_of(vault_file({"a": PINNED}), environ={"K": "good"}))
    with pytest.raises(GatewayFault):
        await vault.read("a", "billing")


async def test_a_check_that_came_to_nothing_is_repeated() -> None:
    """While Invopop is away the check is tried again, and succeeds when it is back."""
    invopop = Invopop(good=None)
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    async with running(vault), asyncio.timeout(5):
        while len(invopop.asked) < 2:
            await asyncio.sleep(0.005)
        invopop.known["good"] = "w-1"
        await until(vault, "good")


async def test_a_rotated_key_takes_over_only_after_its_check() -> None:
    """A new key of the wrong workspace never replaces the one in use; a right one does."""
    events: list[Event] = []
    invopop = Invopop(good="w-1", better="w-1", stranger="w-2")
    environ = {"K": "good"}
    vault = vault_of(vault_file({"a": PINNED}), environ=environ, events=events, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        await until(vault, "good")
        for new in ("stranger", "better"):
            invopop.open.clear()
            file = vault_file({"a": {"key": {"value": new}, "workspace": "w-1"}})
            assert await replace(vault, file, vault_settings()) == []
            assert sent(vault) == "good"
            invopop.open.set()
            async with asyncio.timeout(5):
                while new not in invopop.asked:
                    await asyncio.sleep(0.002)
        await until(vault, "better")
    assert [event.tenant for event in failures(events)] == ["a"]
    better, good = Secret("better").fingerprint, Secret("good").fingerprint
    changes = [event for event in events if isinstance(event, KeyChanged)]
    assert changes == [KeyChanged("a", "key", better, good)]


def failures(events: list[Event]) -> Iterator[KeyRefreshed]:
    """The refreshes that failed."""
    return (one for one in events if isinstance(one, KeyRefreshed) and one.outcome == "failure")


async def test_another_pin_needs_another_check() -> None:
    """A key confirmed for one workspace is not used for another tenant entry's pin."""
    invopop = Invopop(good="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        await until(vault, "good")
        file = vault_file({"a": {"key": {"env": "K"}, "workspace": "w-2"}})
        await replace(vault, file, vault_settings())
        assert sent(vault) == "needed"
        await until(vault, "key_unavailable")


async def test_first_need_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request's tenant is checked before those that nobody has asked for."""
    monkeypatch.setattr(pins, "INTERVAL", 0.02)
    names = [f"t{n}" for n in range(50)]
    invopop = Invopop(**dict.fromkeys(names, "w-1"))
    tenants = {name: {"key": {"env": name}, "workspace": "w-1"} for name in names}
    vault = vault_of(
        vault_file(tenants), environ={name: name for name in names}, check=invopop.check
    )
    await loaded(vault)
    async with running(vault):
        await until(vault, "t0", "t0")
        await vault.read("t49", "billing")
        assert len(invopop.asked) < 10


async def test_checks_keep_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within an interval no second check begins, however many keys wait."""
    monkeypatch.setattr(pins, "INTERVAL", 3600.0)
    names = [f"t{n}" for n in range(50)]
    invopop = Invopop(**dict.fromkeys(names, "w-1"))
    tenants = {name: {"key": {"env": name}, "workspace": "w-1"} for name in names}
    vault = vault_of(
        vault_file(tenants), environ={name: name for name in names}, check=invopop.check
    )
    await loaded(vault)
    async with running(vault):
        await until(vault, "t0", "t0")
        for _ in range(100):
            await asyncio.sleep(0)
        assert invopop.asked == ["t0"]


async def test_an_unchanged_key_is_not_checked_again() -> None:
    """A reload asks Invopop about new values only."""
    invopop = Invopop(good="w-1", other="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    async with running(vault):
        await until(vault, "good")
        await replace(vault, vault_file({"a": PINNED, "b": OTHER}), vault_settings())
        assert sent(vault) == "good"
        await until(vault, "other", "b")
    assert invopop.asked == ["good", "other"]


async def test_a_removed_tenants_key_is_not_checked() -> None:
    """A key that waits for its check is forgotten with its tenant."""
    invopop = Invopop(good="w-1", other="w-1")
    vault = vault_of(vault_file({"a": PINNED}), environ={"K": "good"}, check=invopop.check)
    await loaded(vault)
    await replace(vault, vault_file({"b": OTHER}), vault_settings())
    async with running(vault):
        await until(vault, "other", "b")
    assert invopop.asked == ["other"]
