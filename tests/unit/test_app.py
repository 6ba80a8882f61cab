"""The composition root: all problems in one list, and background loops that outlive defects."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import app
from gateway.app import open_gateway
from gateway.errors import ConfigurationError
from gateway.events import Event, Noticed
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.settings.load import load
from gateway.upstream.transport import Transport
from gateway.vault.vault import Vault

WRONG = """
[upstream]
ca_file = "no-ca.pem"
[audit]
file = "no-directory/audit.jsonl"
[[issuers]]
issuer = "https://id.internal"
audience = "invopop-gateway"
algorithms = ["RS256"]
jwks_file = "no-jwks.json"
[callers.billing]
tenants = ["acme"]
allow = ["silo.nothing"]
"""


@pytest.fixture
def logger() -> Iterator[Logger]:
    """A log that nobody reads."""
    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    yield Logger(writer, "error", "json")
    writer.close()


async def test_all_problems_are_reported_at_once(
    tmp_path: Path, logger: Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every part, an unusable trust anchor included; and what was made is closed."""
    (tmp_path / "gateway.toml").write_text(WRONG)
    (tmp_path / "vault.toml").write_text('[tenants.acme]\nkey = { env = "NO_SUCH_KEY" }\n')
    closed: list[type] = []

    async def aclose(self: object) -> None:
        closed.append(type(self))

    monkeypatch.setattr(Vault, "aclose", aclose)
    monkeypatch.setattr(Transport, "aclose", aclose)
    with pytest.raises(ConfigurationError) as wrong:
        await open_gateway(load(tmp_path / "gateway.toml", {}), {}, logger)
    assert {problem.key for problem in wrong.value.problems} == {
        "upstream.ca_file",
        "audit.file",
        "issuers[0].jwks_file",
        "callers.billing.allow[0]",
        "tenants.acme.key",
    }
    assert all(problem.file for problem in wrong.value.problems)
    assert closed == [Vault, Transport, Transport]  # for keys, and for requests


async def test_a_defect_ends_no_background_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged by its own type, also from within a task group, and the loop runs again."""
    monkeypatch.setattr(app, "RESTART_SECONDS", 0.0)
    events: list[Event] = []
    turns = 0

    async def fails() -> None:
        raise ZeroDivisionError

    async def loop() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())

    await app._supervise(loop, events.append)
    assert turns == 2
    (event,) = events
    assert isinstance(event, Noticed)
    assert (event.name, event.fields["exception"]) == ("background_failure", "ZeroDivisionError")
    assert event.fields["at"][-1].endswith("fails")
