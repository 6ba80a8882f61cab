"""Torn reload: a configuration that is read while it is being written.

Nobody attacks, or somebody who can only make a disk full. A file is truncated and written anew, and
in between the proxy reads half of it: tenants are missing, a deny rule is not there yet, or the
file is empty and everything is allowed (CWE-636).

A proxy that takes what it can parse runs with the half. The gateway waits until a file stands
still, and takes a version whole or not at all: at whatever point it is cut, the old one stays in
force, every tenant keeps its own key, and log and metric say so.

Case 165.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, World

WITHIN = 12.0
BROKEN = {
    "no TOML": ("gateway.toml", "[callers"),
    "unknown operation": ("gateway.toml", '[callers.x]\nnetworks = []\nallow = ["silo.entires.*"]'),
    "a torn write": ("gateway.toml", ""),
    "unknown setting": ("vault.toml", '[tenants.acme]\nkey = { evn = "TEST_KEY_A" }'),
    "a tenant twice": (
        "vault.toml",
        '[tenants.acme]\nkey = { env = "A" }\n[tenants.acme]\nkey = { env = "B" }',
    ),
}


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose files are about to break; at the end they are as they were."""
    with World(tmp_path_factory.mktemp("operated")) as made:
        files = {name: (made.gateway.directory / name) for name in ("gateway.toml", "vault.toml")}
        before = {name: file.read_text() for name, file in files.items()}
        yield made
        for name, file in files.items():
            file.write_text(before[name])
        _reloaded(made, "success")
        made.check_invariants()


def _reloaded(world: World, outcome: str) -> None:
    before = world.gateway.metric("config_reloads_total", outcome=outcome)
    world.gateway.signal(signal.SIGHUP)
    eventually(
        lambda: world.gateway.metric("config_reloads_total", outcome=outcome) > before, WITHIN
    )


def as_before(world: World) -> None:
    """Each tenant has its own key, a stranger has none, and metric and probe tell the truth."""
    world.origin.start_over()
    assert world.get("/x", token=TOK_A).status == world.get("/x", token=TOK_B).status == 200
    assert world.get("/x", token="igw_nobody").status == 401
    keys = [seen.get("authorization") for seen in world.origin.requests]
    assert keys == [f"Bearer {KEY_A}", f"Bearer {KEY_B}"]
    assert world.gateway.metric("config_last_reload_successful") == 0
    assert world.gateway.admin("/readyz")[0] == 200


@pytest.mark.parametrize("name", ["gateway.toml", "vault.toml"])
def test_cut_at_any_point(operated: World, name: str) -> None:
    """However much of the file is there, short of all: nothing changes."""
    file = operated.gateway.directory / name
    whole = file.read_text()
    for share in (0, 0.2, 0.5, 0.9):
        file.write_text(whole[: int(len(whole.rstrip()) * share)])
        _reloaded(operated, "failure")
        as_before(operated)
    file.write_text(whole)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_version_changes_nothing(operated: World, case: str) -> None:
    """Whole but wrong: the old version stays, and the log names the file."""
    name, text = BROKEN[case]
    file = operated.gateway.directory / name
    whole = file.read_text()
    file.write_text(text)
    _reloaded(operated, "failure")
    as_before(operated)
    told = operated.gateway.events
    eventually(lambda: name in str(told("config_reload")[-1].get("problems")))
    file.write_text(whole)
