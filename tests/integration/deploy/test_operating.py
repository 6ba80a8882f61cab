"""The operating guide, done as it is written, against the program and the sandbox Invopop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway import __version__
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running
from tests.support.gateway import GatewayProcess, eventually, token_hash
from tests.support.guide_runner import Chapter, Reader
from tests.support.openbao import ROOT, OpenBaoServer

GUIDE = Path(__file__).parents[3] / "deploy" / "operating.md"
TOKEN = "igw_a-token-of-billing-for-the-operating-guide"
BILLING = f'[callers.billing]\ntokens = ["{token_hash(TOKEN)}"]\ntenants = ["acme"]\n'
VAULT = '[tenants.acme]\nkey = {{ value = "{key}" }}\n'

STATUS = 'curl -sS -o /dev/null -w "%{http_code}" -H "Authorization: Bearer $TOKEN" $GATEWAY'


class Stage:
    """A sandbox Invopop, a key of its workspace acme, and gateways in front of it."""

    def __init__(self, directory: Path, invopop: RunningSandbox, stack: AsyncExitStack) -> None:
        self.directory = directory
        self.invopop = invopop
        self.key = invopop.sandbox.mint_key("acme")
        self.gateway: GatewayProcess
        self._stack = stack

    async def start(self, callers: str = BILLING, vault: str = VAULT, more: str = "") -> Reader:
        """A gateway with these callers, and who reads the guide beside it."""
        self.gateway = GatewayProcess(self.directory, {}, {})
        (self.directory / "ca.pem").write_bytes(self.invopop.ca_pem)
        (self.directory / "vault.toml").write_text(vault.format(key=self.key))
        (self.directory / "gateway.toml").write_text(
            "[listen]\nport = 0\n\n[admin]\nport = 0\n\n"
            f'[upstream]\nurl = "{self.invopop.url}"\nca_file = "ca.pem"\nca_only = true\n\n'
            f"{more}\n{callers}"
        )
        await asyncio.to_thread(self.gateway.__enter__)
        self._stack.callback(self.gateway.__exit__, None, None, None)
        return Reader(self.gateway, {"TOKEN": TOKEN})

    def mint(self, workspace: str = "acme") -> str:
        """A fresh key, as one makes it at Invopop."""
        return self.invopop.sandbox.mint_key(workspace)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Everything but the gateway."""
    async with AsyncExitStack() as stack:
        invopop = await stack.enter_async_context(running(Sandbox()))
        yield Stage(tmp_path, invopop, stack)


def chapter(title: str) -> Chapter:
    """One chapter of the guide."""
    return Chapter(GUIDE, title)


async def test_as_a_sidecar(stage: Stage) -> None:
    """The configuration as written; checked, explained, and called without a token."""
    guide = chapter("Install as a sidecar")
    reader = await stage.start(callers=guide.toml[0])
    checked, called = [await reader.run(block) for block in guide.commands]
    assert "allowed" in checked
    assert '"id"' in called


async def test_as_a_shared_service(stage: Stage) -> None:
    """A token made as written is in force: it reads for a tenant that it names, and deletes not."""
    reader = await stage.start()
    made, asked = chapter("Install as a shared service").commands
    await reader.run(made)
    told = await reader.run(asked)
    assert '"id"' in told
    assert told.splitlines()[-1].endswith("403")


async def test_behind_a_mesh(stage: Stage) -> None:
    """The look for callers known by their address finds none, or names the line."""
    (look,) = chapter("Behind a mesh").commands
    reader = await stage.start()
    assert "no caller" in await reader.run(look)
    with stage.gateway.config.open("a") as file:
        file.write('networks = ["127.0.0.1/32"]\n')
    assert "networks" in await reader.run(look)


async def test_restart_or_upgrade(stage: Stage) -> None:
    """The check, and the version of what runs; a stop logs what the chapter names."""
    check, look = chapter("Restart or upgrade").commands
    reader = await stage.start()
    assert "billing" in await reader.run(check)
    told = await reader.run(look)
    assert f'version="{__version__}"' in told
    assert await asyncio.to_thread(stage.gateway.stop) == 0
    names = {record.get("event") for record in stage.gateway.records()}
    assert {"drain_started", "drain_ended", "process_stopped"} <= names
    assert stage.gateway.events("drain_ended")[0]["requests_cut"] == 0


async def test_add_a_tenant(stage: Stage) -> None:
    """Its key, its callers, the check, and its first request."""
    reader = await stage.start()
    first, *others = chapter("Add a tenant").commands
    await reader.run(f"NEW_KEY={stage.mint('globex')}\n{first}")
    told = [await reader.run(block) for block in others]
    assert "globex" in told[-1]
    assert '"id"' in told[-1]


async def test_rotate_a_key(stage: Stage) -> None:
    """Both keys, then the new one alone; the old is revoked in between, and nobody notices."""
    reader = await stage.start()
    put, ask, look, take = chapter("Rotate a key").commands
    told = await reader.run(f"NEW_KEY={stage.mint()}\n{put}")
    assert "previous" in told
    await reader.run(ask)
    assert '"caller":"billing"' in await reader.run(look)
    stage.invopop.sandbox.revoke(stage.key)
    assert "previous" not in await reader.run(take)
    assert '"id"' in await reader.run(ask)


async def test_a_key_has_leaked(stage: Stage) -> None:
    """The old key is revoked, requests go on, and the log says who had used it."""
    reader = await stage.start()
    replace, go_on, look = chapter("A key has leaked").commands
    used = 'curl -fsS $GATEWAY/access/v1/workspace -H "Authorization: Bearer $TOKEN"'
    await reader.run(f"{used}\nLEAKED_KEY={stage.key}\nNEW_KEY={stage.mint()}\n{replace}")
    stage.invopop.sandbox.revoke(stage.key)
    assert '"id"' in await reader.run(go_on)
    assert '1 "caller":"billing"' in await reader.run(look)
    await reader.run("invopop-gateway keys remove acme\nsleep 2\n! " + used)


async def test_a_token_has_leaked(stage: Stage) -> None:
    """The old token is refused with the next request; the log says from where it was used."""
    reader = await stage.start()
    make, replace, look = chapter("A caller's token has leaked").commands
    used = 'curl -fsS $GATEWAY/access/v1/workspace -H "Authorization: Bearer $TOKEN"'
    await reader.run(f"{used}\n{make}")
    assert (await reader.run(replace)).endswith("401\n")
    assert '"peer":"127.0.0.1"' in await reader.run(look)


async def test_invopop_is_down(stage: Stage) -> None:
    """The metric names what fails, the gateway stays ready, and goes on by itself."""
    reader = await stage.start()
    look, ready = chapter("Invopop is down").commands
    ask = f"{STATUS}/utils/v1/ping"
    url = stage.invopop.url
    away = "sed -i 's|^url = .*|url = \"https://127.0.0.1:1\"|' $INVOPOP_GATEWAY_CONFIG\nsleep 2\n"
    back = f"sed -i 's|^url = .*|url = \"{url}\"|' $INVOPOP_GATEWAY_CONFIG\nsleep 2\n"
    assert await reader.run(away + ask) == "502"
    assert 'kind="connect_refused"} 3.0' in await reader.run(look)
    assert '"ready"' in await reader.run(ready)
    assert await reader.run(back + ask) == "200"


async def test_a_store_is_down(stage: Stage) -> None:
    """It is told, requests go on with the last good key, and the grace can be raised meanwhile."""
    with OpenBaoServer() as bao:
        bao.write("invopop/acme", api_key=stage.key)
        (stage.directory / "bao-token").write_text(ROOT)
        vault = '[vault]\nfile = "vault.toml"\nrefresh = 0.5\nstale_grace = 1800.0\n\n'
        store = f'[vault.openbao]\nurl = "{bao.url}"\ntoken = {{ file = "bao-token" }}\n'
        source = '[tenants.acme]\nkey = {{ openbao = "secret/invopop/acme", field = "api_key" }}\n'
        reader = await stage.start(vault=source, more=vault + store)
        look, go_on, raise_it = chapter("A store is down").commands
        assert '"id"' in await reader.run(go_on)
        bao.stop()
        failed = lambda: stage.gateway.metric("key_refresh_total", outcome="failure")  # noqa: E731
        await asyncio.to_thread(eventually, failed, 10)
        told = await reader.run(look)
        assert "degraded" in told
        assert 'outcome="failure"' in told
        assert '"id"' in await reader.run(go_on)
        await reader.run(raise_it + "sleep 2\n" + go_on)


async def test_from_keys_in_every_service(stage: Stage) -> None:
    """Nothing is refused while rules are learnt; then they hold, and the old key is worthless."""
    rule = 'allow = ["access.workspace.fetch"]\nenforce = false\n'
    reader = await stage.start(callers=BILLING + rule)
    check, move, learn, enforce, rotate = chapter(
        "From keys in every service to one vault"
    ).commands
    await reader.run(check)
    assert '"id"' in await reader.run(move)
    await reader.run(f"{STATUS}/silo/v1/entries/1 -X DELETE")
    assert '1 "operation":"access.workspace.fetch"' in await reader.run(learn)
    told = await reader.run(enforce)
    assert 'caller="billing",route="other"} 1.0' in told
    assert told.endswith("403\n")
    await reader.run(f"NEW_KEY={stage.mint()}\n{rotate}")
    stage.invopop.sandbox.revoke(stage.key)
    assert '"id"' in await reader.run("sleep 2\n" + move)
