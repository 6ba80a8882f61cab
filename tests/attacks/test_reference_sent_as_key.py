"""Failing open: a reference that could not be resolved is sent as if it were the key.

Nobody attacks: a variable is not set, a file is missing, a secret has not been mounted yet. A proxy
that puts the text of the setting, an empty string or nothing into `Authorization` sends requests
that fail in ways nobody expects, or tells a third party how secrets are named (CWE-636).

Templating languages do so by design: what is unknown stays as it is, or becomes empty. In the
gateway a setting says where a key is, by kind, and is never a key: a bare string is refused before
anything starts. A key that is unavailable, or could not stand in a header, is 503 `key_unavailable`
for that tenant, and no request is ever sent without one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import run, write_toml
from tests.support.world import ENVIRON, KEY_B, TOK_B, TOK_S, VAULT, World, request, settings

SOURCES: dict[str, tuple[dict[str, str], bytes | None]] = {
    "variable": ({"env": "NOT_SET_ANYWHERE"}, None),
    "file": ({"file": "not-mounted-yet"}, None),
    "empty": ({"file": "empty"}, b""),
    "newlines": ({"file": "newlines"}, b"\n\n"),
    "two": ({"file": "two"}, b"first-key\nsecond-key\n"),
    "template": ({"file": "template"}, b"{{ invopop key }}"),
    "unrendered": ({"file": "unrendered"}, b"${ACME_INVOPOP_KEY}\n"),
    "reference": ({"file": "reference"}, b"vault:secret/data/invopop/acme#api_key"),
    "member": ({"file": "member", "field": "api_key"}, b'{"other": "x"}'),
}
CALLERS = {"shared": {"tenants": ["*"]}}


@pytest.fixture(scope="module")
def unready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that starts although some tenants' keys are unavailable."""
    directory = tmp_path_factory.mktemp("unready")
    for source, content in SOURCES.values():
        if content is not None:
            (directory / source["file"]).write_bytes(content)
    tenants = {name: {"key": source} for name, (source, _) in SOURCES.items()}
    changes = {"vault": {"strict": False}, "callers": CALLERS}
    with World(directory, changes, {"tenants": {**VAULT["tenants"], **tenants}}) as made:
        yield made
        made.check_invariants()


@pytest.mark.parametrize("tenant", SOURCES)
def test_a_key_that_is_unavailable(unready: World, tenant: str) -> None:
    """503 for that tenant, nothing sent, and nothing said of where its key should be."""
    unready.origin.start_over()
    raw = request("GET /x", f"X-Invopop-Tenant: {tenant}", token=TOK_S)
    connection = unready.connect()
    connection.send(raw)
    reply = connection.reply()
    assert (reply.status, reply.get("x-gateway-error")) == (503, "key_unavailable")
    assert not unready.origin.requests
    assert not {"NOT_SET", "mounted", "template"} & {*connection.received.decode().split()}


def test_others_are_served(unready: World) -> None:
    """It harms that tenant only."""
    unready.origin.start_over()
    _, seen = unready.passed(request("GET /x", token=TOK_B))
    assert seen.all("authorization") == [f"Bearer {KEY_B}"]


def test_a_setting_is_never_a_key(world: World, tmp_path: Path) -> None:
    """A string where a source should be is refused at start, and is not repeated."""
    made = settings(world.origin, world.authority.ca_file, world.issuer)
    config = write_toml(tmp_path / "gateway.toml", made)
    texts = ["secret/invopop/acme", "${ACME_KEY}", "vault:acme#key", "a-key-itself"]
    tenants = {f"tenant-{number}": {"key": text} for number, text in enumerate(texts)}
    write_toml(tmp_path / "vault.toml", {"tenants": tenants})
    code, output = run(["check", "--config", str(config)], ENVIRON)
    assert code == 1
    assert [name for name in tenants if f"tenants.{name}.key" not in output] == []
    assert [text for text in texts if text in output] == []
