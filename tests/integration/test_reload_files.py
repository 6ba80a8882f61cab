"""Files that the configuration names, replaced under the running program, without any signal."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority, server_context
from tests.support.gateway import eventually, write_toml
from tests.support.jwt import Issuer
from tests.support.world import AUDIENCE, ISSUER, World, fields, request

WITHIN = 4.0
"""Seconds until a change is in force: the contract's 2 s, and a machine that is busy."""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[World]:
    """A gateway whose files are its own."""
    with World(tmp_path) as made:
        yield made
        made.check_invariants()


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the gateway knows nothing of."""
    return tmp_path_factory.mktemp("elsewhere")


def replace(path: Path, other: Path) -> bytes:
    """The other's content takes the place of this one, which is returned."""
    before, new = path.read_bytes(), path.with_suffix(".new")
    new.write_bytes(other.read_bytes())
    new.replace(path)
    return before


def outcome(world: World, *lines: str, token: str) -> str:
    """How a request is answered now."""
    reply = world.get("/x", *lines, token=token)
    return str(reply.get("x-gateway-error") or reply.status)


def test_the_authority_of_invopop_changes(alone: World, elsewhere: Path) -> None:
    """Case 143: idle connections that the old one vouched for go; a reply under way is whole."""
    other = Authority(elsewhere)
    head = fields("200 OK", "Transfer-Encoding: chunked") + b"3\r\none\r\n"
    with alone.origin.holding(head, b"3\r\ntwo\r\n0\r\n\r\n") as held:
        connection = alone.connect()
        connection.send(request("GET /slow"))
        connection.until(b"one")
        assert alone.get("/idle").status == 200
        under_way, idle = alone.origin.open_connections()
        before = replace(alone.authority.ca_file, other.ca_file)
        eventually(lambda: alone.get("/x").get("x-gateway-error") == "upstream_tls_error", WITHIN)
        eventually(lambda: idle not in alone.origin.open_connections(), WITHIN)
        assert under_way in alone.origin.open_connections()
        held.release()
        reply = connection.reply()
    assert (reply.body, reply.complete) == (b"onetwo", True)
    eventually(lambda: not alone.origin.open_connections())
    with alone.origin.showing(server_context(other.certificate("localhost"))):
        assert alone.get("/x").status == 200
    alone.authority.ca_file.write_bytes(before)
    eventually(lambda: alone.get("/x").status == 200, WITHIN)


def test_an_issuers_keys_change(alone: World, elsewhere: Path) -> None:
    """A token that was believed a moment ago is worth no more than its key's place in the set."""
    other = Issuer(elsewhere, ISSUER, AUDIENCE)
    old, new = alone.token_of(ISSUER, "billing"), other.token(other.claims("billing"))
    assert [outcome(alone, token=token) for token in (old, new)] == ["200", "unauthenticated"]
    replace(alone.issuer.jwks_file, other.jwks_file)
    eventually(lambda: outcome(alone, token=new) == "200", WITHIN)
    assert outcome(alone, token=old) == "unauthenticated"


def test_an_authority_that_cannot_be_read_changes_nothing(alone: World) -> None:
    """The version in use goes on, and the log names the setting."""
    alone.authority.ca_file.write_text("no certificate")
    eventually(lambda: alone.gateway.metric("config_last_reload_successful") == 0, WITHIN)
    alone.origin.hang_up()
    assert alone.get("/x").status == 200
    told = eventually(lambda: alone.gateway.events("config_reload"))
    assert "upstream.ca_file" in str(told[-1]["problems"])


@pytest.mark.parametrize("setting", ["jwks_file", "jwks_bearer_file"])
@pytest.mark.parametrize("name", ["late", "K3vT9qLmZ8xR2bWd7nYc"])
def test_a_file_that_comes_late(alone: World, elsewhere: Path, setting: str, name: str) -> None:
    """What was refused for want of a file is taken up once that is there, without any signal.

    So it is if the file's name is not quoted, because it looks like a key.
    """
    other = Issuer(elsewhere, "https://late.internal", AUDIENCE)
    late = alone.gateway.directory / name
    file = alone.gateway.directory / "gateway.toml"
    made = tomllib.loads(file.read_text())
    entry = {"issuer": other.name, "audience": AUDIENCE, "algorithms": ["RS256", "ES256"]}
    remote = {} if setting == "jwks_file" else {"jwks_url": "https://127.0.0.1:1/keys"}
    made["issuers"].append({**entry, **remote, setting: str(late)})
    write_toml(file.with_suffix(".new"), made).replace(file)
    eventually(lambda: alone.gateway.metric("config_last_reload_successful") == 0, WITHIN)
    late.write_bytes(other.jwks_file.read_bytes() if setting == "jwks_file" else b"a-token")
    eventually(lambda: alone.gateway.metric("config_last_reload_successful") == 1, WITHIN)
