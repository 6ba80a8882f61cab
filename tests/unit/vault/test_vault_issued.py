"""Keys that Invopop issues, in the vault: renewed before anybody waits, gone when they end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.errors import CallerError, GatewayFault, UpstreamError
from gateway.events import Event, KeyChanged, KeyRefreshed, KeyRejected
from gateway.model import Headers
from gateway.secret import Secret
from gateway.settings.schema import Settings
from gateway.vault import renewal
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.vault import Vault
from tests.support.issuing_origin import CLIENT_ID, OTHER, OWNER, SECRET, Issuer
from tests.support.vaults import loaded, replace, running, vault_file, vault_of, vault_settings
from tests.unit.vault.conftest import refusal, sent

TABLE = {"client_id": CLIENT_ID, "client_secret": {"env": "S"}}
ENV = {"S": SECRET, "A": "static-key-of-a"}
LISTED = vault_file({"a": {"key": {"invopop": OWNER}}})
FINDING = vault_file({}, discover={"key": {"invopop": "{tenant}"}})


class Issuing:
    """A vault at an issuer, and what it emits."""

    def __init__(self) -> None:
        self.issuer = Issuer(OWNER)
        self.away = False
        self.open = asyncio.Event()
        self.open.set()
        self.events: list[Event] = []
        self.vault = self.made(LISTED)

    def made(self, file: Any, settings: Settings | None = None, **more: Any) -> Vault:
        """Another vault at the same issuer."""
        settings = settings or vault_settings(invopop=TABLE)
        self.vault = vault_of(file, settings, ENV, self.events, authorize=self.authorize, **more)
        return self.vault

    async def authorize(self, body: bytes) -> tuple[int, Headers, bytes]:
        """As Invopop answers, once it is `open`."""
        await self.open.wait()
        if self.away:
            raise UpstreamError("upstream_unreachable", "connect", sent=False)
        status, answer = self.issuer.authorize(body)
        return status, [], answer

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.issuer.asked)

    def seen(self, kind: type[Event]) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def issuing() -> AsyncIterator[Issuing]:
    """One listed tenant."""
    made = Issuing()
    yield made
    await made.vault.aclose()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for something that goes on in the background."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may be renewed every hundredth of a second."""
    monkeypatch.setattr(renewal, "SOONEST", 0.01)


async def test_a_listed_key_is_there_before_it_is_asked_for(issuing: Issuing) -> None:
    """At start each listed one is issued in the background, as keys of stores are read."""
    vault = await loaded(issuing.vault)
    async with running(vault):
        await until(vault.tried)
        key = vault.key("a")
    assert key.secret.reveal() == issuing.issuer.issued[OWNER][0]
    (row,) = vault.tenants()
    assert (row.state, row.fingerprint, row.issued) == ("ok", key.fingerprint, True)
    assert row.source == f"invopop {OWNER}"
    assert vault.expiries() == [("a", "key", row.expires_at)]
    assert vault.issued() == [("a", "key", 1.0)]
    assert issuing.calls == 1


async def test_the_first_request_waits_once(issuing: Issuing) -> None:
    """However many come: a single call, which all of them wait for."""
    vault = await loaded(issuing.vault)
    assert vault.tenants()[0].state == "on_demand"
    keys = await asyncio.gather(*(sent(vault, "a") for _ in range(50)))
    assert set(keys) == set(issuing.issuer.issued[OWNER])
    assert issuing.calls == 1


async def test_no_request_waits_for_a_renewal(
    issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on in the background; the key before it is used meanwhile. No change is reported."""
    quick(monkeypatch)
    issuing.issuer.life = 2.0
    vault = await loaded(issuing.vault)
    async with running(vault):
        await sent(vault, "a")
        issuing.open.clear()
        await until(lambda: vault._reader._flights.underway(vault._rings["a"].slots[0]))
        assert vault.key("a").secret.reveal() == issuing.issuer.issued[OWNER][0]
        issuing.open.set()
        await until(lambda: issuing.calls >= 3)
        assert vault.key("a").secret.reveal() in issuing.issuer.issued[OWNER][1:]
    assert issuing.seen(KeyChanged) == []
    assert {event.outcome for event in issuing.seen(KeyRefreshed)} == {"success"}


async def test_it_serves_while_invopop_is_away_until_it_ends(
    issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the tenant is unavailable, never served with a key that has ended."""
    quick(monkeypatch)
    issuing.issuer.life = 2.0
    now = [1000.0]
    vault = issuing.vault
    vault._clock = vault._reader._clock = lambda: now[0]
    await loaded(vault)
    first = await sent(vault, "a")
    issuing.away = True
    await vault.read_stores(issued=True)
    assert (await sent(vault, "a"), vault.failing()) == (first, {"invopop": "unavailable"})
    now[0] += 2.0
    with pytest.raises(GatewayFault) as caught:
        await sent(vault, "a")
    assert (caught.value.key, caught.value.cause) == ("key_unavailable", "unavailable")
    issuing.away = False
    now[0] += 30.0
    vault._reader.sources["invopop"].reloaded()
    assert await sent(vault, "a") != first


async def test_after_a_401_another_is_issued_at_once(issuing: Issuing) -> None:
    """A single time for all that were refused; what another cannot help is not tried for ever."""
    vault = await loaded(issuing.vault)
    key = await vault.read("a", "billing")
    others = await asyncio.gather(*(vault.rejections.other_key(key) for _ in range(20)))
    assert {other.secret.reveal() for other in others if other} == {issuing.issuer.issued[OWNER][1]}
    assert issuing.calls == 2
    newer = vault.key("a")
    for _ in range(20):
        assert await vault.rejections.other_key(newer) is None
    assert issuing.calls == 2
    vault.rejections.suspect(key)  # it has been replaced: nobody need be alarmed
    assert issuing.seen(KeyRejected) == []


async def test_not_enrolled_is_a_tenant_that_does_not_exist(issuing: Issuing) -> None:
    """Listed or not, it is answered as one that the caller may not use, before policy decides."""
    listed = vault_file({"a": {"key": {"invopop": OTHER}}, "b": {"key": {"invopop": OWNER}}})
    for file, tenant in ((listed, "a"), (FINDING, OTHER)):
        vault = await loaded(issuing.made(file))
        for _ in range(3):
            with pytest.raises(CallerError) as caught:
                await sent(vault, tenant)
            assert (caught.value.key, caught.value.cause) == ("tenant_denied", "unknown_tenant")
        with pytest.raises(CallerError):
            vault.require(tenant)
        await vault.aclose()
    assert issuing.calls == 2
    vault = await loaded(issuing.made(listed, vault_settings(invopop=TABLE, negative_ttl=0.0)))
    assert [await refusal(vault, "a") for _ in range(2)] == ["tenant_denied"] * 2
    vault.require("b")
    issuing.issuer.enrolled[OTHER] = "e-9"
    assert await sent(vault, "a") == issuing.issuer.issued[OTHER][0]
    vault.require("a")


@pytest.mark.parametrize("tenant", [OWNER.upper(), "No-Such", "x" * 129])
async def test_one_spelling_is_the_tenant(issuing: Issuing, tenant: str) -> None:
    """Else one workspace were many tenants; names that cannot be ids cost no call."""
    vault = await loaded(issuing.made(FINDING))
    assert await refusal(vault, tenant) == "tenant_denied"
    assert issuing.calls == 0
    assert await sent(vault, OWNER) == issuing.issuer.issued[OWNER][0]


async def test_withdrawn_is_withdrawn(issuing: Issuing) -> None:
    """An enrollment that is disabled, or gone, stops its tenant though the key has not ended."""
    vault = await loaded(issuing.vault)
    await sent(vault, "a")
    issuing.issuer.change = {"disabled": True}
    await vault.read_stores(issued=True)
    with pytest.raises(GatewayFault) as caught:
        await sent(vault, "a")
    assert (caught.value.key, caught.value.cause) == ("key_unavailable", "disabled")
    assert vault.tenants()[0].detail == f"invopop {OWNER}: the enrollment is disabled"
    issuing.issuer.change = {}
    await vault.read_stores(issued=True)
    await sent(vault, "a")
    del issuing.issuer.enrolled[OWNER]
    await vault.read_stores(issued=True)
    assert await refusal(vault, "a") == "tenant_denied"


async def test_a_reload_issues_nothing_anew(issuing: Issuing) -> None:
    """Only what is new, or has failed; nor do found tenants change hands by a reload."""
    both = vault_file({"a": {"key": {"invopop": OWNER}}}, discover={"key": {"invopop": "{tenant}"}})
    issuing.issuer.enrolled[OTHER] = "e-9"
    vault = await loaded(issuing.made(both))
    async with running(vault):
        await until(vault.tried)
        first, found = vault.key("a"), await vault.read(OTHER, "billing")
        await replace(vault, both, vault_settings(invopop=TABLE))
        await until(lambda: not vault._upkeep._backlog._queue.qsize())
        await asyncio.sleep(0)
        assert (vault.key("a"), vault.key(OTHER)) == (first, found)
    assert issuing.calls == 2


async def test_no_key_outlives_its_application_or_its_upstream(issuing: Issuing) -> None:
    """A key issued to another application, or by another Invopop, is sent no more."""
    both = vault_file({"a": {"key": {"invopop": OWNER}}}, discover={"key": {"invopop": "{tenant}"}})
    issuing.issuer.enrolled[OTHER] = "e-9"
    settings = vault_settings(invopop=TABLE)
    vault = await loaded(issuing.made(both, settings))
    for changed in (
        vault_settings(invopop={**TABLE, "client_id": CLIENT_ID + "-2"}),
        settings.model_copy(
            update={"upstream": settings.upstream.model_copy(update={"url": "https://other"})}
        ),
    ):
        await vault.read("a", "billing")
        await vault.read(OTHER, "billing")
        assert await replace(vault, both, changed) == []
        for tenant in ("a", OTHER):
            with pytest.raises(KeyNeeded):
                vault.key(tenant)
        assert await replace(vault, both, settings) == []


async def test_no_key_of_one_owner_for_another(issuing: Issuing) -> None:
    """A tenant that is moved to another workspace waits for that one's key."""
    vault = await loaded(issuing.vault)
    await sent(vault, "a")
    issuing.issuer.enrolled[OTHER] = "e-9"
    moved = vault_file({"a": {"key": {"invopop": OTHER}}})
    await replace(vault, moved, vault_settings(invopop=TABLE))
    with pytest.raises(KeyNeeded):
        vault.key("a")
    assert await sent(vault, "a") == issuing.issuer.issued[OTHER][0]
    static = vault_file({"a": {"key": {"env": "A"}}})
    await replace(vault, static, vault_settings(invopop=TABLE))
    assert await sent(vault, "a") == ENV["A"]
    assert vault.expiries() == vault.issued() == []


async def test_what_nobody_uses_is_let_go(
    issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renewed no more and forgotten when it ends; the next request has another issued."""
    quick(monkeypatch)
    monkeypatch.setattr(renewal, "IN_USE", 0.0)
    issuing.issuer.enrolled[OTHER] = "e-9"
    issuing.issuer.life = 1.4
    both = vault_file({"a": {"key": {"invopop": OWNER}}}, discover={"key": {"invopop": "{tenant}"}})
    vault = await loaded(issuing.made(both))
    async with running(vault):
        await until(vault.tried)
        found = await vault.read(OTHER, "billing")
        vault._found.get(OTHER).used_at = -1e9  # type: ignore[union-attr]
        await until(lambda: vault.tenants()[0].state == "on_demand" and not vault.has(OTHER))
        assert vault.expiries() == vault.issued() == []
        calls = issuing.calls
        assert await sent(vault, OTHER) != found.secret.reveal()
        assert await sent(vault, "a") == issuing.issuer.issued[OWNER][-1]
        assert issuing.calls == calls + 2


@pytest.mark.parametrize(("pinned", "expected"), [(OWNER.upper(), True), (OTHER, False)])
async def test_a_workspace_pin_is_checked_by_the_reply(
    issuing: Issuing, pinned: str, expected: bool
) -> None:
    """The owner that Invopop names with a key is its workspace; one that is not the pinned is not
    used, whatever else may vouch for it."""
    entry = {"key": {"invopop": OWNER}, "workspace": pinned}

    async def other(secret: Secret) -> str:
        return OWNER

    vault = await loaded(issuing.made(vault_file({"a": entry}), check=other))
    async with running(vault):
        if expected:
            assert await sent(vault, "a") == issuing.issuer.issued[OWNER][-1]
        else:
            assert await refusal(vault, "a") == "key_unavailable"


async def test_a_key_that_could_not_be_sent(issuing: Issuing) -> None:
    """Whatever is no Bearer token is not taken."""
    vault = await loaded(issuing.vault)
    for token in ("a b", "a\r\nX: y", "ä", "{{key}}", "x" * 20_000):
        issuing.issuer.change = {"token": token}
        await vault.read_stores(issued=True)
        assert vault.tenants()[0].state == "malformed"
        assert await refusal(vault, "a") == "key_unavailable"


async def test_the_applications_secret_must_be_readable(issuing: Issuing) -> None:
    """From whatever kind of source: of a store it is read when it is needed."""
    table = {**TABLE, "client_secret": {"openbao": "secret/app"}}
    bao = {"url": "https://127.0.0.1:1", "token": {"env": "A"}}
    vault = await loaded(issuing.made(LISTED, vault_settings(invopop=table, openbao=bao)))
    assert vault._reader.sources.keys() >= {"invopop", "openbao"}
    assert await refusal(vault, "a") == "key_unavailable"
    assert vault.tenants()[0].detail.startswith("vault.invopop.client_secret: OpenBao: ")
    assert issuing.calls == 0
