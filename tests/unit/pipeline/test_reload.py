"""A reload is whole or is not at all, also where only its last part cannot be made."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway import compiled, reload
from gateway.errors import ConfigurationError, Problem
from gateway.events import ConfigReloaded
from gateway.identity.authenticator import Authenticator
from tests.unit.pipeline.conftest import ACME, TOKEN, World


@pytest.fixture
def reloads(world: World) -> list[ConfigReloaded]:
    """How each reload ended."""
    told: list[ConfigReloaded] = []
    world.gateway.events.subscribe(ConfigReloaded, told.append)
    return told


def change(world: World, extra: str = "") -> Path:
    """Another upstream, another key, a stricter rule and shared limits, in one save."""
    file = world.gateway.in_use.loaded.file
    text = file.read_text().replace('"access.workspace.update"', '"utils.*"')
    shared = 'max_in_flight = 2\nstorage = "redis://127.0.0.1:1"\n'
    text = text.replace("max_in_flight = 2\n", shared) + extra
    file.write_text(text + '\n[upstream]\nurl = "https://other.invopop.test"\n')
    vault = file.with_name("vault.toml")
    vault.write_text(vault.read_text().replace("ACME_KEY", "GLOBEX_KEY"))
    return file


async def test_shared_limits_whose_settings_stay_are_kept(
    world: World, reloads: list[ConfigReloaded]
) -> None:
    """With their connections, and with what is known of the storage: nothing listens there."""
    change(world)
    await world.gateway.reloader.reload()
    kept = world.gateway.services.shared_rates
    assert kept is not None
    assert kept.away
    await world.gateway.reloader.reload()
    assert [event.outcome for event in reloads] == ["success", "success"]
    assert world.gateway.services.shared_rates is kept


async def test_a_request_that_is_counted_while_limits_and_caller_go_is_refused(
    world: World,
) -> None:
    """It was judged before it waited; that the storage is not in use any more is no reason."""

    class Storage:
        away, made_from = False, ()

        async def take(self, *_: object) -> None:
            file = world.gateway.in_use.loaded.file
            token = hashlib.sha256(TOKEN.encode()).hexdigest()
            file.write_text(file.read_text().replace(token, "0" * 64))
            await world.gateway.reloader.reload()

        async def aclose(self) -> None:
            """Nothing is open."""

    world.gateway.services.shared_rates = Storage()  # type: ignore[assignment]
    status, headers, _ = await world.call(headers=ACME)
    assert world.gateway.services.shared_rates is None
    assert (status, headers["x-gateway-error"]) == (401, "unauthenticated")
    assert world.wire.sent == []


async def test_what_cannot_be_made_last_changes_nothing_before(
    world: World, reloads: list[ConfigReloaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the new rule nor the new key is in force, and the failure is told."""

    def connect(*_: object) -> None:
        raise ConfigurationError([Problem("", "limits.storage", "a Redis URL", "the extra")])

    monkeypatch.setattr(compiled, "connect", connect)
    file = change(world)
    before = (
        world.gateway.in_use.loaded,
        world.gateway.in_use.transport,
        world.gateway.services.grants,
    )
    await world.gateway.reloader.reload()
    assert (
        world.gateway.in_use.loaded,
        world.gateway.in_use.transport,
        world.gateway.services.grants,
    ) == before
    assert (await world.call(headers=ACME))[0] == 200
    assert world.wire.keys() == ["Bearer key-acme-1"]
    reason = f"{file}:5: limits.storage: found a Redis URL; expected the extra"
    assert reloads == [ConfigReloaded("failure", (reason,))]


async def test_with_it_all_is_taken_into_use(world: World, reloads: list[ConfigReloaded]) -> None:
    """The same change, where nothing is missing: every part of it."""
    change(world)
    before = world.gateway.in_use.transport
    await world.gateway.reloader.reload()
    assert reloads == [ConfigReloaded("success")]
    assert world.gateway.in_use.transport is not before
    assert world.gateway.services.shared_rates is not None
    assert world.gateway.services.sender.forwarder.authority.host == b"other.invopop.test"
    assert world.gateway.services.vault.key("acme").secret.reveal() == "key-globex"
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (403, "operation_denied")


async def test_a_defect_is_a_failed_reload(
    world: World, reloads: list[ConfigReloaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as one, and goes on to whoever runs the loop and says where it was."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(reload, "compile_configuration", broken)
    change(world)
    with pytest.raises(ZeroDivisionError):
        await world.gateway.reloader.reload()
    assert reloads == [ConfigReloaded("failure", ("a defect: ZeroDivisionError",))]
    assert (await world.call(headers=ACME))[0] == 200


async def test_files_that_may_mend_it_are_watched(
    world: World, reloads: list[ConfigReloaded], tmp_path: Path
) -> None:
    """A file that is not there yet is looked for, until a good reload no longer names it."""
    watched = vars(world.gateway.reloader)["_watcher"]._marks
    missing = tmp_path / "keys.json"
    file = world.gateway.in_use.loaded.file
    sound = file.read_text()
    file.write_text(
        f'{sound}\n[[issuers]]\nissuer = "https://id"\naudience = "a"\n'
        f'algorithms = ["RS256"]\njwks_file = "{missing}"\n'
    )
    assert missing not in watched
    await world.gateway.reloader.reload()
    watched = vars(world.gateway.reloader)["_watcher"]._marks
    assert {missing, file, tmp_path / "vault.toml"} <= watched.keys()
    file.write_text(sound)
    await world.gateway.reloader.reload()
    watched = vars(world.gateway.reloader)["_watcher"]._marks
    assert missing not in watched
    assert [reload.outcome for reload in reloads] == ["failure", "success"]


async def test_the_new_version_refreshes_its_issuers_keys(
    world: World, reloads: list[ConfigReloaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of the old version, which stops."""
    running: list[Authenticator] = []
    turned = asyncio.Condition()

    async def run(self: Authenticator) -> None:
        running.append(self)
        async with turned:
            turned.notify_all()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            running.remove(self)

    monkeypatch.setattr(Authenticator, "run", run)
    reloader, services = world.gateway.reloader, world.gateway.services
    before = services.authenticator
    async with turned, asyncio.timeout(5), asyncio.TaskGroup() as group:
        refreshing = group.create_task(reloader.refresh_issuers())
        await turned.wait_for(lambda: running == [before])
        await reloader.reload()
        await turned.wait_for(lambda: running == [services.authenticator])
        refreshing.cancel()
    assert services.authenticator is not before
    assert [reload.outcome for reload in reloads] == ["success"]
